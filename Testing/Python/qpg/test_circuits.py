"""The engine computes what PennyLane computes, values and gradients."""

from __future__ import annotations

import math

import pytest
import torch

from HQCSegmentLib import qpg
from HQCSegmentLib.qpg.engine import cut, reversible
from HQCSegmentLib.qpg.engine.permutations import source
from HQCSegmentLib.qpg.readout import values

EXACT = 1e-10
QUBITS, DEPTHS = range(1, 11), range(1, 5)


def random_angles(channels: int, depth: int, qubits: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(100 * qubits + depth)
    return 5 * torch.randn(channels, depth, qubits, dtype=torch.float64, generator=generator)


def with_gradient(function, angles: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Result, and its gradient by the angles for fixed random weights of the outputs."""
    angles = angles.clone().requires_grad_()
    result = function(angles)
    weights = torch.randn(result.shape, dtype=result.dtype, generator=torch.Generator().manual_seed(1))
    (result * weights).sum().backward()
    return result.detach(), angles.grad


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("qubits", QUBITS)
def test_probabilities_and_gradients_equal_pennylane(qubits: int, depth: int):
    angles = random_angles(3, depth, qubits)
    ours, our_gradient = with_gradient(qpg.born_probabilities, angles)
    theirs, their_gradient = with_gradient(qpg.qnode(qubits=qubits, depth=depth), angles)
    assert ours.shape == (3, 2**qubits)
    torch.testing.assert_close(ours, theirs, atol=EXACT, rtol=0)
    torch.testing.assert_close(our_gradient, their_gradient, atol=EXACT, rtol=0)


@pytest.mark.parametrize("readout", ["signed", "probability"])
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("qubits", QUBITS)
def test_readouts_equal_their_formulas_on_pennylanes_probabilities(qubits: int, depth: int, readout: str):
    if readout == "signed" and qubits == 1:
        qubits = 2  # a sign qubit and one more is the smallest signed circuit
    circuit = qpg.qnode(qubits=qubits, depth=depth)
    start = torch.zeros(depth, qubits, dtype=torch.float64)
    start[0] = math.pi / 2

    def formula(phi: torch.Tensor) -> torch.Tensor:
        p = circuit(start + phi)
        if readout == "probability":
            return 2**qubits * p - 1
        return 2 ** (qubits - 1) * (p[:, : 2 ** (qubits - 1)] - p[:, 2 ** (qubits - 1) :])

    size = 2 ** (qubits - 1) if readout == "signed" else 2**qubits
    phi = random_angles(2, depth, qubits)
    ours, our_gradient = with_gradient(lambda a: values(a, numbers=size, readout=readout), phi)
    theirs, their_gradient = with_gradient(formula, phi)
    # Values reach 2**qubits, so the tolerance is relative to that.
    torch.testing.assert_close(ours, theirs, atol=EXACT * 2**qubits, rtol=0)
    torch.testing.assert_close(our_gradient, their_gradient, atol=EXACT * 2**qubits, rtol=0)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("qubits", [2, 3, 5, 8])
def test_cut_and_reversible_engine_agree(qubits: int, depth: int):
    angles = random_angles(3, depth, qubits)
    first = torch.stack([torch.cos(angles[:, 0] / 2), torch.sin(angles[:, 0] / 2)], dim=2)
    ring = source(qpg.ANSATZES["ry_cnot_ring"].entangler(qubits=qubits), qubits=qubits)
    whole = reversible.probabilities(first, angles[:, 1:], ring)
    for left in range(1, qubits):
        halves = cut.halves(first, angles[:, 1:], cut=left)
        torch.testing.assert_close(cut.squared(*halves), whole, atol=EXACT, rtol=0)


def test_qubit_0_is_the_most_significant_bit():
    angles = torch.zeros(1, 1, 3, dtype=torch.float64)
    angles[0, 0, 0] = math.pi  # |100>
    assert qpg.born_probabilities(angles)[0].argmax() == 0b100


def test_the_ring_is_applied_in_order():
    # |10> -> CNOT(0, 1) -> |11> -> CNOT(1, 0) -> |01>
    angles = torch.zeros(1, 2, 2, dtype=torch.float64)
    angles[0, 0, 0] = math.pi
    assert qpg.born_probabilities(angles)[0].argmax() == 0b01


@pytest.mark.parametrize(("qubits", "depth"), [(1, 2), (3, 2), (4, 3), (3, 4)])
@pytest.mark.parametrize("readout", ["signed", "probability"])
def test_gradients_pass_gradcheck_also_when_values_are_left_out(qubits: int, depth: int, readout: str):
    phi = random_angles(2, depth, qubits + 1).requires_grad_()
    numbers = 2**qubits - 1
    assert torch.autograd.gradcheck(lambda a: values(a, numbers=numbers, readout=readout)[:, :numbers], phi)
    assert torch.autograd.gradcheck(qpg.born_probabilities, random_angles(2, depth, qubits).requires_grad_())


@pytest.mark.parametrize("readout", ["signed", "probability"])
@pytest.mark.parametrize("depth", DEPTHS)
def test_zero_angles_give_exactly_zero(depth: int, readout: str):
    for qubits in range(2, 12):
        assert not values(torch.zeros(2, depth, qubits), numbers=1, readout=readout).any()


@pytest.mark.parametrize("angle", [0.0, math.pi, -2 * math.pi, 1e6])
def test_no_nan_for_finite_float32_angles(angle: float):
    for depth in DEPTHS:
        result, gradient = with_gradient(qpg.born_probabilities, torch.full((2, depth, 6), angle))
        assert result.dtype == torch.float32
        assert torch.isfinite(result).all()
        assert torch.isfinite(gradient).all()
        torch.testing.assert_close(result.sum(1), torch.ones(2))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: qpg.born_probabilities(torch.zeros(1, 1, 1), ansatz="magic"), "magic"),
        (lambda: qpg.born_probabilities(torch.zeros(2, 3)), r"\(2, 3\)"),
        (lambda: qpg.born_probabilities(torch.zeros(1, 1, 1, dtype=torch.int64)), "int64"),
        (lambda: qpg.qnode(qubits=2, depth=1, ansatz="magic"), "magic"),
        (lambda: qpg.qnode(qubits=2, depth=1, device="no.such"), "no.such"),
        (lambda: qpg.qnode(qubits=0, depth=1), "0"),
        (lambda: qpg.QPGConfig(depth=9), "`depth`.*9"),
        (lambda: qpg.QPGConfig(readout="loud"), "`readout`.*loud"),
        (lambda: qpg.QPGConfig(ansatz="magic"), "`ansatz`.*magic"),
        (lambda: qpg.QPGConfig(minimum_numbers=0), "`minimum_numbers`.*0"),
        (lambda: qpg.QPGConfig(include="*"), "`include`"),
    ],
)
def test_wrong_arguments_are_named(call, said: str):
    with pytest.raises(qpg.QPGError, match=said):
        call()
