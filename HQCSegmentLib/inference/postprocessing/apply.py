"""Post-processing of a label map."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.bundle.postprocessing import PostProcessing
from HQCSegmentLib.imaging.structure import Structure
from HQCSegmentLib.inference.postprocessing.operations import (
    Mask,
    fill_holes,
    keep_largest,
    keep_touching,
    remove_small,
    smooth,
)

Labels = npt.NDArray[np.unsignedinteger]


def postprocess(
    array: Labels,
    *,
    structures: Sequence[Structure],
    settings: Mapping[str, PostProcessing],
    spacing: tuple[float, float, float],
) -> Labels:
    """Label map after the steps of each structure, in order of `structures`.

    What is removed becomes background, and what is added takes background only: no structure loses voxels to another.

    Args:
        array: Label map, (i, j, k).
        structures: What the values stand for.
        settings: Steps by name of the structure; names that are not there are left alone.
        spacing: Millimetres along i, j, k.

    Returns:
        A new array of the same type; `array` itself where nothing is to be done.
    """
    wanted = [one for one in structures if not settings.get(one.name, PostProcessing()).does_nothing]
    if not wanted:
        return array
    value_of = {one.name: one.value for one in structures}
    result = array.copy()
    for structure in wanted:
        steps = settings[structure.name]
        box = _box(result, structure.value, steps, spacing)
        if box is None:
            continue
        part = result[box]
        mask = part == structure.value
        organ = part == value_of[steps.inside] if steps.inside in value_of else None
        changed = refine(mask, steps, spacing=spacing, organ=organ)
        part[mask & ~changed] = 0
        part[changed & (part == 0)] = structure.value
    return result


def refine(
    mask: Mask, steps: PostProcessing, *, spacing: tuple[float, float, float], organ: Mask | None = None
) -> Mask:
    """The mask of one structure after its steps.

    Args:
        mask: (i, j, k).
        steps: What is done.
        spacing: Millimetres along i, j, k.
        organ: The structure that `steps.inside` names, of the shape of `mask`; None: that step is left out.
    """
    if organ is not None:
        mask = keep_touching(mask, organ)
    if steps.minimum_ml:
        mask = remove_small(mask, voxels=steps.minimum_ml * 1000 / math.prod(spacing))
    if steps.largest_component:
        mask = keep_largest(mask)
    if steps.fill_holes:
        mask = fill_holes(mask)
    if steps.smoothing_mm:
        mask = smooth(mask, sigma_mm=steps.smoothing_mm, spacing=spacing)
    return mask


def _box(
    array: Labels, value: int, steps: PostProcessing, spacing: tuple[float, float, float]
) -> tuple[slice, slice, slice] | None:
    """Where a structure lies, with room for what is added around it and for a neighbour that it touches."""
    mask = array == value
    ranges = []
    for axis, step in enumerate(spacing):
        there = np.flatnonzero(mask.any(axis=tuple(one for one in range(3) if one != axis)))
        if not len(there):
            return None
        room = math.ceil(2 * steps.smoothing_mm / step) + 1
        ranges.append(slice(max(0, int(there[0]) - room), int(there[-1]) + room + 1))
    return ranges[0], ranges[1], ranges[2]
