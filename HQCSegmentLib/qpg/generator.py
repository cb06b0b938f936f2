"""Generates the weights of all layers of a network together, and remembers them until they would change."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from HQCSegmentLib.qpg.parametrization import CircuitWeights
from HQCSegmentLib.qpg.readout import values

_optimizer_steps = 0


def _count_optimizer_step(_optimizer: Optimizer, _args: Any, _settings: Any) -> None:
    global _optimizer_steps
    _optimizer_steps += 1


# Fused optimizers, and others that write through `.data`, do not raise the versions of the tensors that they change.
register_optimizer_step_post_hook(_count_optimizer_step)


class Generator:
    """All circuits of a network, batched by number of qubits.

    Weights are computed when the first layer asks for its own, and kept for the other layers and, without gradients,
    for further forward passes. They are computed again when any angle, scale, shift or W0 has changed, when any
    optimizer has made a step, when gradients are needed and the kept ones carry none, when a backward pass has used up
    their graph, and when a layer asks a second time for a weight with a graph: every forward pass can then be followed
    by its own backward pass.
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
        current = self._versions.get(index) == self._layers[index].versions(base)
        stepped = self._steps != _optimizer_steps
        if self._used or stepped or self._mode != mode or not current or index in self._handed_out:
            self._generate()
            self._mode = mode
        weight = self._weights[index]
        if weight.requires_grad:
            self._handed_out.add(index)
        return weight

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
        # A network may have been turned to half precision after its circuits were made.
        angles = angles.to(torch.promote_types(angles.dtype, torch.float32))
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
        self._versions: dict[int, tuple[int, ...]] = {}
        self._used = False
        self._steps = _optimizer_steps
        self._handed_out: set[int] = set()

    def __getstate__(self) -> dict[str, Any]:
        # Copies and pickles carry the circuits, not the generated weights and their graph.
        return {"layers": self._layers, "bases": self._bases}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._layers, self._bases = state["layers"], state["bases"]
        self._forget()
