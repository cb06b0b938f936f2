"""What is lost when small structures go to a coarser working grid and back.

    python Testing/Benchmarks/coarse_grid.py

Balls of 14 to 18 mm radius at random places go to a grid that is coarser by a factor, and come back by `restore`:

- as label maps, each voxel of one structure: what a network gives that is sure of every voxel;
- as the part of each coarse voxel that is inside, in logits: what a network gives that knows how much of a border voxel
  belongs to the structure.

Printed is Dice with the ball as it was, mean and least.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from HQCSegmentLib.cohort import Prepared, restore
from HQCSegmentLib.cohort.resampling import resample_label
from HQCSegmentLib.imaging import Grid, Reorientation

BALLS, VOXELS = 12, 60
RADII_MM = (14.0, 18.0)
CERTAIN = 1e-3


def ball(random: np.random.Generator, spacing: float) -> NDArray[np.bool_]:
    """A ball in a cube of VOXELS voxels a side."""
    centre = VOXELS / 2 - 0.5 + random.uniform(-1, 1, 3)
    places = np.stack(np.meshgrid(*[np.arange(VOXELS)] * 3, indexing="ij"), -1)
    return np.asarray(np.linalg.norm(places - centre, axis=-1) < random.uniform(*RADII_MM) / spacing)


def parts_inside(mask: NDArray[np.bool_], factor: float) -> NDArray[np.float64]:
    """Part of each voxel of the coarser grid that is inside."""
    number = round(VOXELS / factor)
    edges = np.arange(number + 1) * VOXELS / number
    fine = np.arange(VOXELS)
    overlap = np.clip(np.minimum(edges[1:, None], fine + 1) - np.maximum(edges[:-1, None], fine), 0, None)
    mean = overlap / overlap.sum(axis=1, keepdims=True)
    return np.asarray(np.einsum("ai,bj,ck,ijk->abc", mean, mean, mean, mask.astype(float), optimize=True))


def dice_of(scores: NDArray, mask: NDArray[np.bool_]) -> float:
    """Dice of what comes back with what it was; `scores` are positive inside."""
    both = torch.from_numpy(np.stack([np.zeros_like(scores), scores])).float()
    grid, turn = Grid(mask.shape, np.eye(4)), Reorientation.to_ras(np.eye(4))
    found = restore(both, Prepared(scores[None].astype(np.float32), Grid(scores.shape, np.eye(4)), grid, turn)) == 1
    return 2 * float((found & mask).sum()) / float(found.sum() + mask.sum())


def main() -> None:
    """Print the table."""
    print("spacing  factor  label maps       parts of voxels")
    for spacing in (1.0, 2.0, 3.0):
        for factor in (1.5, 2.0):
            random = np.random.default_rng(0)
            rows = []
            for _ in range(BALLS):
                mask = ball(random, spacing)
                coarse = resample_label(mask.astype(np.uint16), (round(VOXELS / factor),) * 3)
                part = np.clip(parts_inside(mask, factor), CERTAIN, 1 - CERTAIN)
                rows.append((dice_of(coarse - 0.5, mask), dice_of(np.log(part / (1 - part)), mask)))
            (hard, soft), (least_hard, least_soft) = np.mean(rows, axis=0), np.min(rows, axis=0)
            print(
                f"{spacing:4.1f} mm {factor:6.1f}  {hard:.4f} ({least_hard:.4f})  {soft:.4f} ({least_soft:.4f})",
                flush=True,
            )


if __name__ == "__main__":
    main()
