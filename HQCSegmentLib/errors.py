"""Errors that a user meets. The message is one or two plain sentences: what, where, what to do."""

from __future__ import annotations


class HQCSegmentError(Exception):
    """Base of all errors this library raises on purpose. The command exits with `exit_code`."""

    exit_code = 1


class InputError(HQCSegmentError, ValueError):
    """The input or the way it was asked for is wrong; nothing has been written.

    Attributes:
        code: Short fixed word for programs, where the kind of fault has one (see Docs/checking.md).
    """

    exit_code = 2

    def __init__(self, message: str, *, code: str = "unusable") -> None:
        super().__init__(message)
        self.code = code


class WorkError(HQCSegmentError, RuntimeError):
    """The input was right, but the work could not be finished (no memory, disk full, ...)."""

    exit_code = 1


class Interrupted(HQCSegmentError):
    """The user stopped the run (Ctrl-C, SIGTERM or cancel)."""

    exit_code = 130
