"""How learning rates, and the average of the weights, go over the steps."""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR
from torch.optim.swa_utils import AveragedModel

from HQCSegmentLib.training.config import Schedule

WARM_UP_PART = 0.05
"""Part of the steps in which learning rates rise from zero."""


def schedule_rates(optimizer: torch.optim.Optimizer, kind: Schedule, *, steps: int) -> LRScheduler:
    """Schedule of all learning rates of an optimizer; its step is called after every step of the optimizer.

    Args:
        optimizer: With the highest rates in its groups.
        kind: cosine: warm-up, then a cosine to zero; onecycle: a third of the steps up, the rest down, while momentum
            does the opposite (Smith and Topin, arXiv:1708.07120); constant: warm-up only.
        steps: Of the whole run.
    """
    if kind == "onecycle":
        highest = [group["lr"] for group in optimizer.param_groups]
        return OneCycleLR(optimizer, max_lr=highest, total_steps=steps + 1)
    falls = kind == "cosine"
    return LambdaLR(optimizer, lambda step: rate_factor(step, steps, falls=falls))


def rate_factor(step: int, steps: int, *, falls: bool = True) -> float:
    """Factor of the learning rates: linear warm-up, then a cosine to zero, or 1."""
    warm_up = max(1, round(WARM_UP_PART * steps))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, steps - warm_up))) if falls else 1.0


def running_average(network: nn.Module, decay: float) -> AveragedModel:
    """Exponential moving average of a network's numbers; its first steps count less, so that the start is forgotten."""

    def average(kept: torch.Tensor, new: torch.Tensor, number: torch.Tensor | int) -> torch.Tensor:
        part = min(decay, (1 + int(number)) / (10 + int(number)))
        return torch.lerp(new, kept, part) if kept.is_floating_point() else new

    return AveragedModel(network, avg_fn=average)
