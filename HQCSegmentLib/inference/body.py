"""Where the patient is: found at low resolution first, so that windows are laid there only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from HQCSegmentLib.cohort.fingerprint import Intensities
from HQCSegmentLib.cohort.hounsfield import AIR_HU
from HQCSegmentLib.imaging import Image, Reorientation
from HQCSegmentLib.inference.windows import Box, Triple

COARSE_MM = 4.0
"""Distance of the voxels that are looked at."""

MARGIN_MM = 20.0
"""Left around the body."""

SMALLEST_PART = 0.01
"""Of the largest piece, that another must have to be counted as the patient's."""


def body_box(image: Image, seen: Intensities, *, spacing: tuple[float, float, float]) -> Box | None:
    """Box around all pieces of a CT that are no air, on the grid that preparation gives.

    Pieces far smaller than the largest do not count, such as noise; legs and arms apart from each other do.

    Args:
        image: As it came; its first channel is looked at.
        seen: Intensities of that channel in training.
        spacing: Of the prepared grid along R, A, S in mm.

    Returns:
        None where the model was not trained on CT, or nothing is above the threshold.
    """
    from scipy.ndimage import find_objects
    from skimage.measure import label

    if not seen.hounsfield:
        return None
    reorientation = Reorientation.to_ras(image.affine)
    grid = image.grid.reoriented(reorientation)
    steps = [max(1, int(COARSE_MM / own)) for own in grid.spacing]
    coarse = reorientation.apply(image.array)[tuple(slice(None, None, step) for step in steps)]
    pieces = label(coarse > AIR_HU - seen.offset, connectivity=1)
    sizes = np.bincount(pieces.ravel())[1:]
    if not len(sizes):
        return None
    boxes = [box for box, size in zip(find_objects(pieces), sizes, strict=True) if size >= SMALLEST_PART * sizes.max()]
    target = grid.resampled(spacing)
    result = []
    for axis, (step, own) in enumerate(zip(steps, grid.spacing, strict=True)):
        scale = target.shape[axis] / grid.shape[axis]
        low = (min(box[axis].start for box in boxes) - 1) * step - MARGIN_MM / own
        high = (max(box[axis].stop for box in boxes) + 1) * step + MARGIN_MM / own
        result.append((max(0, int(low * scale)), min(target.shape[axis], int(np.ceil(high * scale)))))
    return result[0], result[1], result[2]


def at_least(box: Box, window: tuple[int, ...], shape: Triple) -> Box:
    """A box that is no shorter than a window where the grid is not, so that the network sees no padding in its place.

    Args:
        box: Part of a grid.
        window: Voxels along R, A, S (2D: R, A).
        shape: Voxels of the grid.
    """
    result = []
    for (low, high), least, size in zip(box, (*window, 1)[:3], shape, strict=True):
        start = max(0, min(low, (low + high - least) // 2))
        stop = min(size, max(high, start + least))
        result.append((max(0, min(start, stop - least)), stop))
    return result[0], result[1], result[2]


def with_surroundings(planes: Iterable[Tensor], shape: Triple, box: Box, *, axis: int) -> Iterator[Tensor]:
    """Planes of scores of the whole grid from those of a box; around it the background wins.

    A plane is valid until the next is asked for.

    Args:
        planes: (structures + 1, first, second) of the box, across `axis`.
        shape: Voxels of the whole grid along R, A, S.
        box: Part of the grid.
        axis: 0, 1 or 2.
    """
    first, second = (one for one in range(3) if one != axis)
    inside = (slice(None), slice(*box[first]), slice(*box[second]))
    around: Tensor | None = None
    whole: Tensor | None = None
    for plane in planes:
        if around is None or whole is None:
            around = torch.zeros((len(plane), shape[first], shape[second]), device=plane.device)
            around[0] = 1
            whole = around.clone()
            yield from (around for _ in range(box[axis][0]))
        whole[inside] = plane
        yield whole
    assert around is not None
    yield from (around for _ in range(shape[axis] - box[axis][1]))
