"""Walsh coordinates: numbers of a channel are expectation values of Pauli-Z strings."""

from __future__ import annotations

import math

import numpy as np
import pennylane as qml
import pytest
import torch
from scipy.linalg import hadamard

from HQCSegmentLib import qpg
from HQCSegmentLib.qpg.engine import simulate
from HQCSegmentLib.qpg.readout import values, values_run
from HQCSegmentLib.qpg.reference import apply, gates_of
from HQCSegmentLib.qpg.walsh import walsh

ANSATZES = sorted(qpg.ANSATZES)
READOUTS = ("signed", "probability")
SIZES = [(1, 2), (2, 1), (4, 2), (5, 4), (6, 3)]
"""Qubits and depth; shallow circuits are computed without a state, deep ones with."""


def transformed(angles: torch.Tensor, *, numbers: int, readout: str, ansatz: str, chunk: int | None = None):
    """As the engine computes it, for as many numbers as are asked for."""
    run = values_run(angles, numbers=numbers, readout=readout, ansatz=ansatz, transformed=True, chunk=chunk)
    return simulate(angles, run)[:, :numbers]


@pytest.mark.parametrize("bits", range(8))
def test_the_transform_is_that_of_scipy_and_its_own_inverse(bits: int):
    torch.manual_seed(0)
    rows = torch.randn(3, 2**bits, dtype=torch.float64)
    expected = rows.numpy() @ hadamard(2**bits) / math.sqrt(2**bits)
    np.testing.assert_allclose(walsh(rows).numpy(), expected, atol=1e-12)
    torch.testing.assert_close(walsh(walsh(rows)), rows, atol=1e-12, rtol=0)


@pytest.mark.parametrize("ansatz", ANSATZES)
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_signed_values_are_expectation_values_of_strings_of_pauli_z(ansatz: str, depth: int, random_angles):
    """Of Z on the first qubit, and on those of the others whose bit in the number's place is 1."""
    qubits = 4
    theta = random_angles(ansatz, circuits=1, qubits=qubits, depth=depth)
    strings = [[0, *(1 + bit for bit in range(3) if place >> (2 - bit) & 1)] for place in range(8)]

    @qml.qnode(qml.device("default.qubit", wires=qubits))
    def circuit():
        for gate in gates_of(qubits=qubits, depth=depth, ansatz=ansatz):
            apply(gate, theta[0])
        return [qml.expval(qml.prod(*(qml.Z(wire) for wire in string))) for string in strings]

    start = torch.as_tensor(qpg.ANSATZES[ansatz].start_angles(qubits=qubits, depth=depth), dtype=theta.dtype)
    found = transformed(theta - start, numbers=8, readout="signed", ansatz=ansatz)
    expected = math.sqrt(8) * torch.stack([torch.as_tensor(value) for value in circuit()])
    torch.testing.assert_close(found[0], expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize(("qubits", "depth"), SIZES)
@pytest.mark.parametrize("ansatz", ANSATZES)
def test_the_engine_transforms_what_it_measures(
    ansatz: str, qubits: int, depth: int, readout: str, random_angles, assert_equal_with_gradient
):
    size = 2 ** (qubits - 1) if readout == "signed" else 2**qubits
    angles = random_angles(ansatz, circuits=5, qubits=qubits, depth=depth)
    for numbers in {size, max(1, size - 3)}:
        for chunk in (None, 2):
            assert_equal_with_gradient(
                lambda phi, numbers=numbers, chunk=chunk: transformed(
                    phi, numbers=numbers, readout=readout, ansatz=ansatz, chunk=chunk
                ),
                lambda phi, numbers=numbers: walsh(values(phi, numbers=size, readout=readout, ansatz=ansatz)[:, :size])[
                    :, :numbers
                ],
                angles,
            )


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize(("qubits", "depth"), [(3, 2), (8, 2), (9, 3), (10, 4)])
@pytest.mark.parametrize("ansatz", ["ry_cnot_ring", "ry_cnot_rings", "ryrz_cz_chain", "u3_cu3_ring"])
def test_at_the_uniform_state_all_numbers_are_zero_to_the_last_bit(ansatz: str, qubits: int, depth: int, readout: str):
    phi = torch.zeros(3, depth, qpg.ANSATZES[ansatz].angles_per_layer(qubits))
    numbers = 2 ** (qubits - 1) if readout == "signed" else 2**qubits
    assert not transformed(phi, numbers=numbers, readout=readout, ansatz=ansatz).any()
