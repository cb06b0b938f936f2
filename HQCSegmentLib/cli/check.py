"""hqcsegment check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from HQCSegmentLib.cli.output import console, counting, emit_json, error_console

if TYPE_CHECKING:
    from HQCSegmentLib.cohort import Cohort, Finding

COLORS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def check(
    cohort: Annotated[Path, typer.Argument(help="Folder of the cohort.", show_default=False)],
    *,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write the findings as JSON.")] = None,
    html_file: Annotated[
        Path | None, typer.Option("--html", help="Also write a page with the findings and a picture of every case.")
    ] = None,
    write_names: Annotated[
        bool,
        typer.Option(
            "--write-names",
            help="Write names.csv in the cohort's folder: which TG-263 name each structure gets. Edit it (- leaves a "
            "structure out); from then on it is used.",
        ),
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings count as errors.")] = False,
    json_events: Annotated[bool, typer.Option("--json-events", help="One JSON object a line on stdout.")] = False,
) -> int:
    """Read every case of a cohort and say what is wrong or odd, and what to do about it.

    Looked at are: files that cannot be read, image and contours on different grids, orientation, spacing, implausible
    intensities, empty structures, tiny islands, gaps, left and right swapped, volumes, positions and densities far
    outside the rest, the same patient twice, structures missing in some cases, and names.

    Exit code 0: no errors; 2: errors (with --strict also for warnings).
    """
    from HQCSegmentLib.cohort import Cohort
    from HQCSegmentLib.cohort.checks.unlabelled import check_images, loose_images
    from HQCSegmentLib.cohort.cohort import UnknownLayoutError
    from HQCSegmentLib.evaluation.check_report import CheckPictures

    pictures: dict[str, str] = {}
    structures: list[str] = []
    local_names: list[str] = []
    notes: list[str] = []
    layout = ""
    try:
        opened = Cohort.open(cohort)
    except UnknownLayoutError:
        images = loose_images(cohort)
        if not images:
            raise
        findings = check_images(images, read=None if html_file is None else CheckPictures(pictures).take_image)
        names = [image.name for image in images]
        about = f"{len(images)} image(s) without contours; this folder is no cohort yet."
    else:
        if write_names:
            _write_names(opened)
            opened = Cohort.open(cohort)
        structures, local_names = list(opened.structures.values()), list(opened.local_names)
        notes, layout = list(opened.notes), opened.layout
        for note in () if json_events else notes:
            console().print(note, markup=False, soft_wrap=True)
        findings = _examine(opened, pictures if html_file is not None else None, json_events=json_events)
        names = [case.name for case in opened.cases]
        about = f"{len(names)} case(s), laid out as {layout}; structures: {', '.join(structures)}"
    _write(findings, json_file, html_file, names, pictures, about)
    if json_events:
        done = {"cases": names, "layout": layout, "structures": structures, "local_names": local_names, "notes": notes}
        emit_json({"event": "done", **done})
    else:
        _show(findings, about)
    return 2 if any(one.severity == "error" or (strict and one.severity == "warning") for one in findings) else 0


def _examine(cohort: Cohort, pictures: dict[str, str] | None, *, json_events: bool = False) -> list[Finding]:
    """Check with a progress bar or with events; pictures are taken where asked for."""
    from HQCSegmentLib.cohort.checks import Watcher, examine
    from HQCSegmentLib.evaluation.check_report import CheckPictures

    take = Watcher().read if pictures is None else CheckPictures(pictures).take
    if json_events:

        def tell(number: int) -> None:
            emit_json({"event": "progress", "step": number, "of": len(cohort.cases)})

        return examine(cohort, watcher=Watcher(read=take, done=tell))
    # In a file a progress bar is a line too many.
    if not error_console().is_terminal:
        return examine(cohort, watcher=Watcher(read=take))
    with counting() as count:

        def done(number: int) -> None:
            count("checking cases", number, len(cohort.cases))

        return examine(cohort, watcher=Watcher(read=take, done=done))


def _write(
    findings: Sequence[Finding],
    json_file: Path | None,
    html_file: Path | None,
    names: Sequence[str],
    pictures: dict[str, str],
    about: str,
) -> None:
    """JSON and HTML, where asked for."""
    from HQCSegmentLib.files import write_json

    if json_file is not None:
        write_json(json_file, [finding.as_dict() for finding in findings])
    if html_file is not None:
        from HQCSegmentLib.evaluation.check_report import write_check_report

        write_check_report(html_file, findings, cases=names, pictures=pictures, about=about)


def _show(findings: Sequence[Finding], about: str) -> None:
    """A table for people, and how many there are of each severity."""
    from rich.markup import escape
    from rich.table import Table

    from HQCSegmentLib.evaluation.check_report import finding_lines

    screen = console()
    screen.print(about, markup=False)
    if findings:
        table = Table("severity", "case", "structure", "what, and what to do")
        for line in finding_lines(findings):
            color = COLORS[line.severity]
            table.add_row(f"[{color}]{line.severity}[/]", escape(line.case), escape(line.structures), escape(line.text))
        screen.print(table)
    count = {kind: sum(finding.severity == kind for finding in findings) for kind in COLORS}
    screen.print(", ".join(f"{number} {kind}{'' if number == 1 else 's'}" for kind, number in count.items()))


def _write_names(cohort: Cohort) -> None:
    """Write the table of names, and say what is in it that needs a decision."""
    from HQCSegmentLib.naming import TABLE, write_table

    path = cohort.path / TABLE
    new = write_table(path, cohort.local_names)
    screen = console()
    screen.print(f"Names: {path}", markup=False, soft_wrap=True)
    for proposal in new:
        if proposal.match == "similar":
            screen.print(f"  please confirm: {proposal.name} is taken for {proposal.tg263_name}", markup=False)
        elif proposal.match == "no side":
            screen.print(f"  please add a side: {proposal.name}", markup=False)
