"""A batch of circuits on its way through the engine and back, in as many parts as memory asks for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from HQCSegmentLib.qpg.engine.evolution import Destination, Evolution, GradientSource, Measure
from HQCSegmentLib.qpg.engine.plan import DEVICE_SMALL_BYTES, SMALL_BYTES, Plan, plan, qubits_of
from HQCSegmentLib.qpg.engine.strings import Strings
from HQCSegmentLib.qpg.errors import QPGError


@dataclass
class Kept:
    """What a forward pass keeps for the backward pass.

    Attributes:
        finals: Final states, of each chunk; None where they are not needed.
        built: The angles and what was built from them with its graph, where all circuits are one chunk; used up by the
            first backward pass, and built again for a second.
    """

    finals: list[Tensor | None]
    built: tuple[Tensor, Evolution | Strings] | None = None


@dataclass(frozen=True)
class Run:
    """How a batch of circuits goes through the engine and back, for autograd functions.

    Attributes:
        plan: How.
        chunk: How many circuits at once; of others only results and final states are in memory.
    """

    plan: Plan
    chunk: int

    @classmethod
    def of(
        cls,
        angles: Tensor,
        *,
        ansatz: str,
        measure: Measure,
        scaled: bool,
        numbers: int | None = None,
        transformed: bool = False,
        chunk: int | None = None,
    ) -> Run:
        """How a batch of circuits is simulated.

        Args:
            angles: (batch, depth, angles per layer), radians, float32 or float64.
            ansatz: Key of `ANSATZES`.
            measure: What is read.
            scaled: Start from all amplitudes 1 (angles are distances from the uniform start), rather than from |0...0>.
            numbers: How many values are needed; the last that are not may be missing. None: all.
            transformed: Give the Walsh transform of the values (see `qpg.walsh`).
            chunk: How many circuits at once. None: all, or less where memory would grow.

        Raises:
            QPGError: for a wrong ansatz, angles or chunk.
        """
        qubits = qubits_of(angles, ansatz)
        if chunk is not None and (type(chunk) is not int or chunk < 1):
            msg = f"`chunk` must be a whole number of at least 1, got {chunk!r}"
            raise QPGError(msg)
        everything = 2 ** (qubits - 1) if measure in ("differences", "products") else 2**qubits
        how = plan(ansatz, qubits, angles.shape[1], measure, scaled, numbers or everything, transformed)
        small = SMALL_BYTES if angles.device.type == "cpu" else DEVICE_SMALL_BYTES
        return cls(how, chunk or how.circuits_at_once(len(angles), angles.element_size(), small=small))

    @property
    def outputs(self) -> int:
        """Values of a circuit: as many as are needed, or some more."""
        return self.plan.outputs

    def forward(self, angles: Tensor, destination: Destination, *, keep: bool) -> Kept | None:
        """Measure all circuits; what is returned is for `backward`, if it is to be kept.

        Args:
            angles: (batch, depth, angles per layer).
            destination: Takes the values, circuits being numbered as in the batch.
            keep: Whether there will be a backward pass.
        """
        kept = Kept([])
        with_graph = keep and self.chunk >= len(angles)
        with _in_full_precision(angles):
            for part in self._parts(angles):
                some, evolution = self._built(angles[part], with_graph=with_graph)
                kept.finals.append(evolution.forward(destination, first=part.start, keep=keep))
                kept.built = (some, evolution) if with_graph else None
        return kept if keep else None

    def backward(self, angles: Tensor, source: GradientSource, kept: Kept) -> Tensor:
        """Gradient by the angles.

        Args:
            angles: As in `forward`.
            source: Of the gradient by the values.
            kept: By `forward`.
        """
        by_angle = torch.empty_like(angles)
        built, kept.built = kept.built, None
        with _in_full_precision(angles):
            for part, finals in zip(self._parts(angles), kept.finals, strict=True):
                some, evolution = built or self._built(angles[part], with_graph=True)
                with torch.no_grad():
                    gradients = evolution.backward(source, finals, first=part.start)
                (by_angle[part],) = _gradient(evolution.tensors, some, gradients)
        return by_angle

    def _parts(self, angles: Tensor) -> Iterator[slice]:
        starts = range(0, len(angles), self.chunk)
        return (slice(start, min(start + self.chunk, len(angles))) for start in starts)

    def _built(self, angles: Tensor, *, with_graph: bool) -> tuple[Tensor, Evolution | Strings]:
        """Angles as a leaf, and what is built from them."""
        some = angles.detach().requires_grad_(with_graph)
        with torch.set_grad_enabled(with_graph):
            return some, self.plan.build(some)


def _in_full_precision(angles: Tensor) -> AbstractContextManager[object]:
    """Without autocast, which would round matrix products to half precision; a backward pass may be inside of it."""
    kind = angles.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def _gradient(built: Sequence[Tensor], angles: Tensor, gradients: Sequence[Tensor]) -> tuple[Tensor, ...]:
    differentiable = [(tensor, by) for tensor, by in zip(built, gradients, strict=True) if tensor.requires_grad]
    tensors, by = zip(*differentiable, strict=True)
    return torch.autograd.grad(tensors, angles, by)
