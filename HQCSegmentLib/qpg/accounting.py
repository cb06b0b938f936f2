"""Counting what is trained, and sorting it for the optimizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import nn

from HQCSegmentLib.qpg.injection import injected_layers, update_of


@dataclass(frozen=True)
class TrainableNumbers:
    """How many numbers are trained, by kind.

    Attributes:
        angles: Of circuits.
        scales_and_shifts: Of channels.
        classical: Ordinary parameters of the network.
        factors: Low-rank factors, coefficients of random maps, networks of the mapped readout.
    """

    angles: int
    scales_and_shifts: int
    classical: int
    factors: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.angles + self.scales_and_shifts + self.classical + self.factors


def trainable_numbers(network: nn.Module) -> int:
    """Number of trainable numbers (elements of parameters that require a gradient) of a network."""
    return trainable_numbers_by_kind(network).total


def trainable_numbers_by_kind(network: nn.Module) -> TrainableNumbers:
    """As `trainable_numbers`, separately for each kind."""
    groups = _by_kind(network)
    count = {kind: sum(parameter.numel() for parameter in group) for kind, group in groups.items()}
    return TrainableNumbers(count["angles"], count["scales"], count["classical"], count["factors"])


def parameter_groups(
    network: nn.Module,
    *,
    angle_rate: float,
    scale_rate: float,
    classical_rate: float,
    factor_rate: float | None = None,
    angle_decay: float = 0.0,
    classical_decay: float = 0.0,
) -> list[dict[str, Any]]:
    """Optimizer groups with separate learning rates; empty groups are left out.

    Args:
        network: With or without updates of a method.
        angle_rate: Learning rate of the angles.
        scale_rate: Learning rate of the scales and shifts.
        classical_rate: Learning rate of all other trainable parameters.
        factor_rate: Learning rate of low-rank factors, coefficients of random maps and networks of the mapped
            readout (default: that of the scales).
        angle_decay: Weight decay of the angles: pulls the weights to W0, not the angles to zero rotation.
        classical_decay: Weight decay of the other parameters.
    """
    rates = {
        "angles": (angle_rate, angle_decay),
        "scales": (scale_rate, 0.0),
        "factors": (scale_rate if factor_rate is None else factor_rate, 0.0),
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
        update = update_of(layer)
        assert update is not None
        kinds |= {id(parameter): update.kind_of(name) for name, parameter in update.named_parameters()}
    groups: dict[str, list[nn.Parameter]] = {"angles": [], "scales": [], "factors": [], "classical": []}
    for parameter in network.parameters():
        if parameter.requires_grad:
            groups[kinds.get(id(parameter), "classical")].append(parameter)
    return groups
