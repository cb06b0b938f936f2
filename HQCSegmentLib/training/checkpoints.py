"""The state of a run on disk, so that nothing is lost when it is stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from HQCSegmentLib.errors import WorkError
from HQCSegmentLib.files import replacing

LAST = "last.pt"


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write the state (tensors, numbers, lists, dictionaries), replacing the previous one only when complete."""
    import torch

    with replacing(folder / LAST) as temporary:
        torch.save(state, temporary)


def load(folder: Path) -> dict[str, Any] | None:
    """The last state, or None if there is none.

    Raises:
        WorkError: if the file is damaged.
    """
    import pickle

    import torch

    path = folder / LAST
    if not path.is_file():
        return None
    try:
        return torch.load(path, weights_only=True, map_location="cpu")
    except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
        msg = f"the checkpoint {path} is damaged; remove it to start the run from the beginning."
        raise WorkError(msg) from error
