"""Images and label maps of a few hundred voxels, for tests of what lies on disk."""

from __future__ import annotations

import numpy as np

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])
SHAPE = (8, 9, 10)


def image(seed: int = 0) -> np.ndarray:
    """Noise, another for every seed."""
    return np.random.default_rng(seed).normal(100, 10, SHAPE).astype(np.float32)


def label(*values: int) -> np.ndarray:
    """A slab for each value."""
    array = np.zeros(SHAPE, np.uint8)
    for place, value in enumerate(values):
        array[2 * place : 2 * place + 2, 2:7, 2:7] = value
    return array
