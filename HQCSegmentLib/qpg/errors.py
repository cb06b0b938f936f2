"""Errors of Quantum Parameter Generation. Each is also a ValueError, so that callers need not know this package."""

from __future__ import annotations


class QPGError(ValueError):
    """Base of the errors raised on purpose by `HQCSegmentLib.qpg`."""


class NoMatchingLayerError(QPGError):
    """No layer of the network is chosen by the configuration."""


class AlreadyInjectedError(QPGError):
    """The network already carries circuits; merge them first."""


class NotInjectedError(QPGError):
    """The network carries no circuits."""
