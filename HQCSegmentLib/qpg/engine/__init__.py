"""Exact, batched and differentiable simulation of many small circuits that each have their own angles."""

from __future__ import annotations

from torch import Tensor

from HQCSegmentLib.qpg.engine.evolution import Blocks, Measure
from HQCSegmentLib.qpg.engine.run import Run
from HQCSegmentLib.qpg.engine.simulation import simulate


def born_probabilities(angles: Tensor, *, ansatz: str = "ry_cnot_ring", chunk: int | None = None) -> Tensor:
    """Born probabilities of circuits that start at |0...0>.

    Equal to PennyLane's `qml.probs` of the same circuit (`HQCSegmentLib.qpg.qnode`) to rounding.

    Args:
        angles: (channels, depth, angles per layer) in radians, float32 or float64; for `ry_cnot_*` there is one angle
            per qubit in a layer, for the others see `ANSATZES[ansatz].angles_per_layer`.
        ansatz: Circuit family and entanglement, a key of `ANSATZES`.
        chunk: How many circuits are simulated at once; None: chosen for bounded memory.

    Returns:
        (channels, 2**qubits), qubit 0 the most significant bit; differentiable with respect to `angles`.

    Raises:
        QPGError: for another shape or dtype, an unknown ansatz, or a chunk below 1.

    Examples:
        >>> born_probabilities(torch.zeros(5, 2, 3)).shape
        torch.Size([5, 8])
    """
    return simulate(angles, Run.of(angles, ansatz=ansatz, measure="squares", scaled=False, chunk=chunk))


__all__ = ["Blocks", "Measure", "Run", "born_probabilities", "simulate"]
