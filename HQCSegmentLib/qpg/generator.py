"""Computes the weights of all layers of a network together, and remembers them until they would change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook

from HQCSegmentLib.qpg.methods.update import WeightUpdate
from HQCSegmentLib.qpg.recording import Branches, Recorder

_optimizer_steps = 0


def _count_optimizer_step(_optimizer: Optimizer, _args: Any, _settings: Any) -> None:
    global _optimizer_steps
    _optimizer_steps += 1


# Fused optimizers, and others that write through `.data`, do not raise the versions of the tensors that they change.
register_optimizer_step_post_hook(_count_optimizer_step)


class Generator:
    """All updates of a network; those that can be are computed in one batch.

    Weights are computed when the first layer asks for its own, and kept for the other layers and, without gradients,
    for further forward passes. They are computed again when any trained number or W0 has changed, when any
    optimizer has made a step, when gradients are needed and the kept ones carry none, when a backward pass has used up
    their graph, and when a layer asks a second time for a weight with a graph: every forward pass can then be followed
    by its own backward pass. Inside `holding`, they are computed once for any number of passes.

    Attributes:
        recorder: Replays the computation inside `holding` on a GPU.
    """

    # Whether gradients and inference mode were on when the kept weights were generated.
    _mode = (False, False)

    def __init__(self) -> None:
        """Without layers; see `add`."""
        self._layers: list[WeightUpdate] = []
        self._bases: list[Tensor] = []
        self._held: dict[int, Tensor] | None = None
        self.recorder = Recorder()
        self._forget()

    def add(self, layer: WeightUpdate, base: Tensor) -> None:
        """Take in a layer's update and its W0, which has the shape of the layer's weight."""
        layer.attach(self, len(self._layers))
        self._layers.append(layer)
        self._bases.append(base)

    def weight(self, index: int, base: Tensor) -> Tensor:
        """Weight of one layer, of the shape and type of its W0 (`base`); generates those of all layers if need be."""
        self._bases[index] = base
        if self._held is not None:
            return self._held_weight(index, base)
        mode = (torch.is_grad_enabled(), torch.is_inference_mode_enabled())
        if self._used or self._mode != mode or not self._is_current(index, base) or index in self._handed_out:
            self._generate()
            self._mode = mode
        weight = self._weights[index]
        if weight.requires_grad:
            self._handed_out.add(index)
        return weight

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Generate once for all passes inside, and go back through the circuits once at the end.

        Layers are given leaves, whose gradients add up; they reach the trained numbers when the block ends. Since the
        weights of one block are not used beyond it, an NVIDIA GPU may record how they are generated, and replay it in
        later blocks.
        """
        self._held = {}
        self._forget()
        try:
            yield
            used = [index for index, leaf in self._held.items() if leaf.grad is not None]
            if used:
                torch.autograd.backward([self._weights[i] for i in used], [self._held[i].grad for i in used])
        finally:
            self._held = None
            self._forget()

    def _held_weight(self, index: int, base: Tensor) -> Tensor:
        assert self._held is not None
        if not self._is_current(index, base):
            if self._held:
                msg = "trained numbers or start weights changed inside `qpg.accumulation`; step the optimizer after it"
                raise RuntimeError(msg)
            # The first pass may be one without gradients.
            with torch.inference_mode(mode=False), torch.enable_grad():
                self._generate()
        if index not in self._held:
            weight = self._weights[index]
            self._held[index] = weight.detach().requires_grad_() if weight.requires_grad else weight
        return self._held[index]

    def _is_current(self, index: int, base: Tensor) -> bool:
        return self._steps == _optimizer_steps and self._versions.get(index) == self._layers[index].versions(base)

    def _generate(self) -> None:
        self._forget()
        weights = self._compute() if self._held is None else self._computed_or_replayed()
        for index, weight in enumerate(weights):
            if weight.requires_grad and weight.grad_fn is not None:
                weight.register_hook(self._mark_used)
            self._weights[index] = weight
            self._versions[index] = self._layers[index].versions(self._bases[index])

    def _computed_or_replayed(self) -> Sequence[Tensor]:
        pairs = zip(self._layers, self._bases, strict=True)
        tensors = [tensor for layer, base in pairs for tensor in layer.tensors(base)]
        trained = [tensor for tensor in tensors if tensor.requires_grad]
        places = tuple((tensor.data_ptr(), tensor.requires_grad) for tensor in tensors)
        return self.recorder.run(self._compute, trained, key=places)

    def _compute(self) -> Sequence[Tensor]:
        """Weights of all layers, those that can be in one batch."""
        groups: dict[Any, list[int]] = defaultdict(list)
        for index, layer in enumerate(self._layers):
            groups[type(layer), layer.batch_key()].append(index)
        weights: dict[int, Tensor] = {}
        with Branches() as branches:
            for (kind, _), members in groups.items():
                layers, bases = zip(*((self._layers[index], self._bases[index]) for index in members), strict=True)
                # Autocast would round the circuits' matrix products to half precision.
                with branches.one(), torch.autocast(device_type=bases[0].device.type, enabled=False):
                    weights |= zip(members, kind.weights(layers, bases), strict=True)
        return [weights[index] for index in range(len(self._layers))]

    def _mark_used(self, _grad: Tensor) -> None:
        self._used = True

    def _forget(self) -> None:
        self._weights: dict[int, Tensor] = {}
        self._versions: dict[int, list[tuple[int, int, bool]]] = {}
        self._used = False
        self._steps = _optimizer_steps
        self._handed_out: set[int] = set()

    def __getstate__(self) -> dict[str, Any]:
        # Copies and pickles carry the updates, not the generated weights and their graph.
        return {"layers": self._layers, "bases": self._bases}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._layers, self._bases = state["layers"], state["bases"]
        self._held = None
        self.recorder = Recorder()
        self._forget()
