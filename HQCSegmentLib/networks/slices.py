"""2.5D: a 2D network that sees each slice with its neighbours, as inputs of their own, and labels the middle one.

Han 2017 (arXiv:1704.07239); measured on several cohorts by Vu et al. 2020 (Medical Physics, arXiv:1912.09287).

Training, prediction and the surgery on networks take the order of the inputs from here: the slices of the first image
from feet to head, then those of the next. Beyond the ends of an image its outermost slice is repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Slices = Literal[1, 3, 5, 7]
"""Slices of each image that a 2D network sees at once; 1 for every other network."""


def neighbours(middle: int, *, slices: int, length: int) -> list[int]:
    """Places along S of the slices that are seen with one of them.

    Args:
        middle: Place of the slice that is labelled.
        slices: How many are seen, an odd number.
        length: Slices of the image.
    """
    half = slices // 2
    return [min(max(place, 0), length - 1) for place in range(middle - half, middle + half + 1)]


def input_names(images: Sequence[str], slices: int) -> tuple[str, ...]:
    """What the inputs of a network are: images of a patient, or slices of them, such as "CT, slice -1", "CT".

    The middle slice has the name of its image, so that a network for single slices is continued by it.

    Args:
        images: Names of the images in the order of the network.
        slices: Of each image.
    """
    half = slices // 2
    return tuple(
        f"{name}, slice {offset:+d}" if offset else name for name in images for offset in range(-half, half + 1)
    )
