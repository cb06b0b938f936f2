"""Errors that a user meets. The message is one or two plain sentences: what, where, what to do."""

from __future__ import annotations

from collections.abc import Sequence


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
        """Make the error of a message and the word for its kind."""
        super().__init__(message)
        self.code = code


class WorkError(HQCSegmentError, RuntimeError):
    """The input was right, but the work could not be finished (no memory, disk full, ...)."""

    exit_code = 1


class Interrupted(HQCSegmentError):
    """The user stopped the run (Ctrl-C, SIGTERM or cancel)."""

    exit_code = 130


def few(things: Sequence[object], *, most: int = 8) -> str:
    """The first of many things, with commas, and how many more there are; for a message."""
    text = ", ".join(map(str, things[:most]))
    return text if len(things) <= most else f"{text} and {len(things) - most} more"
