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


def trains_in_bfloat16(trials: int = 8) -> bool:
    """Whether this processor's gradients in bfloat16 are right, found by trying.

    PyTorch 2.13 with oneDNN reads memory that was never written for the weight gradient of small convolutions where
    the processor has AVX-512 but no bfloat16 of its own, so that training ends in NaN.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        layer = torch.nn.Conv3d(64, 64, 3, padding=1)
        for _ in range(trials):
            images, above = torch.randn(2, 2, 64, 2, 2, 2)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                told = layer(images)
            # What was never written is most likely this, and then shows.
            torch.full((layer.weight.numel() * 2,), torch.nan)
            (found,) = torch.autograd.grad(told, [layer.weight], above.to(told.dtype))
            (wanted,) = torch.autograd.grad(layer(images), [layer.weight], above)
            if not (found - wanted).abs().max() < 0.1 * wanted.abs().max():
                return False
    return True
