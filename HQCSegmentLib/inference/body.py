"""Where the patient is: found at low resolution first, so that windows are laid there only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor

from HQCSegmentLib.bundle import Manifest
from HQCSegmentLib.cohort.hounsfield import AIR_HU
from HQCSegmentLib.imaging import Image, Reorientation
from HQCSegmentLib.inference.windows import Box, Triple

COARSE_MM = 4.0
"""Distance of the voxels that are looked at."""

MARGIN_MM = 20.0
"""Left around the body."""


def body_box(image: Image, manifest: Manifest) -> Box | None:
    """Box around the largest connected piece of a CT that is no air, on the grid that the model's preparation gives.

    None where the model's images are not CT, or nothing is above the threshold.
    """
    from skimage.measure import label, regionprops

    measured = manifest.fingerprint.channels[0]
    if not measured.hounsfield:
        return None
    reorientation = Reorientation.to_ras(image.affine)
    grid = image.grid.reoriented(reorientation)
    steps = [max(1, int(COARSE_MM / spacing)) for spacing in grid.spacing]
    coarse = reorientation.apply(image.array)[tuple(slice(None, None, step) for step in steps)]
    pieces = regionprops(label(coarse > AIR_HU - measured.offset, connectivity=1))
    if not pieces:
        return None
    bounds = max(pieces, key=lambda piece: piece.area).bbox
    target = grid.resampled(manifest.preprocessing.spacing)
    box = []
    for axis, (step, spacing) in enumerate(zip(steps, grid.spacing, strict=True)):
        scale = target.shape[axis] / grid.shape[axis]
        low = (bounds[axis] - 1) * step - MARGIN_MM / spacing
        high = (bounds[axis + 3] + 1) * step + MARGIN_MM / spacing
        box.append((max(0, int(low * scale)), min(target.shape[axis], int(np.ceil(high * scale)))))
    return box[0], box[1], box[2]


def with_surroundings(planes: Iterable[Tensor], shape: Triple, box: Box, *, axis: int) -> Iterator[Tensor]:
    """Planes of scores of the whole grid from those of a box; around it the background wins.

    Args:
        planes: (structures + 1, first, second) of the box, across `axis`.
        shape: Voxels of the whole grid along R, A, S.
        box: Part of the grid.
        axis: 0, 1 or 2.
    """
    first, second = (one for one in range(3) if one != axis)
    inside = (slice(None), slice(*box[first]), slice(*box[second]))
    around: Tensor | None = None
    for plane in planes:
        if around is None:
            around = torch.zeros((len(plane), shape[first], shape[second]), device=plane.device)
            around[0] = 1
            yield from (around for _ in range(box[axis][0]))
        whole = around.clone()
        whole[inside] = plane
        yield whole
    assert around is not None
    yield from (around for _ in range(shape[axis] - box[axis][1]))
