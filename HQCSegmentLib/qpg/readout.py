"""From circuits to values: how Born probabilities are read as numbers around zero.

Circuits are simulated from the uniform state with all amplitudes scaled to exactly 1, so that all-zero angles give
values that are exactly zero, without a rounding error: training starts at W0 to the last bit.
"""

from __future__ import annotations

from torch import Tensor

from HQCSegmentLib.qpg.config import Readout
from HQCSegmentLib.qpg.engine import Measure, Run, simulate


def qubits_needed(numbers: int, readout: Readout) -> int:
    """Qubits of a circuit that generates `numbers` values: ceil(log2 M), and one more for the sign.

    Args:
        numbers: M, at least 1.
        readout: "signed" or "probability".
    """
    data = max(1, (numbers - 1).bit_length())
    return data + 1 if readout == "signed" else data


def values(
    angles: Tensor, *, numbers: int, readout: Readout, ansatz: str = "ry_cnot_ring", chunk: int | None = None
) -> Tensor:
    """Values that a batch of circuits generates.

    signed:      v_b = 2**(n-1) * (p(0, b) - p(1, b)), the first qubit being the sign;
    probability: v_b = 2**n * p_b - 1.

    Args:
        angles: phi, the angles' distance from the uniform start, (batch, depth, angles per layer), radians, float32 or
            float64. Angles per layer: the ansatz's `angles_per_layer` of the number of qubits.
        numbers: How many of the values are needed; the last that are not may be left out.
        readout: "signed" or "probability".
        ansatz: Circuit family and entanglement, a key of `ANSATZES`.
        chunk: How many circuits are simulated at once, forward and backward. None: all of them where that keeps the
            peak memory below four times the size of their states, or small; else fewer.

    Returns:
        (batch, at least `numbers`), dtype of the angles; the first `numbers` columns count. Zero everywhere where phi
        is zero.

    Raises:
        QPGError: for an unknown ansatz, angles of another shape or dtype, or a chunk below 1.
    """
    return simulate(angles, values_run(angles, numbers=numbers, readout=readout, ansatz=ansatz, chunk=chunk))


def values_run(
    angles: Tensor,
    *,
    numbers: int,
    readout: Readout,
    ansatz: str = "ry_cnot_ring",
    transformed: bool = False,
    chunk: int | None = None,
) -> Run:
    """How `values` of the same arguments, or their Walsh transform, are computed, a few circuits at a time."""
    measure: Measure = "differences" if readout == "signed" else "deviations"
    return Run.of(
        angles, ansatz=ansatz, measure=measure, scaled=True, numbers=numbers, transformed=transformed, chunk=chunk
    )


def values_of_probabilities(probabilities: Tensor, *, readout: Readout) -> Tensor:
    """The same values from Born probabilities, exact or estimated ones.

    Args:
        probabilities: (batch, 2**n), of circuits that start at |0...0>, their angles being the start angles plus phi.
        readout: "signed" or "probability".

    Returns:
        (batch, 2**(n-1)) or (batch, 2**n). At the uniform distribution zero only to rounding.
    """
    outcomes = probabilities.shape[1]
    if readout == "signed":
        positive, negative = probabilities.chunk(2, dim=1)
        return outcomes / 2 * (positive - negative)
    return outcomes * probabilities - 1
