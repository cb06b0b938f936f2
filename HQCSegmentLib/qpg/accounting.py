"""Counting what is trained, and sorting it for the optimizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from HQCSegmentLib.qpg.injection import circuits_of, injected_layers


@dataclass(frozen=True)
class TrainableNumbers:
    """How many numbers are trained, by kind."""

    angles: int
    scales_and_shifts: int
    classical: int

    @property
    def total(self) -> int:
        """All of them."""
        return self.angles + self.scales_and_shifts + self.classical


def trainable_numbers(network: nn.Module) -> int:
    """Number of trainable numbers (elements of parameters that require a gradient) of a network."""
    return trainable_numbers_by_kind(network).total


def trainable_numbers_by_kind(network: nn.Module) -> TrainableNumbers:
    """As `trainable_numbers`, separately for angles, scales and shifts, and ordinary parameters."""
    groups = _by_kind(network)
    count = {kind: sum(parameter.numel() for parameter in group) for kind, group in groups.items()}
    return TrainableNumbers(count["angles"], count["scales"], count["classical"])


def parameter_groups(
    network: nn.Module,
    *,
    angle_rate: float,
    scale_rate: float,
    classical_rate: float,
    angle_decay: float = 0.0,
    classical_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """Optimizer groups with separate learning rates; empty groups are left out.

    Args:
        network: With or without circuits.
        angle_rate: Learning rate of the angles.
        scale_rate: Learning rate of the scales and shifts.
        classical_rate: Learning rate of all other trainable parameters.
        angle_decay: Weight decay of the angles: pulls the weights to W0, not the angles to zero rotation.
        classical_decay: Weight decay of the other parameters.
    """
    rates = {
        "angles": (angle_rate, angle_decay),
        "scales": (scale_rate, 0.0),
        "classical": (classical_rate, classical_decay),
    }
    return [
        {"params": parameters, "lr": rates[kind][0], "weight_decay": rates[kind][1], "kind": kind}
        for kind, parameters in _by_kind(network).items()
        if parameters
    ]


def _by_kind(network: nn.Module) -> dict[str, list[nn.Parameter]]:
    kinds: dict[int, str] = {}
    for _, layer in injected_layers(network):
        circuits = circuits_of(layer)
        assert circuits is not None
        kinds[id(circuits.angles)] = "angles"
        kinds[id(circuits.log_scale)] = kinds[id(circuits.shift)] = "scales"
    groups: dict[str, list[nn.Parameter]] = {"angles": [], "scales": [], "classical": []}
    for parameter in network.parameters():
        if parameter.requires_grad:
            groups[kinds.get(id(parameter), "classical")].append(parameter)
    return groups
