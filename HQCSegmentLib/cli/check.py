"""hqcsegment check."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from HQCSegmentLib.cli.output import console

COLORS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def check(
    cohort: Annotated[Path, typer.Argument(help="Folder of the cohort.", show_default=False)],
    *,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the findings as JSON.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
) -> int:
    """Read every case of a cohort and say what is wrong or odd.

    Exit code 0: no errors; 2: errors (with --strict also for warnings).
    """
    from rich.markup import escape
    from rich.table import Table

    from HQCSegmentLib.cohort import Cohort
    from HQCSegmentLib.cohort import check as check_cohort
    from HQCSegmentLib.files import write_json

    opened = Cohort.open(cohort)
    findings = check_cohort(opened)
    if json_file is not None:
        write_json(json_file, [finding.as_dict() for finding in findings])
    screen = console()
    names = ", ".join(opened.structures.values())
    screen.print(f"{len(opened.cases)} case(s), laid out as {opened.layout}; structures: {names}", markup=False)
    if findings:
        table = Table("severity", "finding")
        for finding in findings:
            color = COLORS[finding.severity]
            table.add_row(f"[{color}]{finding.severity}[/]", escape(finding.message))
        screen.print(table)
    count = {kind: sum(finding.severity == kind for finding in findings) for kind in COLORS}
    screen.print(", ".join(f"{number} {kind}{'' if number == 1 else 's'}" for kind, number in count.items()))
    return 2 if count["error"] or (strict and count["warning"]) else 0
