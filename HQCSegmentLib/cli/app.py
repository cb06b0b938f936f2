"""Entry point: commands, exit codes, and errors in one or two lines.

Exit codes: 0 done, 1 the work failed, 2 the input or the usage is wrong, 130 interrupted.
"""

from __future__ import annotations

import errno
import signal
import sys
import traceback
from types import FrameType

import typer

from HQCSegmentLib.cli import check, demo, evaluate, segment, train
from HQCSegmentLib.cli.output import emit_json, error_console
from HQCSegmentLib.errors import HQCSegmentError

app = typer.Typer(
    name="hqcsegment",
    help=(
        "Fine-tune segmentation networks on a small cohort with quantum-generated weight updates, and contour "
        "patients. Research use only; not a medical device.\n\n"
        "First steps: `hqcsegment demo` shows everything on made-up patients; `hqcsegment check COHORT` looks at "
        "your own; `hqcsegment train COHORT --out RUN`; `hqcsegment segment RUN/bundle IMAGE --out DIR`."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("check")(check.check)
app.command("train")(train.train)
app.command("segment")(segment.segment)
app.command("evaluate")(evaluate.evaluate)


def _version(value: bool) -> None:
    if value:
        from HQCSegmentLib import __version__

        typer.echo(f"hqcsegment {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Options of the command itself."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit code.

    Args:
        arguments: Without the program name; those of the process by default.
    """
    arguments = (sys.argv[1:] if arguments is None else list(arguments)) or ["--help"]
    # For every command alike, so they are taken out before the commands see the rest.
    debug = _take(arguments, "--debug")
    as_json = "--json-events" in arguments
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        result = app(arguments, prog_name="hqcsegment", standalone_mode=False)
    except typer.Exit as done:
        return done.exit_code
    except HQCSegmentError as error:
        return _fail(str(error), error.exit_code, as_json=as_json, debug=debug)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted.", 130, as_json=as_json, debug=debug)
    except Exception as error:
        code, message = _explain(error)
        return _fail(message, code, as_json=as_json, debug=debug)
    return result if isinstance(result, int) else 0


def _explain(error: Exception) -> tuple[int, str]:
    """Exit code and sentence for an error that no command has put in words."""
    usage = getattr(error, "format_message", None)
    if usage is not None:  # an error of the command line parser
        context = getattr(error, "ctx", None)
        hint = f" See `{context.command_path} --help`." if context is not None else ""
        return 2, f"{usage().rstrip('.')}.{hint}"
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return 1, f"the disk is full ({error.filename or 'while writing'}); free some space and start again."
    if isinstance(error, FileExistsError | NotADirectoryError | IsADirectoryError):
        place = error.filename2 or error.filename
        return 2, f"{place} cannot be written, since a file or folder is in its place; choose another place."
    if isinstance(error, PermissionError):
        return 2, f"no permission to use {error.filename}; choose another folder."
    if isinstance(error, MemoryError):
        return 1, "the computer ran out of memory; use a smaller preset, patch or batch."
    name = type(error).__name__
    return 1, f"unexpected {name}: {error}. This is a fault of HQCSegment; --debug shows where."


def _fail(message: str, code: int, *, as_json: bool, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    if as_json:
        emit_json({"event": "error", "message": message})
    error_console().print(f"[bold red]Error:[/] {_plain(message)}", highlight=False, soft_wrap=True)
    return code


def _plain(message: str) -> str:
    from rich.markup import escape

    return escape(message)


def _take(arguments: list[str], flag: str) -> bool:
    """Remove a flag from the arguments; whether it was there."""
    there = flag in arguments
    while flag in arguments:
        arguments.remove(flag)
    return there


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does: the state is saved first."""
    raise KeyboardInterrupt
