"""What a run of the command is: its words, and what becomes of its result."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from HQCSegmentSlicer.process import GRACE_S

VOLUME_FILE = "volume.nii"
"""Volumes go to the child without compression, which would take longer than all else and freeze the window."""


@dataclass
class Outcome:
    """What a child reported.

    Attributes:
        done: Fields of its last "done" event.
        warnings: Sentences of its warnings, in order and without repetition.
    """

    done: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def take(self, event: dict[str, Any]) -> None:
        """Keep what is wanted of an event."""
        sentences = list(event.get("warnings") or [])
        if event["event"] == "warning":
            sentences.append(event.get("message", ""))
        self.warnings += [text for text in dict.fromkeys(map(str, sentences)) if text and text not in self.warnings]
        if event["event"] == "done":
            self.done = event


@dataclass(frozen=True)
class Task:
    """One run of the command.

    Attributes:
        words: Of the command line, beginning with the command.
        take_result: Reads the result once the child has ended well; in a thread, so it must not touch nodes.
        show: Makes nodes of what was read, which are then the result; on the main thread.
        folder: Private folder of the run; removed at its end.
        done_codes: Exit codes with which there is a result.
        grace_s: Seconds that the child gets to save its work after a cancel.
        warnings: Sentences on what was done to the input.
    """

    words: tuple[str | Path, ...]
    take_result: Callable[[Outcome], Any]
    folder: Path | None = None
    _: KW_ONLY
    show: Callable[[Any], Any] | None = None
    done_codes: frozenset[int] = frozenset({0})
    grace_s: float = GRACE_S
    warnings: tuple[str, ...] = ()

    def discard(self) -> None:
        """Remove what the run kept for itself."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


@contextmanager
def private_folder() -> Iterator[Path]:
    """Make a folder that no other user of the computer can read; it stays unless the block fails."""
    folder = Path(tempfile.mkdtemp(prefix="HQCSegment-"))
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
