"""Which device the work runs on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

from HQCSegmentLib.errors import InputError

if TYPE_CHECKING:
    import torch

DeviceName = Literal["auto", "cpu", "cuda", "mps"]


def choose_device(name: str) -> torch.device:
    """Device of a name; "auto" is CUDA, else Apple's MPS, else the CPU.

    Raises:
        InputError: for an unknown device, or one that this computer does not have.
    """
    import torch

    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return torch.device(next(choice for choice in ("cuda", "mps", "cpu") if available[choice]))
    if name not in available:
        msg = f"device {name!r} is unknown; choose one of {', '.join(get_args(DeviceName))}."
        raise InputError(msg)
    if not available[name]:
        there = ", ".join(choice for choice, yes in available.items() if yes)
        msg = f"device {name} is not available to PyTorch on this computer; there is {there}."
        raise InputError(msg)
    return torch.device(name)
