"""What happens in a run, as small dictionaries: to a file, to the terminal, to the panel."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

Event = dict[str, Any]
OnEvent = Callable[[Event], None]

Work = Literal["reading", "preparing", "rehearsing", "judging", "measuring"]
"""What is done before the first step: cases read and prepared; the base draws what it alone knows, and is judged; the
time of a step measured."""

Item = TypeVar("Item")


class EventLog:
    """Appends events to `events.jsonl`, one JSON object a line, and passes each on.

    Every event has `event` (its kind) and `time_s` (seconds since the run, or its continuation, began).
    """

    def __init__(self, path: Path | None, on_event: OnEvent | None = None) -> None:
        """Open the file; None for a process that tells nothing, since another one does."""
        self._file = None if path is None else path.open("a", encoding="utf-8")
        self._on_event = None if path is None else on_event
        self._start = time.monotonic()
        if self._file is not None and path is not None and _is_cut_off(path):
            self._file.write("\n")

    def emit(self, kind: str, **fields: Any) -> None:
        """Write one event."""
        event = {"event": kind, **fields, "time_s": round(time.monotonic() - self._start, 3)}
        if self._file is not None:
            self._file.write(json.dumps(event, ensure_ascii=False) + "\n")
            self._file.flush()
        if self._on_event is not None:
            self._on_event(event)

    def close(self) -> None:
        """Close the file; what a full disk cannot take is lost here, not the error that told of it."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()


def _is_cut_off(path: Path) -> bool:
    """Whether the last line was not finished, because the process was killed in it."""
    with path.open("rb") as file:
        if file.seek(0, os.SEEK_END) == 0:
            return False
        file.seek(-1, os.SEEK_END)
        return file.read(1) != b"\n"


class Preparing:
    """Tells how far the work before the first step is, as events `preparing` (work, done, total).

    They are passed on and written nowhere: a run has no folder before everything has been read and checked.
    """

    def __init__(self, on_event: OnEvent | None) -> None:
        """From now on; None where nobody listens."""
        self._on_event = on_event
        self._start = time.monotonic()

    def each(self, items: Sequence[Item], work: Work) -> Iterator[Item]:
        """The items, telling before the first and after each how many are done."""
        if items:
            self.tell(work, 0, len(items))
        for done, item in enumerate(items, start=1):
            yield item
            self.tell(work, done, len(items))

    def tell(self, work: Work, done: int, total: int) -> None:
        """One event."""
        if self._on_event is not None:
            time_s = round(time.monotonic() - self._start, 3)
            self._on_event({"event": "preparing", "work": work, "done": done, "total": total, "time_s": time_s})


class TimeLeft:
    """Estimates the remaining seconds from a moving average of the time per step."""

    def __init__(self, steps: int) -> None:
        """From now on, for a run of so many steps."""
        self._steps = steps
        self._average: float | None = None
        self._last = time.monotonic()

    def after(self, step: int) -> float:
        """Seconds left after `step` steps are done."""
        now = time.monotonic()
        taken, self._last = now - self._last, now
        self._average = taken if self._average is None else 0.9 * self._average + 0.1 * taken
        return round(self._average * (self._steps - step), 1)
