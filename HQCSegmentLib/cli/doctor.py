"""hqcsegment doctor."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from HQCSegmentLib.cli.output import console, emit_json, error_console

SIGNS = {"good": "[green]good[/]", "note": "[yellow]note[/]", "missing": "[red]missing[/]"}


def doctor(
    *,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the findings to this file.")] = None,
    json_events: Annotated[bool, typer.Option("--json-events", help="One JSON object a line on stdout.")] = False,
) -> int:
    """Look at this computer: versions, devices, memory, disk, and whether a circuit and a training step work.

    Exits with 0 if work is possible, else with 1. Nothing of patients is read.

    Example: hqcsegment doctor
    """
    from rich.markup import escape

    from HQCSegmentLib import __version__
    from HQCSegmentLib.doctor import diagnose

    screen = error_console() if json_events else console()
    screen.print(f"HQCSegment {__version__}")
    found = []
    for one in diagnose():
        found.append(one)
        advice = f"\n        -> {escape(one.advice)}" if one.advice else ""
        screen.print(f"{SIGNS[one.state]}: {escape(one.subject)}: {escape(one.found)}{advice}", soft_wrap=True)
    if json_file is not None:
        from HQCSegmentLib.files import write_json

        write_json(json_file, [asdict(one) for one in found])
    if json_events:
        emit_json({"event": "done", "findings": [asdict(one) for one in found]})
    missing = [one.subject for one in found if one.state == "missing"]
    screen.print(f"Missing: {', '.join(missing)}." if missing else "Ready to work.", markup=False)
    return 1 if missing else 0
