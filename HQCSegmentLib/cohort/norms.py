"""What each structure is like in the cases of a cohort: how large, how dense, and where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from HQCSegmentLib.cohort.case import LabelledCase
from HQCSegmentLib.imaging import Grid

Range = tuple[float, float]


class StructureNorm(BaseModel):
    """Lowest and highest of a structure's measures over the cases where it was drawn and not empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: int = Field(description="number of cases measured")
    drawn: int = Field(description="number of cases where the structure was drawn or known to be absent")
    volume_ml: Range = Field(description="volume in ml")
    intensity: Range = Field(description="median intensity inside (HU for CT)")
    position_mm: tuple[Range, Range, Range] = Field(
        description="centre along R, A, S in mm, from the mean of the centres of all structures of the case"
    )
    cut: int = Field(description="number of cases where it reaches the first or last slice of the image along S")


class Measured(BaseModel):
    """Measures of one structure in one label map; fields as in `StructureNorm`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    volume_ml: float
    intensity: float
    position_mm: tuple[float, float, float]
    cut: bool


def measure_structures(
    image: npt.NDArray, label: npt.NDArray, grid: Grid, values: Mapping[int, str]
) -> dict[str, Measured]:
    """Measure the structures that a label map holds, by name.

    Args:
        image: Intensities, (i, j, k).
        label: Label map of the same shape.
        grid: Where the voxels are.
        values: Names by label value.
    """
    from scipy.ndimage import find_objects

    boxes = find_objects(label, max_label=max(values, default=0))
    axis = int(np.abs(grid.affine[2, :3]).argmax())
    found: dict[str, Measured] = {}
    for value, name in values.items():
        box = boxes[value - 1] if value <= len(boxes) else None
        if box is None:
            continue
        mask = label[box] == value
        centre = np.argwhere(mask).mean(axis=0) + [side.start for side in box]
        position = grid.affine[:3, :3] @ centre + grid.affine[:3, 3]
        found[name] = Measured(
            volume_ml=float(mask.sum()) * grid.voxel_millilitres,
            intensity=float(np.median(image[box][mask])),
            position_mm=(float(position[0]), float(position[1]), float(position[2])),
            cut=box[axis].start == 0 or box[axis].stop == label.shape[axis],
        )
    return found


def relative(found: Mapping[str, Measured], *, among: Iterable[str] | None = None) -> dict[str, npt.NDArray]:
    """Positions in mm from the mean position of the structures `among` them (all by default)."""
    names = [name for name in (among if among is not None else found) if name in found]
    if not names:
        return {}
    middle = np.mean([found[name].position_mm for name in names], axis=0)
    return {name: np.asarray(one.position_mm) - middle for name, one in found.items()}


def structure_norms(cases: Iterable[LabelledCase], structures: Mapping[int, str]) -> dict[str, StructureNorm]:
    """Norms of the structures of labelled cases, by name; those that no case shows are left out.

    Positions are compared only between cases that show the same structures, since they are told from the middle of all
    of them: here those of the case that shows most.

    Args:
        cases: With the contours that were drawn.
        structures: Names by label value.
    """
    measured: list[dict[str, Measured]] = []
    drawn = dict.fromkeys(structures.values(), 0)
    for case in cases:
        for value in case.known & structures.keys():
            drawn[structures[value]] += 1
        measured.append(measure_structures(case.image.array, case.label, case.image.grid, structures))
    most = max(measured, key=len, default={})
    norms = {}
    for name in structures.values():
        there = [one for one in measured if name in one]
        if not there:
            continue
        places = [relative(one, among=most)[name] for one in there if most.keys() <= one.keys()]
        if not places:
            places = [relative(there[0])[name]]
        low, high = np.min(places, axis=0), np.max(places, axis=0)
        norms[name] = StructureNorm(
            cases=len(there),
            drawn=drawn[name],
            volume_ml=_range([one[name].volume_ml for one in there]),
            intensity=_range([one[name].intensity for one in there]),
            position_mm=tuple((float(a), float(b)) for a, b in zip(low, high, strict=True)),  # type: ignore[arg-type]
            cut=sum(one[name].cut for one in there),
        )
    return norms


def _range(values: list[float]) -> Range:
    return min(values), max(values)
