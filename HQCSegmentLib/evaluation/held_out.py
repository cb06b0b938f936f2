"""What is known of the held-out cases of a run: `held_out/` in its folder, with scores and a picture of every case.

The folder stays with the run and is not passed on: it has the aliases of the cases and pictures of the patients.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.evaluation.figures import contour_figure
from HQCSegmentLib.evaluation.pictures import png
from HQCSegmentLib.files import replacing_folder, write_json
from HQCSegmentLib.imaging import Image, Structure

FOLDER = "held_out"

AROUND_ALL_MM, AROUND_ONE_MM = 50.0, 25.0
"""What pictures show around the structures: enough to see where one is."""


@dataclass(frozen=True)
class HeldOutCase:
    """Scores of one case.

    Attributes:
        case: Alias.
        dice: Of each drawn structure.
        surface_dice: Of each drawn structure.
        picture: File with all contours, relative to the folder.
        weakest: Structure with the lowest Dice; empty if none is drawn.
        weakest_picture: File with its contours alone.
    """

    case: str
    dice: dict[str, float]
    surface_dice: dict[str, float]
    picture: str
    weakest: str
    weakest_picture: str


@dataclass(frozen=True, eq=False)
class Compared:
    """A held-out case to write down.

    Attributes:
        case: Alias.
        image: As it came.
        reference: Output indices, (i, j, k).
        prediction: Output indices, (i, j, k).
        dice: Of each drawn structure.
        surface_dice: Of each drawn structure.
    """

    case: str
    image: Image
    reference: npt.NDArray[np.integer]
    prediction: npt.NDArray[np.integer]
    dice: dict[str, float]
    surface_dice: dict[str, float]


def write_held_out(run: Path, cases: Sequence[Compared], labels: Sequence[Structure]) -> None:
    """Write scores and pictures, replacing what an earlier end of the run has left."""
    by_output = [one.model_copy(update={"value": index}) for index, one in enumerate(labels, start=1)]
    with replacing_folder(run / FOLDER) as folder:
        rows = [_write(folder, number, case, by_output) for number, case in enumerate(cases, start=1)]
        write_json(folder / "scores.json", [asdict(row) for row in rows])


def _write(folder: Path, number: int, case: Compared, structures: Sequence[Structure]) -> HeldOutCase:
    weakest = min(case.dice, key=lambda name: case.dice[name], default="")
    pictures = {f"{number}.png": structures}
    if weakest:
        pictures[f"{number}_weakest.png"] = [one for one in structures if one.name == weakest]
    for name, shown in pictures.items():
        what = "all structures" if name == f"{number}.png" else weakest
        title = f"{case.case}: {what} (solid: reference, dashed: model)"
        figure = contour_figure(
            case.image.array,
            case.image.affine,
            case.reference,
            case.prediction,
            shown,
            title=title,
            margin_mm=AROUND_ALL_MM if shown is structures else AROUND_ONE_MM,
        )
        (folder / name).write_bytes(png(figure))
    last = f"{number}_weakest.png" if weakest else ""
    return HeldOutCase(case.case, case.dice, case.surface_dice, f"{number}.png", weakest, last)


def read_held_out(run: Path) -> list[tuple[HeldOutCase, Path]]:
    """Held-out cases of a run, or of all its folds, with the folder of their pictures; those without scores last."""
    folders = sorted(run.glob(f"fold*/{FOLDER}"), key=lambda path: int(path.parent.name.removeprefix("fold")))
    found = []
    for folder in folders or [run / FOLDER]:
        if (folder / "scores.json").is_file():
            rows = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
            found += [(HeldOutCase(**row), folder) for row in rows]
    return found
