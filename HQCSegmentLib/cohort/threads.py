"""Independent pieces of an array computed side by side. The pieces do not meet, so the result has the same bits."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable

FEWEST_PIECES = 16
"""Of a thread: fewer are not worth starting it."""


def available_cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def number_of_threads() -> int:
    """OMP_NUM_THREADS as for torch and numpy, where it is set; else a thread for each core."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, int(asked)) if asked.isdigit() else available_cores()


def share(work: Callable[[range], None], number: int) -> None:
    """Call `work` with ranges that together are `range(number)`, one range a thread.

    Args:
        work: Computes the pieces of a range, in ascending order; numpy and scipy let other threads run meanwhile.
        number: Of pieces.
    """
    threads = max(1, min(number_of_threads(), number // FEWEST_PIECES))
    ends = [number * part // threads for part in range(threads + 1)]
    parts = [range(begin, end) for begin, end in itertools.pairwise(ends)]
    if len(parts) == 1:
        work(parts[0])
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(work, part) for part in parts]:
            done.result()
