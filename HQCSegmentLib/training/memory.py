"""How much memory a training step needs, told from a small step of the same network.

What autograd keeps for the way back grows with the number of voxels, whatever the network. So it is counted for a patch
that fits anywhere, and scaled. The factor and the fixed part were measured (Testing/Benchmarks/training_memory.py).
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from HQCSegmentLib.networks import NetworkSpec, logits

COPIES_OF_WEIGHTS = 4
"""Weights, gradients, and the two moments of the optimizer."""

PEAK_OVER_KEPT = 2.3
"""Highest use over what is kept for the way back: gradients of activations, and work space of convolutions.

With FIXED_BYTES above all that was measured, so that the prediction errs on the side of a patch that fits."""

FIXED_BYTES = 64 * 2**20
"""What libraries take when they are first used, whatever the network; small steps showed it."""

USABLE_PART = 0.5
"""Of a device's memory: the rest is for the system, prepared images and other programs."""


@dataclass(frozen=True)
class Footprint:
    """What a network needs in training.

    Attributes:
        weights: Number of weights.
        kept_per_voxel: Bytes that autograd keeps for each voxel of a patch.
    """

    weights: int
    kept_per_voxel: float

    def bytes_of_step(self, *, patch: tuple[int, ...], batch: int) -> float:
        """Highest use of memory in a training step, without the program itself."""
        activations = PEAK_OVER_KEPT * self.kept_per_voxel * batch * math.prod(patch)
        return FIXED_BYTES + COPIES_OF_WEIGHTS * 4 * self.weights + activations


def footprint(spec: NetworkSpec) -> Footprint:
    """Build a network and count what a step on a small patch keeps."""
    patch = [2 * divisor for divisor in spec.divisors]
    shape = (1, spec.in_channels, *patch)
    network = spec.build_seeded(0)
    own = {parameter.data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    def give_back(tensor: Any) -> Any:
        return tensor

    with torch.random.fork_rng(devices=[]), saved_tensors_hooks(keep, give_back):
        scores = logits(network, torch.zeros(shape))
        # As the losses do: probabilities and their logarithms.
        loss = scores.softmax(dim=1).square().sum() + scores.log_softmax(dim=1).sum()
        total = sum(kept.values())
    del loss
    weights = sum(parameter.numel() for parameter in network.parameters())
    return Footprint(weights, total / math.prod(patch))


def bytes_of_device(device: torch.device) -> float | None:
    """Memory that a device has in all; None where that is not told.

    Not what is free now: the same computer is to make the same plan again.
    """
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return None
