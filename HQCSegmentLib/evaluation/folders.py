"""Comparing a folder of label maps with a folder of references."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.evaluation.metrics import dice
from HQCSegmentLib.files import write_json, write_text
from HQCSegmentLib.imaging import GRID_TOLERANCE_VOXELS, read_label_map
from HQCSegmentLib.imaging.image_files import image_stem, image_suffix


@dataclass(frozen=True)
class Agreement:
    """One structure of one case."""

    case: str
    structure: str
    dice: float
    predicted_ml: float
    reference_ml: float


@dataclass(frozen=True)
class StructureSummary:
    """One structure over all cases."""

    structure: str
    cases: int
    mean_dice: float
    lowest_dice: float


@dataclass(frozen=True)
class Evaluation:
    """All comparisons."""

    rows: tuple[Agreement, ...]

    def summary(self) -> list[StructureSummary]:
        """Per structure, in order of first appearance."""
        result = []
        for name in dict.fromkeys(row.structure for row in self.rows):
            values = [row.dice for row in self.rows if row.structure == name]
            result.append(StructureSummary(name, len(values), float(np.mean(values)), min(values)))
        return result


def evaluate(
    predictions: str | Path,
    references: str | Path,
    *,
    out: str | Path | None = None,
    names: dict[int, str] | None = None,
) -> Evaluation:
    """Compare label map files of equal name.

    Args:
        predictions: Folder of label maps.
        references: Folder of label maps; each must have a prediction.
        out: Folder for `metrics.csv` and `metrics.json`; None: nothing is written.
        names: Structure names by label value; `structure_<value>` for others.

    Raises:
        InputError: if a folder is empty, a prediction is missing, a case has two files in one folder, a file is no
            label map, or a pair is not on the same grid.
    """
    pairs = _pairs(Path(predictions), Path(references))
    rows: list[Agreement] = []
    for case, prediction_path, reference_path in pairs:
        prediction = read_label_map(prediction_path, name=f"case {case}")
        reference = read_label_map(reference_path, name=f"case {case}")
        difference = prediction.grid.difference(reference.grid)
        if difference > GRID_TOLERANCE_VOXELS:
            msg = f"case {case}: {prediction_path} and {reference_path} are not on the same grid."
            raise InputError(msg)
        millilitres = reference.grid.voxel_millilitres
        values = sorted({int(v) for v in np.union1d(prediction.array, reference.array)} - {0})
        for value in values:
            mask, truth = prediction.array == value, reference.array == value
            name = (names or {}).get(value, f"structure_{value}")
            volumes = (float(mask.sum() * millilitres), float(truth.sum() * millilitres))
            rows.append(Agreement(case, name, dice(mask, truth), *volumes))
    result = Evaluation(tuple(rows))
    if out is not None:
        _write(result, Path(out))
    return result


def _pairs(predictions: Path, references: Path) -> list[tuple[str, Path, Path]]:
    for folder in (predictions, references):
        if not folder.is_dir():
            msg = f"the folder {folder} does not exist."
            raise InputError(msg)
    found, wanted = _label_maps(predictions), _label_maps(references)
    if not wanted:
        msg = f"{references} holds no label maps."
        raise InputError(msg)
    missing = sorted(set(wanted) - set(found))
    if missing:
        msg = f"case {missing[0]}: {predictions} holds no prediction ({len(missing)} of {len(wanted)} are missing)."
        raise InputError(msg)
    return [(case, found[case], path) for case, path in wanted.items()]


def _label_maps(folder: Path) -> dict[str, Path]:
    """Label map files by case; hidden files are left out."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or image_suffix(path) is None:
            continue
        case = image_stem(path)
        if case in found:
            msg = f"case {case}: {folder} holds more than one file ({found[case].name}, {path.name}); keep one of them."
            raise InputError(msg)
        found[case] = path
    return found


def _write(result: Evaluation, out: Path) -> None:
    table = io.StringIO()
    writer = csv.DictWriter(table, fieldnames=list(Agreement.__dataclass_fields__), lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in result.rows)
    write_text(out / "metrics.csv", table.getvalue())
    content = {
        "cases": [asdict(row) for row in result.rows],
        "summary": [asdict(row) for row in result.summary()],
    }
    write_json(out / "metrics.json", content)
