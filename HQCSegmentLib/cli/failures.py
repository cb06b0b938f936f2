"""Errors in words: a sentence for people, an event for programs, and the exit code."""

from __future__ import annotations

import errno
import traceback

import typer

from HQCSegmentLib.cli.output import emit_json, error_console
from HQCSegmentLib.errors import HQCSegmentError

WRONG_INPUT = 2
"""Exit code where the input or the usage is wrong; 1 where the work failed."""


def report(error: BaseException, *, as_json: bool, debug: bool, case: str = "") -> int:
    """Say what went wrong and return the exit code.

    Args:
        error: What was raised.
        as_json: Also as an event on stdout.
        debug: Also where, as a traceback.
        case: What was worked on, where the work goes on without it; errors of the library name it themselves.
    """
    code, message = explain(error)
    if case and not isinstance(error, HQCSegmentError):
        message = f"{case}: {message}"
    if debug:
        traceback.print_exception(error)
    if as_json:
        emit_json({"event": "error", **({"case": case} if case else {}), "message": message})
    error_console().print(f"[bold red]Error:[/] {_plain(message)}", highlight=False, soft_wrap=True)
    return code


def explain(error: BaseException) -> tuple[int, str]:
    """Exit code and sentence for an error."""
    if isinstance(error, HQCSegmentError):
        return error.exit_code, str(error)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return 130, "interrupted."
    usage = getattr(error, "format_message", None)
    if usage is not None:  # an error of the command line parser
        context = getattr(error, "ctx", None)
        hint = f" See `{context.command_path} --help`." if context is not None else ""
        return WRONG_INPUT, f"{usage().rstrip('.')}.{hint}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return 1, f"the disk is full ({error.filename or 'while writing'}); free some space and start again."
    if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
        return WRONG_INPUT, in_the_way(error.filename2 or error.filename)
    if isinstance(error, PermissionError):
        return WRONG_INPUT, f"no permission to use {error.filename}; choose another folder."
    if isinstance(error, MemoryError):
        return 1, "the computer ran out of memory; use a smaller preset, patch or batch."
    what = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":.")
    return 1, f"unexpected {what}. This is a fault of HQCSegment; --debug shows where."


def in_the_way(place: object) -> str:
    """Sentence for a place that something else is in."""
    return f"{place} cannot be written, since a file or folder is in its place; choose another place."


def _plain(message: str) -> str:
    from rich.markup import escape

    return escape(message)
