"""Generates the weights of all layers of a network together, and remembers them until they would change."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor

from HQCSegmentLib.qpg.parametrization import CircuitWeights
from HQCSegmentLib.qpg.readout import values


class Generator:
    """All circuits of a network, batched by number of qubits.

    Weights are computed when the first layer asks for its own, and kept for the other layers and for further
    forward passes. They are computed again when any angle, scale, shift or W0 has changed, when gradients are
    needed and the kept ones carry none, or when a backward pass has used up their graph.
    """

    # Whether gradients and inference mode were on when the kept weights were generated.
    _mode = (False, False)

    def __init__(self) -> None:
        self._layers: list[CircuitWeights] = []
        self._bases: list[Tensor] = []
        self._forget()

    def add(self, layer: CircuitWeights, base: Tensor) -> int:
        """Take in a layer's circuits and its W0; returns the layer's number."""
        self._layers.append(layer)
        self._bases.append(base)
        return len(self._layers) - 1

    def weight(self, index: int, base: Tensor) -> Tensor:
        """Weight of one layer; generates those of all layers if need be."""
        self._bases[index] = base
        mode = (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
        if self._used or self._mode != mode or self._versions[index] != self._layers[index].versions(base):
            self._generate()
            self._mode = mode
        return self._weights[index]

    def _generate(self) -> None:
        self._forget()
        groups: dict[tuple[Any, ...], list[int]] = defaultdict(list)
        for index, layer in enumerate(self._layers):
            angles = layer.angles
            groups[layer.qubits, layer.config.depth, layer.config.readout, angles.device, angles.dtype].append(index)
        for members in groups.values():
            # Autocast would round the circuits' matrix products to half precision.
            with torch.autocast(device_type=self._layers[members[0]].angles.device.type, enabled=False):
                self._generate_group(members)

    def _generate_group(self, members: list[int]) -> None:
        layers = [self._layers[index] for index in members]
        numbers = [layer.view.numbers for layer in layers]
        angles = torch.cat([layer.angles for layer in layers])
        generated = values(angles, numbers=max(numbers), readout=layers[0].config.readout)
        blocks = generated.split([layer.view.channels for layer in layers])
        for index, layer, count, block in zip(members, layers, numbers, blocks, strict=True):
            base = self._bases[index]
            weight = layer.assemble(base, block[:, :count])
            if weight.requires_grad:
                weight.register_hook(self._mark_used)
            self._weights[index] = weight
            self._versions[index] = layer.versions(base)

    def _mark_used(self, _grad: Tensor) -> None:
        self._used = True

    def _forget(self) -> None:
        self._weights: dict[int, Tensor] = {}
        self._versions: dict[int, tuple[int, ...] | None] = dict.fromkeys(range(len(self._layers)))
        self._used = False

    def __getstate__(self) -> dict[str, Any]:
        # Copies and pickles carry the circuits, not the generated weights and their graph.
        return {"layers": self._layers, "bases": self._bases}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._layers, self._bases = state["layers"], state["bases"]
        self._forget()
