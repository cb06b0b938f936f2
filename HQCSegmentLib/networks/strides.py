"""How often a network halves each axis, where voxels are longer along one than along others."""

from __future__ import annotations

from collections.abc import Sequence

FAR_APART = 2.0
"""An axis with voxels so many times as long as the shortest is not halved, as in nnU-Net (Isensee et al. 2021)."""


def strides_for(spacing: Sequence[float], *, levels: int) -> list[list[int]]:
    """Stride of every level along each axis, 2 or 1: long axes are halved only when the others have caught up.

    Args:
        spacing: Of the images, in mm, along each axis.
        levels: How often the network makes its images smaller.
    """
    strides = []
    spacing = list(spacing)
    for _ in range(levels):
        shortest = min(spacing)
        step = [1 if length >= FAR_APART * shortest else 2 for length in spacing]
        strides.append(step)
        spacing = [length * factor for length, factor in zip(spacing, step, strict=True)]
    return strides


def kernels_for(strides: Sequence[Sequence[int]]) -> list[list[int]]:
    """Kernel of every level, the first that is not made smaller among them: 1 along an axis that is to be halved later.

    Args:
        strides: By `strides_for`.
    """
    return [[3 if step == 2 else 1 for step in level] for level in (*strides, [2] * len(strides[-1]))]
