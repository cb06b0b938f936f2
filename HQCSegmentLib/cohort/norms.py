"""What each structure is like in the cases of a cohort: how large, how dense, unlike what lies around it, and where."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from HQCSegmentLib.cohort.appearance import standardised
from HQCSegmentLib.cohort.case import LabelledCase
from HQCSegmentLib.imaging import Grid

Range = tuple[float, float]

AROUND_MM = 5.0
"""How far the surroundings reach that a structure is compared with."""

STRAY_PART = 0.025
"""Of a structure's voxels, that its length leaves out at each end."""

MOST_VOXELS = 2_000_000
"""Of a box that surroundings are looked for in; larger structures are looked at in steps."""


class StructureNorm(BaseModel):
    """Lowest and highest of a structure's measures over the cases where it was drawn and not empty."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: int = Field(description="number of cases measured")
    drawn: int = Field(description="number of cases where the structure was drawn or known to be absent")
    volume_ml: Range = Field(description="volume in ml")
    intensity: Range = Field(description="median intensity inside: HU as stored, or deviations from the mean")
    contrast: Range | None = Field(
        default=None,
        description="median intensity inside minus that of the surroundings, in HU or deviations; null in models of "
        "earlier versions",
    )
    extent_mm: tuple[Range, Range, Range] | None = Field(
        default=None,
        description="length along R, A, S in mm, without 2.5 % of the voxels at each end; null as above",
    )
    position_mm: tuple[Range, Range, Range] = Field(
        description="centre along R, A, S in mm, from the mean of the centres of all structures of the case"
    )
    cut: int = Field(description="number of cases where it reaches the first or last slice of the image along S")


class Measured(BaseModel):
    """Measures of one structure in one label map; fields as in `StructureNorm`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    volume_ml: float
    intensity: float
    contrast: float | None
    extent_mm: tuple[float, float, float]
    position_mm: tuple[float, float, float]
    cut: bool


def measure_structures(
    image: npt.NDArray, label: npt.NDArray, grid: Grid, values: Mapping[int, str]
) -> dict[str, Measured]:
    """Measure the structures that a label map holds, by name.

    Args:
        image: Intensities, (i, j, k): HU as stored, or deviations from the image's mean.
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
        sizes = np.abs(grid.affine[:3, :3]) @ [_length(mask, axis) for axis in range(3)]
        inside, around = float(np.median(image[box][mask])), _median_around(image, label, value, box, grid)
        found[name] = Measured(
            volume_ml=float(mask.sum()) * grid.voxel_millilitres,
            intensity=inside,
            contrast=None if around is None else inside - around,
            extent_mm=(float(sizes[0]), float(sizes[1]), float(sizes[2])),
            position_mm=(float(position[0]), float(position[1]), float(position[2])),
            cut=box[axis].start == 0 or box[axis].stop == label.shape[axis],
        )
    return found


def _length(mask: npt.NDArray[np.bool_], axis: int) -> int:
    """Voxels along an axis that a mask spans, without the outermost voxels at each end, which may be stray."""
    counts = mask.sum(axis=tuple(one for one in range(3) if one != axis)).cumsum()
    first, last = np.searchsorted(counts, [STRAY_PART * counts[-1], (1 - STRAY_PART) * counts[-1]])
    return int(last - first) + 1


def _median_around(
    image: npt.NDArray, label: npt.NDArray, value: int, box: tuple[slice, ...], grid: Grid
) -> float | None:
    """Median intensity of what lies within `AROUND_MM` along an axis; None where the structure fills the image."""
    reach = [max(1, round(AROUND_MM / step)) for step in grid.spacing]
    wider = tuple(slice(max(0, side.start - far), side.stop + far) for side, far in zip(box, reach, strict=True))
    step = max(1, round((label[wider].size / MOST_VOXELS) ** (1 / 3)))
    thinned = (slice(None, None, step),) * 3
    mask = label[wider][thinned] == value
    near = mask.copy()
    for axis, far in enumerate(reach):
        shift = max(1, far // step)
        ahead, behind = [slice(None)] * 3, [slice(None)] * 3
        ahead[axis], behind[axis] = slice(shift, None), slice(None, -shift)
        near[tuple(ahead)] |= mask[tuple(behind)]
        near[tuple(behind)] |= mask[tuple(ahead)]
    near &= ~mask
    return float(np.median(image[wider][thinned][near])) if near.any() else None


def relative(found: Mapping[str, Measured], *, among: Iterable[str] | None = None) -> dict[str, npt.NDArray]:
    """Positions (R, A, S) in mm from the mean position of the structures `among` them (all by default), by name."""
    names = [name for name in (among if among is not None else found) if name in found]
    if not names:
        return {}
    middle = np.mean([found[name].position_mm for name in names], axis=0)
    return {name: np.asarray(one.position_mm) - middle for name, one in found.items()}


def structure_norms(
    cases: Iterable[LabelledCase], structures: Mapping[int, str], *, hounsfield: bool
) -> dict[str, StructureNorm]:
    """Norms of the structures of labelled cases, by name; those that no case shows are left out.

    Positions are compared only between cases that show the same structures, since they are told from the middle of all
    of them: here those of the case that shows most.

    Args:
        cases: With the contours that were drawn.
        structures: Names by label value.
        hounsfield: Intensities have an absolute scale; else each image is measured in its own deviations.
    """
    measured: list[dict[str, Measured]] = []
    drawn = dict.fromkeys(structures.values(), 0)
    for case in cases:
        for value in case.known & structures.keys():
            drawn[structures[value]] += 1
        image = case.image.array if hounsfield else standardised(case.image.array)
        measured.append(measure_structures(image, case.label, case.image.grid, structures))
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
        contrasts = [float(seen) for one in there if (seen := one[name].contrast) is not None]
        extents = [_range([one[name].extent_mm[axis] for one in there]) for axis in range(3)]
        norms[name] = StructureNorm(
            cases=len(there),
            drawn=drawn[name],
            volume_ml=_range([one[name].volume_ml for one in there]),
            intensity=_range([one[name].intensity for one in there]),
            contrast=_range(contrasts) if contrasts else None,
            extent_mm=(extents[0], extents[1], extents[2]),
            position_mm=tuple((float(a), float(b)) for a, b in zip(low, high, strict=True)),  # type: ignore[arg-type]
            cut=sum(one[name].cut for one in there),
        )
    return norms


def _range(values: list[float]) -> Range:
    return min(values), max(values)
