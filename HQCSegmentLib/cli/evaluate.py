"""hqcsegment evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from HQCSegmentLib.cli.output import console


def evaluate(
    *,
    predictions: Annotated[Path, typer.Option("--predictions", help="Folder of label maps to judge.")],
    references: Annotated[Path, typer.Option("--references", help="Folder of reference label maps, same names.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for metrics.csv and metrics.json.")],
) -> None:
    """Compare label maps with references: Dice and volume of every structure and case."""
    from rich.table import Table

    from HQCSegmentLib.evaluation import evaluate as evaluate_folders

    result = evaluate_folders(predictions, references, out=out)
    table = Table("structure", "cases", "mean Dice", "lowest Dice")
    for row in result.summary():
        table.add_row(row.structure, str(row.cases), f"{row.mean_dice:.3f}", f"{row.lowest_dice:.3f}")
    console().print(table)
    console().print(f"{out / 'metrics.csv'}", markup=False)
