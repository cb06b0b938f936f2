"""hqcsegment evaluate."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any

import typer

from HQCSegmentLib.cli.evaluate_options import EvaluateOptions
from HQCSegmentLib.cli.options import make, options_of
from HQCSegmentLib.cli.output import console, counting, emit_json
from HQCSegmentLib.cli.segment import check_folder


@options_of(EvaluateOptions)
def evaluate(
    *,
    predictions: Annotated[
        Path,
        typer.Option("--predictions", help="Folder of label maps, RTSTRUCT or DICOM SEG, named after the cases."),
    ],
    references: Annotated[
        Path,
        typer.Option(
            "--references",
            help="The same, or a cohort: DICOM patients, images/ and labels/, nnU-Net, cohort.json, ...",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder for metrics.csv, metrics.json, report.html, report.pdf.")],
    names: Annotated[
        Path | None,
        typer.Option(
            "--names",
            help='What the values of label maps mean: the model bundle, or JSON like {"1": "Liver"} '
            "(default: labels.json beside them, else as in the references).",
            show_default=False,
        ),
    ] = None,
    only_predicted: Annotated[
        bool, typer.Option("--only-predicted", help="Leave out references without a prediction instead of refusing.")
    ] = False,
    json_events: Annotated[bool, typer.Option("--json-events", help="One JSON object a line on stdout.")] = False,
    settings: dict[str, Any],
) -> None:
    """Compare contours with references, and write the commissioning report.

    Dice, IoU, surface Dice, HD95, mean surface distance, added path length, volume and centroid of every structure and
    case, as table, JSON, and a report with pictures of failures and worst cases for a physicist to judge and sign.

    Example: hqcsegment evaluate --predictions results --references patients --out evaluation --names run1/bundle
    """
    from HQCSegmentLib.evaluation import evaluate as evaluate_folders
    from HQCSegmentLib.evaluation.pairs import names_from

    tolerance_mm = make(EvaluateOptions, settings).tolerance_mm
    check_folder(out)
    value_names = names_from(names) if names is not None else None
    options: dict[str, Any] = {
        "out": out,
        "names": value_names,
        "tolerance_mm": tolerance_mm,
        "only_predicted": only_predicted,
    }
    if json_events:

        def done(step: int, of: int) -> None:
            emit_json({"event": "progress", "step": step, "of": of})

        result = evaluate_folders(predictions, references, **options, on_case=done)
        files = ("metrics.csv", "metrics.json", "report.html", "report.pdf")
        emit_json({"event": "done", "out": str(out), "failures": len(result.failures()), "files": list(files)})
        return
    with counting() as count:
        result = evaluate_folders(
            predictions, references, **options, on_case=lambda step, of: count("comparing cases", step, of)
        )
    from rich.table import Table

    table = Table("structure", "cases", "Dice", "lowest", f"surface Dice {tolerance_mm:g} mm", "HD95 mm", "failures")
    for row in result.summary():
        lowest = row.spreads["dice"]
        failures = sum(bool(one.failure) for one in result.of(row.structure))
        table.add_row(
            row.structure,
            str(row.cases),
            f"{row.mean('dice'):.3f}",
            f"{lowest.lowest if lowest else math.nan:.3f}",
            f"{row.mean('surface_dice'):.3f}",
            "-" if math.isnan(row.mean("hd95_mm")) else f"{row.mean('hd95_mm'):.1f}",
            f"[red]{failures}[/]" if failures else "0",
        )
    console().print(table)
    for note in result.notes:
        console().print(f"Note: {note}", markup=False, soft_wrap=True)
    for file in ("report.html", "report.pdf", "metrics.csv", "metrics.json"):
        console().print(f"{out / file}", markup=False, soft_wrap=True)
