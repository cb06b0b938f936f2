"""Methods by name, set up so that they can be compared: equal layers, nearly equal trained numbers."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any, Literal, cast, get_args

from torch import nn

from HQCSegmentLib.qpg.accounting import trainable_numbers_by_kind
from HQCSegmentLib.qpg.channels import ChannelView
from HQCSegmentLib.qpg.config import (
    AnsatzName,
    LoRAConfig,
    MethodConfig,
    NormsAndBiasesConfig,
    QPGConfig,
    RandomMapConfig,
)
from HQCSegmentLib.qpg.errors import QPGError
from HQCSegmentLib.qpg.injection import inject, target_layers

MethodName = Literal["qpg", "lora", "frozen", "noentangle", "randommap", "norms"]


def method_config(name: str, *, like: QPGConfig, network: nn.Module) -> MethodConfig:
    """Configuration of a method or control that changes the layers that `like` changes.

    - qpg: `like` itself;
    - lora: low-rank updates of the rank whose number of trained numbers is nearest to that of `like`;
    - frozen: the circuits of `like` with random angles that are not trained;
    - noentangle: the circuits of `like` without their two-qubit gates;
    - randommap: a random linear map in place of each circuit, of exactly as many numbers;
    - norms: no weights of convolutions at all, only biases and normalisation layers.

    Args:
        name: A method.
        like: Circuits to compare with.
        network: Without updates; it is not changed.

    Raises:
        QPGError: for an unknown method.
    """
    targets: dict[str, Any] = {"include": like.include, "exclude": like.exclude, "seed": like.seed}
    chosen = {**targets, "minimum_numbers": like.minimum_numbers, "classical_part": like.classical_part}
    match name:
        case "qpg":
            return like
        case "lora":
            return LoRAConfig(rank=nearest_rank(network, like), **chosen)
        case "frozen":
            return replace(like, train_angles=False)
        case "noentangle":
            family = like.ansatz.rpartition("_")[0]
            return replace(like, ansatz=cast(AnsatzName, f"{family}_none"))
        case "randommap":
            return RandomMapConfig(like=like, **chosen)
        case "norms":
            return NormsAndBiasesConfig(**targets)
    msg = f"`name` must be one of {', '.join(get_args(MethodName))}, got {name!r}"
    raise QPGError(msg)


def nearest_rank(network: nn.Module, like: QPGConfig) -> int:
    """Rank of low-rank updates that train the number of numbers nearest to that of the circuits of `like`.

    One rank for all layers, at least 1.
    """
    counted = trainable_numbers_by_kind(inject(copy.deepcopy(network), like))
    wanted = counted.angles + counted.scales_and_shifts + counted.factors
    views = [ChannelView.of(layer) for layer in target_layers(network, like).values()]

    def difference(rank: int) -> int:
        # Ranks are cut to the smaller side of each matrix.
        ranks = [min(rank, view.channels, view.numbers) for view in views]
        numbers = sum(rank * (view.channels + view.numbers) for rank, view in zip(ranks, views, strict=True))
        return abs(numbers - wanted)

    return min(range(1, max(view.channels for view in views) + 1), key=difference)
