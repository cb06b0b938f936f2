"""Comparing a folder of segmentations with a folder of references."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.evaluation.metrics import METRICS, TOLERANCE_MM, compare_masks
from HQCSegmentLib.evaluation.pairs import CasePair, Pairing, pair_folders
from HQCSegmentLib.evaluation.statistics import Comparison, StructureSummary
from HQCSegmentLib.files import write_json, write_text

CaseDone = Callable[[int, int], None]
"""Is told how many cases are done, of how many."""


@dataclass(frozen=True)
class Evaluation:
    """All comparisons.

    Attributes:
        rows: One for each structure of each case.
        tolerance_mm: Of surface Dice and added path length.
        notes: Sentences on what was left out or taken for granted.
        pairing: The files, to look at a case again.
    """

    rows: tuple[Comparison, ...]
    tolerance_mm: float = TOLERANCE_MM
    notes: tuple[str, ...] = ()
    pairing: Pairing = field(default_factory=lambda: Pairing({}), repr=False, compare=False)

    @property
    def structures(self) -> list[str]:
        """Names in order of first appearance."""
        return list(dict.fromkeys(row.structure for row in self.rows))

    def of(self, structure: str) -> list[Comparison]:
        """Comparisons of one structure."""
        return [row for row in self.rows if row.structure == structure]

    def summary(self) -> list[StructureSummary]:
        """Per structure, in order of first appearance."""
        return [StructureSummary.of(name, self.of(name)) for name in self.structures]

    def failures(self) -> list[Comparison]:
        """What failed, the emptiest agreement first."""
        return sorted((row for row in self.rows if row.failure), key=lambda row: row.agreement.dice)


def evaluate(
    predictions: str | Path,
    references: str | Path,
    *,
    out: str | Path | None = None,
    names: Mapping[int, str] | None = None,
    tolerance_mm: float = TOLERANCE_MM,
    only_predicted: bool = False,
    report: bool = True,
    on_case: CaseDone | None = None,
) -> Evaluation:
    """Compare segmentations with references.

    Args:
        predictions: Folder of label maps, RT Structure Sets or DICOM SEG files, named after their cases.
        references: The same, or any cohort (DICOM patients, `images/` and `labels/`, ...); each case must have a
            prediction.
        out: Folder for `metrics.csv`, `metrics.json`, `report.html` and `report.pdf`; None: nothing is written.
        names: Structure names by value of label maps. Default: `labels.json` beside them, or those of the cohort;
            `structure_<value>` for others.
        tolerance_mm: For surface Dice and added path length.
        only_predicted: Leave out references without a prediction, with a note, instead of refusing.
        report: Whether the report is written too.
        on_case: Called after each case.

    Raises:
        InputError: if a folder is empty, a prediction is missing, a case has two files in one folder, a file is no
            segmentation, a pair is not on the same grid, nothing can be compared, or the tolerance is negative.
    """
    if not 0 <= tolerance_mm < float("inf"):
        msg = f"a tolerance of {tolerance_mm} mm is not possible; it must be 0 or more."
        raise InputError(msg)
    pairing = pair_folders(Path(predictions), Path(references), names=names, only_predicted=only_predicted)
    rows: list[Comparison] = []
    predicted: set[str] = set()
    wanted: dict[str, None] = {}
    nothing: list[str] = []
    for number, read in enumerate(pairing.readers.values(), start=1):
        pair = read()
        looked_for = _looked_for(pair)
        if not looked_for:
            nothing.append(pair.name)
        predicted |= pair.prediction.listed | (set(looked_for) if pair.prediction.is_open else set())
        wanted |= dict.fromkeys(looked_for)
        rows += _compare(pair, tolerance_mm)
        if on_case is not None:
            on_case(number, len(pairing.readers))
    never = [name for name in wanted if name not in predicted]
    rows = [row for row in rows if row.structure in predicted]
    notes = pairing.notes
    if never:
        notes = (*notes, f"In the references, but in no prediction, and left out: {', '.join(never)}.")
    unknown = sorted(predicted - set(wanted))
    if unknown:
        notes = (*notes, f"Predicted, but in no reference, and left out: {', '.join(unknown)}.")
    if nothing:
        notes = (*notes, f"Nothing is drawn in the reference of {', '.join(nothing)}; left out.")
    if not wanted:
        msg = f"nothing is drawn in the references {references}; no case can be compared."
        raise InputError(msg)
    if not rows:
        msg = (
            f"no structure of {predictions} is one of {references}: predicted are {', '.join(sorted(predicted))}; "
            f"the references have {', '.join(wanted)}. Names of label maps are given with --names."
        )
        raise InputError(msg)
    result = Evaluation(tuple(rows), tolerance_mm, notes, pairing)
    if out is not None:
        write_numbers(result, Path(out))
        if report:
            from HQCSegmentLib.evaluation.commissioning import write_report

            write_report(result, Path(out))
    return result


def write_numbers(result: Evaluation, out: Path) -> None:
    """Write `metrics.csv` and `metrics.json`."""
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=["case", "structure", *METRICS], lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.as_row() for row in result.rows)
    write_text(out / "metrics.csv", table.getvalue())
    content = {
        "tolerance_mm": result.tolerance_mm,
        "cases": [row.as_row() | {"failure": row.failure or None} for row in result.rows],
        "summary": [one.as_json() for one in result.summary()],
        "notes": list(result.notes),
    }
    write_json(out / "metrics.json", content)


def _looked_for(pair: CasePair) -> list[str]:
    """Structures that the reference of a case has, or is known not to have."""
    return sorted(pair.reference.listed | (set(pair.prediction.boxes) if pair.reference.is_open else set()))


def _compare(pair: CasePair, tolerance_mm: float) -> list[Comparison]:
    """Compare every structure that the reference of a case was looked through for."""
    rows = []
    for structure in _looked_for(pair):
        prediction, reference = pair.masks(structure)
        found = compare_masks(
            prediction=prediction, reference=reference, spacing=pair.grid.spacing, tolerance_mm=tolerance_mm
        )
        rows.append(Comparison(pair.name, structure, found))
    return rows
