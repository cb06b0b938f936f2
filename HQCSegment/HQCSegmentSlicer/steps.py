"""Work on nodes that is cut into steps, between which the window answers; arrays and files are left to a thread.

Nodes may be touched on the main thread only, so what is taken from them is taken in short steps; a thread then works
on copies.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """How many steps of how many are done."""

    step: int
    of: int


Turn = Progress | Future[Any] | None
"""What is known between two steps: progress, or a thread that the next step waits for."""

Steps = Generator[Turn, None, T]
"""The first step finds out whether the work can be done at all; `close` gives the work up and tidies."""


def in_thread(work: Callable[..., T], *arguments: Any) -> Steps[T]:
    """Steps that wait for a thread; `work` must not touch nodes. Given up, it is still waited for."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="HQCSegment") as pool:
        future = pool.submit(work, *arguments)
        yield future
        while not future.done():
            yield future
        return future.result()


def finish(steps: Steps[T]) -> T:
    """Take all steps at once."""
    try:
        while True:
            turn = next(steps)
            if isinstance(turn, Future):
                wait([turn])
    except StopIteration as end:
        return end.value
    finally:
        steps.close()
