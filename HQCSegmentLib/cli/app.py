"""Entry point: commands, exit codes, and errors in one or two lines.

Exit codes: 0 done, 1 the work failed, 2 the input or the usage is wrong, 130 interrupted.
"""

from __future__ import annotations

import signal
import sys
import warnings
from types import FrameType

import typer

from HQCSegmentLib.cli import (
    adapter,
    check,
    circuits,
    compare,
    convert,
    demo,
    doctor,
    evaluate,
    export,
    extract,
    import_model,
    segment,
    send,
    train,
)
from HQCSegmentLib.cli.failures import report

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
app.command("send")(send.send)
app.command("compare")(compare.compare)
app.command("export")(export.export)
app.command("import")(import_model.import_model)
app.command("convert")(convert.convert)
app.command("extract")(extract.extract)
app.command("circuits")(circuits.circuits)
app.add_typer(adapter.app, name="adapter")
app.command("doctor")(doctor.doctor)


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
    # pydicom warns of malformed values and quotes them: identifiers of patients have no place in a log.
    warnings.filterwarnings("ignore", module=r"pydicom\.")
    for name in ("SIGTERM", "SIGBREAK"):  # the second is how Windows asks a process to stop
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _interrupt)
    try:
        result = app(arguments, prog_name="hqcsegment", standalone_mode=False, obj=debug)
    except typer.Exit as done:
        return done.exit_code
    except (Exception, KeyboardInterrupt) as error:
        return report(error, as_json=as_json, debug=debug)
    return result if isinstance(result, int) else 0


def _take(arguments: list[str], flag: str) -> bool:
    """Remove a flag from the arguments; whether it was there."""
    there = flag in arguments
    while flag in arguments:
        arguments.remove(flag)
    return there


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does: the state is saved first."""
    raise KeyboardInterrupt
