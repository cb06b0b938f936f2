"""What all methods have in common: a weight that is W0 plus an update."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from HQCSegmentLib.qpg.channels import ChannelView

Kind = Literal["angles", "scales", "factors"]
"""Of a method's trained numbers: circuit angles; scales and shifts of channels; factors, maps and small networks."""


class WeightUpdate(nn.Module):
    """Parametrization of one layer's weight, W = W0 + update; the update is zero at the start.

    The generator of the network computes the weights of all layers together and remembers them.

    Attributes:
        view: How the weight is divided into channels.
        was_trainable: Whether the layer's weight was trained before the injection.
    """

    kinds: ClassVar[dict[str, Kind]] = {}
    """Kind of each trained parameter, by the first part of its name."""

    generator: Any

    def __init__(self, base: Tensor, *, view: ChannelView) -> None:
        """Make the update of a layer.

        Args:
            base: W0, the weight that training starts from, of the shape of the layer's weight.
            view: How `base` is divided into channels.
        """
        super().__init__()
        self.view = view
        self.was_trainable = base.requires_grad
        self.generator = None
        self.index = -1
        self._parts: tuple[nn.Module, ...] = ()

    def attach(self, generator: Any, index: int) -> None:
        """Let a generator compute this layer's weight; `index` is the layer's number there."""
        # Not a submodule: every layer of the network refers to the same generator.
        object.__setattr__(self, "generator", generator)
        self.index = index
        self._parts = tuple(self.modules())

    def forward(self, base: Tensor) -> Tensor:
        """Weight of the layer, of the shape and type of W0."""
        return self.generator.weight(self.index, base)

    def versions(self, base: Tensor) -> list[tuple[int, int, bool]]:
        """Changes whenever a tensor that the weight depends on is changed, replaced, moved, frozen or unfrozen."""
        return [(tensor._version, tensor.data_ptr(), tensor.requires_grad) for tensor in self.tensors(base)]

    def tensors(self, base: Tensor) -> list[Tensor]:
        """All that the weight depends on, W0 (`base`) among it."""
        # Asked for several times a step: `parameters` and `buffers` take ten times as long.
        kept = [part.values() for module in self._parts for part in (module._parameters, module._buffers)]
        return [base, *(tensor for part in kept for tensor in part if tensor is not None)]

    def batch_key(self) -> Hashable:
        """Updates with equal keys (of one class) are computed in one batch."""
        return self.index

    @classmethod
    def weights(cls, updates: Sequence[Any], bases: Sequence[Tensor]) -> list[Tensor]:
        """The weights of a batch of layers, each of the shape and type of its W0."""
        return [update.weight(base) for update, base in zip(updates, bases, strict=True)]

    def weight(self, base: Tensor) -> Tensor:
        """The weight of this layer, of the shape and type of W0."""
        update = self.row_block()
        if update is None:
            return base
        rows = self.view.to_rows(base).to(update.dtype)
        return self.view.to_weight(rows + update).to(base.dtype)

    def row_block(self) -> Tensor | None:
        """The update, (channels, numbers), float32 or float64; None for no update."""
        raise NotImplementedError

    def kind_of(self, name: str) -> Kind:
        """Kind of one of this module's parameters, by its name in `named_parameters`."""
        return self.kinds[name.split(".")[0]]


def generation_dtype(base: Tensor) -> torch.dtype:
    """Updates are float32 or better: half-precision networks get their weights rounded once, at the end."""
    return torch.promote_types(base.dtype, torch.float32)


def deviations(rows: Tensor) -> Tensor:
    """sigma: standard deviation of W0 in each channel, (channels, 1); He's sqrt(2 / numbers) where W0 is constant."""
    deviation = rows.std(dim=1, correction=0, keepdim=True)
    return deviation.where(deviation > 0, math.sqrt(2 / rows.shape[1]))
