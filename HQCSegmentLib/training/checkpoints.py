"""The state of a run on disk, so that nothing is lost when it is stopped in any way.

A state is one file, `step<number>.<checksum>.pt`: written to a temporary name, brought to the disk, and renamed when it
is complete; the checksum in its name tells later whether the content is still the same. The state before it is kept, in
case the last one is damaged.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, cast

from HQCSegmentLib.errors import WorkError
from HQCSegmentLib.files import replacing, sha256

KEPT = 2
"""The last state and the one before."""

_UNNAMED = "complete.pt"
"""A complete state between two renamings; left over only where the process was killed in that moment."""

_NAME = re.compile(r"step(\d+)\.([0-9a-f]{16})\.pt")


def save(folder: Path, state: dict[str, Any], *, step: int) -> None:
    """Write the state after `step` steps (tensors, numbers, lists, dictionaries).

    Raises:
        WorkError: if the disk is full or cannot be written to; the states before it are as they were.
    """
    import torch

    stream: _Hashing | None = None
    try:
        with replacing(folder / _UNNAMED) as temporary, temporary.open("wb") as file:
            stream = _Hashing(file)
            torch.save(state, cast(BinaryIO, stream))
            file.flush()
            os.fsync(file.fileno())
        (folder / _UNNAMED).replace(folder / f"step{step}.{stream.digest.hexdigest()[:16]}.pt")
        for old in _states(folder)[KEPT:]:
            old.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:
        # torch tells of a failed write in words of its own.
        failed = None if stream is None else stream.failure
        cause = error if isinstance(error, OSError) else failed
        if cause is None:
            raise
        msg = (
            f"the state after step {step} could not be saved in {folder} ({cause.strerror or cause}); what was saved "
            "before is kept. Free some space, then go on with --resume."
        )
        raise WorkError(msg) from error


def load(folder: Path, *, on_damage: Callable[[str], None]) -> dict[str, Any] | None:
    """The last state that is undamaged, or None if there is none at all.

    Args:
        folder: Of the states; what a killed run left half-written in it is removed.
        on_damage: Told in a sentence of every damaged state that is passed over.

    Raises:
        WorkError: if there are states, but all are damaged.
    """
    import torch

    for left_over in folder.glob(".*.pt"):
        left_over.unlink(missing_ok=True)
    found = _states(folder)
    for path in found:
        if sha256(path).startswith(path.name.split(".")[1]):
            return torch.load(path, weights_only=True, map_location="cpu")
        on_damage(f"the checkpoint {path.name} is damaged; the one before it is used.")
    if found:
        msg = (
            f"every checkpoint in {folder} is damaged ({', '.join(path.name for path in found)}); remove them to start "
            "the run from the beginning with --resume."
        )
        raise WorkError(msg)
    return None


def _states(folder: Path) -> list[Path]:
    """Complete states, the last one first."""
    steps = {path: _NAME.fullmatch(path.name) for path in folder.glob("step*.pt")}
    return sorted((path for path, match in steps.items() if match), key=_step_of, reverse=True)


def _step_of(path: Path) -> int:
    return int(path.name.split(".")[0].removeprefix("step"))


class _Hashing(io.RawIOBase):
    """Passes bytes on to a file; knows their checksum, and the error where the file could not take them."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self.digest = hashlib.sha256()
        self.failure: OSError | None = None

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.digest.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.failure = error
            raise
