"""How much is computed at once, so that it stays in the processor's cache from one operation to the next."""

from __future__ import annotations

from torch import Tensor

CACHED_BYTES = 2**21
"""What a processor works on at the same time: it stays in its cache, and its memory is used again."""

DEVICE_BYTES = 2**25
"""The same for other devices, which need more work at a time to be busy: with less an H200 was slower, with more not
faster (Testing/Benchmarks/qpg_step.py)."""


def rows_at_once(like: Tensor, *, numbers: int) -> int:
    """How many rows of so many numbers are worked on at the same time, at least one.

    Args:
        like: Tells device and type of the numbers.
        numbers: Of each row.
    """
    together = CACHED_BYTES if like.device.type == "cpu" else DEVICE_BYTES
    return max(1, together // (numbers * like.element_size()))
