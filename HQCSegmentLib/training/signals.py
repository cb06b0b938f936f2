"""Ctrl-C and SIGTERM, put off to a moment at which a run can stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def whole() -> Iterator[None]:
    """Put Ctrl-C and SIGTERM off to the end of the block: what is in it happens as a whole.

    Only the main thread gets signals; in another one this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[int, FrameType | None]] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    # What the system does by itself (end the process, ignore) is left to it.
    own = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in own:
        signal.signal(number, lambda number, frame: came.append((number, frame)))
    try:
        yield
    finally:
        for number, handler in own.items():
            signal.signal(number, handler)
    if came:
        received, frame = came[0]
        own[signal.Signals(received)](received, frame)


class Requests:
    """Whether somebody has asked the run to stop."""

    came = False


@contextmanager
def held() -> Iterator[Requests]:
    """Note Ctrl-C and SIGTERM instead of obeying: the processes of a team stop together, where they agree to."""
    requests = Requests()
    if threading.current_thread() is not threading.main_thread():
        yield requests
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def note(_number: int, _frame: FrameType | None) -> None:
        requests.came = True

    for number in before:
        signal.signal(number, note)
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
