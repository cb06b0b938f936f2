"""What is lost when small structures go to a coarser working grid and back.

    python Testing/Benchmarks/coarse_grid.py [COHORT]

Balls of 14 to 18 mm radius at random places, or the contours of the first 40 cases of a cohort, go to a grid that is
coarser by a factor, and come back by `restore`:

- as label maps, each voxel of one structure: what a network gives that is sure of every voxel;
- as the part of each coarse voxel that is inside, in logits: what a network gives that knows how much of a border voxel
  belongs to the structure.

Printed is Dice with what it was, mean and least; of a cohort over its cases, each the mean of its structures.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from HQCSegmentLib.cohort import Cohort, Prepared, restore
from HQCSegmentLib.cohort.resampling import resample_label
from HQCSegmentLib.evaluation.metrics import dice
from HQCSegmentLib.imaging import Grid, Reorientation

BALLS, VOXELS = 12, 60
CASES = 40
RADII_MM = (14.0, 18.0)
CERTAIN = 1e-3


def ball(random: np.random.Generator, spacing: float) -> NDArray[np.bool_]:
    """A ball in a cube of VOXELS voxels a side."""
    centre = VOXELS / 2 - 0.5 + random.uniform(-1, 1, 3)
    places = np.stack(np.meshgrid(*[np.arange(VOXELS)] * 3, indexing="ij"), -1)
    return np.asarray(np.linalg.norm(places - centre, axis=-1) < random.uniform(*RADII_MM) / spacing)


def parts_inside(mask: NDArray[np.bool_], shape: Sequence[int]) -> NDArray[np.float64]:
    """Part of each voxel of a coarser grid of `shape` voxels over the same box that is inside."""
    means = []
    for fine, coarse in zip(mask.shape, shape, strict=True):
        edges = np.arange(coarse + 1) * fine / coarse
        first, last = np.arange(fine), np.arange(fine) + 1
        overlap = np.clip(np.minimum(edges[1:, None], last) - np.maximum(edges[:-1, None], first), 0, None)
        means.append(overlap / overlap.sum(axis=1, keepdims=True))
    return np.asarray(np.einsum("ai,bj,ck,ijk->abc", *means, mask.astype(float), optimize=True))


def there_and_back(label: NDArray[np.integer], factor: float) -> tuple[float, float]:
    """Mean Dice of the structures of a label map: as label maps on the coarser grid, and as parts of its voxels."""
    shape = tuple(max(1, round(side / factor)) for side in label.shape)
    values = np.unique(label).tolist()
    coarse = resample_label(label.astype(np.uint16), shape)
    certain = np.stack([coarse == value for value in values]).astype(np.float32)
    parts = np.log(np.stack([parts_inside(label == value, shape) for value in values]).clip(CERTAIN))
    grid, turn = Grid(label.shape, np.eye(4)), Reorientation.to_ras(np.eye(4))
    found = []
    for scores in (certain, parts.astype(np.float32)):
        back = restore(torch.from_numpy(scores), Prepared(scores[:1], Grid(shape, np.eye(4)), grid, turn))
        found.append(np.mean([dice(back == n, label == value) for n, value in enumerate(values) if value]))
    return float(found[0]), float(found[1])


def show(spacing: str, factor: float, rows: list[tuple[float, float]]) -> None:
    """Print a line of the table."""
    (hard, soft), (least_hard, least_soft) = np.mean(rows, axis=0), np.min(rows, axis=0)
    print(f"{spacing:>7} {factor:6.1f}  {hard:.4f} ({least_hard:.4f})  {soft:.4f} ({least_soft:.4f})", flush=True)


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("cohort", nargs="?", type=Path)
    folder = options.parse_args().cohort
    print("spacing  factor  label maps       parts of voxels")
    if folder is not None:
        cohort = Cohort.open(folder)
        labels = [case.read(cohort.structures).label for case in cohort.cases[:CASES]]
        for factor in (1.5, 2.0, 3.0):
            show("own", factor, [there_and_back(label, factor) for label in labels if label.any()])
        return
    for spacing in (1.0, 2.0, 3.0):
        for factor in (1.5, 2.0):
            random = np.random.default_rng(0)
            balls = [ball(random, spacing) for _ in range(BALLS)]
            show(f"{spacing:.1f} mm", factor, [there_and_back(mask.astype(np.uint8), factor) for mask in balls])


if __name__ == "__main__":
    main()
