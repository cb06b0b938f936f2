"""The engine computes what PennyLane computes, values and gradients."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch

from HQCSegmentLib import qpg
from HQCSegmentLib.qpg.engine import cut, reversible
from HQCSegmentLib.qpg.engine.permutations import source
from HQCSegmentLib.qpg.readout import qubits_needed, values

EXACT = 1e-10
QUBITS, DEPTHS = range(1, 11), range(1, 5)
READOUTS = ("signed", "probability")


def random_angles(*shape: int) -> torch.Tensor:
    """Angles over several turns, float64."""
    generator = torch.Generator().manual_seed(sum(100**place * size for place, size in enumerate(shape)))
    return 5 * torch.randn(*shape, dtype=torch.float64, generator=generator)


def with_gradient(
    function: Callable[[torch.Tensor], torch.Tensor], angles: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Result, and its gradient by the angles for fixed random weights of the outputs."""
    angles = angles.clone().requires_grad_()
    result = function(angles)
    weights = torch.randn(result.shape, dtype=result.dtype, generator=torch.Generator().manual_seed(1))
    (result * weights).sum().backward()
    return result.detach(), angles.grad


def assert_equal_with_gradient(ours, theirs, angles: torch.Tensor, *, tolerance: float = EXACT) -> None:
    for mine, reference in zip(with_gradient(ours, angles), with_gradient(theirs, angles), strict=True):
        torch.testing.assert_close(mine, reference, atol=tolerance, rtol=0)


def full_size(qubits: int, readout: str) -> int:
    """Values that a circuit of this many qubits can give."""
    return 2 ** (qubits - 1) if readout == "signed" else 2**qubits


def ring_source(qubits: int) -> torch.Tensor:
    return source(qpg.ANSATZES["ry_cnot_ring"].entangler(qubits=qubits), qubits=qubits)


# Against PennyLane


@pytest.mark.parametrize("ansatz", qpg.ANSATZES)
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("qubits", QUBITS)
def test_probabilities_and_gradients_equal_pennylane(qubits: int, depth: int, ansatz: str):
    def engine(angles: torch.Tensor) -> torch.Tensor:
        return qpg.born_probabilities(angles, ansatz=ansatz)

    circuit = qpg.qnode(qubits=qubits, depth=depth, ansatz=ansatz)
    angles = random_angles(3, depth, qubits)
    assert engine(angles).shape == (3, 2**qubits)
    assert_equal_with_gradient(engine, circuit, angles)
    # The QNode also takes the angles of one circuit.
    assert_equal_with_gradient(lambda one: engine(one[None])[0], circuit, angles[1])


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("qubits", QUBITS)
def test_readouts_equal_their_formulas_on_pennylanes_probabilities(qubits: int, depth: int, readout: str):
    if readout == "signed" and qubits == 1:
        qubits = 2  # a sign qubit and one more is the smallest signed circuit
    circuit = qpg.qnode(qubits=qubits, depth=depth)
    start = torch.zeros(depth, qubits, dtype=torch.float64)
    start[0] = math.pi / 2
    size = full_size(qubits, readout)

    def formula(phi: torch.Tensor) -> torch.Tensor:
        p = circuit(start + phi)
        return size * (p[:, :size] - p[:, size:]) if readout == "signed" else size * p - 1

    phi = random_angles(2, depth, qubits)
    assert_equal_with_gradient(lambda angles: values(angles, numbers=size, readout=readout), formula, phi)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("qubits", QUBITS)
def test_float32_in_gives_float32_out(qubits: int, depth: int):
    angles = random_angles(2, depth, qubits)
    exact = with_gradient(qpg.born_probabilities, angles.float().double())[0]
    result, gradient = with_gradient(qpg.born_probabilities, angles.float())
    assert (result.dtype, gradient.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(result.double(), exact, atol=1e-5, rtol=0)


# The two engines


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("qubits", [2, 3, 5, 8])
def test_cut_and_reversible_engine_agree_wherever_the_cut_is(qubits: int, depth: int):
    def whole(angles: torch.Tensor) -> torch.Tensor:
        return reversible.probabilities(first_states(angles), angles[:, 1:], ring_source(qubits))

    for left in range(1, qubits):

        def halved(angles: torch.Tensor, size: int = left) -> torch.Tensor:
            return cut.squared(*cut.halves(first_states(angles), angles[:, 1:], cut=size))

        assert_equal_with_gradient(halved, whole, random_angles(3, depth, qubits))


def first_states(angles: torch.Tensor) -> torch.Tensor:
    return torch.stack([torch.cos(angles[:, 0] / 2), torch.sin(angles[:, 0] / 2)], dim=2)


@pytest.mark.parametrize("depth", DEPTHS)
def test_both_engines_pass_gradcheck(depth: int):
    later = random_angles(2, depth - 1, 3).requires_grad_()
    first = random_angles(2, 3, 2).requires_grad_()  # of any norm
    assert torch.autograd.gradcheck(lambda a, b: reversible.probabilities(a, b, ring_source(3)), (first, later))
    assert torch.autograd.gradcheck(lambda a, b: cut.squared(*cut.halves(a, b, cut=1)), (first, later))
    assert torch.autograd.gradcheck(lambda a, b: cut.signed_difference(*cut.halves(a, b, cut=2)), (first, later))


# Readouts


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("qubits", [2, 3, 6, 9])
def test_asking_for_fewer_numbers_gives_the_first_of_them(qubits: int, depth: int, readout: str):
    size = full_size(qubits, readout)
    for numbers in {1, size // 2 + 1, size - 1, size}:
        assert_equal_with_gradient(
            lambda angles, count=numbers: values(angles, numbers=count, readout=readout)[:, :count],
            lambda angles, count=numbers: values(angles, numbers=size, readout=readout)[:, :count],
            random_angles(2, depth, qubits),
        )


@pytest.mark.parametrize("numbers", [1, 5, 7, 8])
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("readout", READOUTS)
def test_readouts_pass_gradcheck(readout: str, depth: int, numbers: int):
    phi = random_angles(2, depth, 4 if readout == "signed" else 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda a: values(a, numbers=numbers, readout=readout)[:, :numbers], phi)


@pytest.mark.parametrize(
    ("numbers", "signed", "probability"), [(1, 2, 1), (2, 2, 1), (3, 3, 2), (64, 7, 6), (65, 8, 7), (3456, 13, 12)]
)
def test_a_circuit_has_just_enough_qubits(numbers: int, signed: int, probability: int):
    assert (qubits_needed(numbers, "signed"), qubits_needed(numbers, "probability")) == (signed, probability)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("depth", DEPTHS)
def test_zero_angles_give_exactly_zero(depth: int, readout: str):
    for qubits in range(2, 14):
        result = values(torch.zeros(2, depth, qubits), numbers=full_size(qubits, readout), readout=readout)
        assert result.shape == (2, full_size(qubits, readout))
        assert result.dtype == torch.float32
        assert not result.any()


# Small cases by hand


def probable_state(*layers: list[float]) -> str:
    """The basis state in which a circuit of rotations by 0 or pi ends with certainty."""
    probabilities = qpg.born_probabilities(torch.tensor([layers], dtype=torch.float64))[0]
    assert probabilities.max() == pytest.approx(1)
    return f"{int(probabilities.argmax()):0{len(layers[0])}b}"


def test_qubit_0_is_the_most_significant_bit():
    assert probable_state([math.pi, 0, 0]) == "100"
    assert probable_state([0, 0, math.pi]) == "001"


def test_the_ring_is_applied_in_order_between_layers():
    # 10 -> CNOT(0, 1) -> 11 -> CNOT(1, 0) -> 01
    assert probable_state([math.pi, 0], [0, 0]) == "01"
    # 100 -> 110 -> 111 -> CNOT(2, 0) -> 011; the other order, CNOT(2, 0) first, would end in 111.
    assert probable_state([math.pi, 0, 0], [0, 0, 0]) == "011"
    # 001 -> 001 -> 001 -> CNOT(2, 0) -> 101
    assert probable_state([0, 0, math.pi], [0, 0, 0]) == "101"
    # After the ring 011, the second layer flips qubit 1: 001; there is no ring after the last layer.
    assert probable_state([math.pi, 0, 0], [0, math.pi, 0]) == "001"
    # One more ring, 001 -> 101, before a third layer.
    assert probable_state([math.pi, 0, 0], [0, math.pi, 0], [0, 0, 0]) == "101"


def test_one_qubit_is_turned_by_the_sum_of_its_angles():
    a, b = 0.3, 0.9
    (probabilities,) = qpg.born_probabilities(torch.tensor([[[a], [b]]], dtype=torch.float64))
    assert probabilities.tolist() == pytest.approx([math.cos((a + b) / 2) ** 2, math.sin((a + b) / 2) ** 2])


def test_two_qubits_of_depth_1_have_independent_probabilities():
    a, b = 0.4, 2.5
    (probabilities,) = qpg.born_probabilities(torch.tensor([[[a, b]]], dtype=torch.float64))
    zero, one = (math.cos(a / 2) ** 2, math.sin(a / 2) ** 2), (math.cos(b / 2) ** 2, math.sin(b / 2) ** 2)
    assert probabilities.tolist() == pytest.approx([p * q for p in zero for q in one])


# Whatever finite angles an optimizer reaches


@pytest.mark.parametrize("angle", [0.0, math.pi, -2 * math.pi, 7 * math.pi, 1e6, -1e6])
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("qubits", [2, 6, 13])
def test_no_nan_for_finite_float32_angles(qubits: int, depth: int, angle: float):
    angles = torch.full((2, depth, qubits), angle)
    result, gradient = with_gradient(qpg.born_probabilities, angles)
    assert torch.isfinite(gradient).all()
    torch.testing.assert_close(result.sum(1), torch.ones(2))
    for readout in READOUTS:
        size = full_size(qubits, readout)
        result, gradient = with_gradient(lambda a, n=size, r=readout: values(a, numbers=n, readout=r), angles)
        assert torch.isfinite(result).all()
        assert torch.isfinite(gradient).all()


# Errors


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: qpg.born_probabilities(torch.zeros(1, 1, 1), ansatz="magic"), "`ansatz`.*magic"),
        (lambda: qpg.born_probabilities(torch.zeros(2, 3)), r"`angles`.*\(2, 3\)"),
        (lambda: qpg.born_probabilities(torch.zeros(2, 1, 0)), r"`angles`.*\(2, 1, 0\)"),
        (lambda: qpg.born_probabilities(torch.zeros(1, 1, 1, dtype=torch.int64)), "`angles`.*int64"),
        (lambda: qpg.born_probabilities(torch.zeros(1, 1, 1, dtype=torch.float16)), "`angles`.*float16"),
        (lambda: qpg.qnode(qubits=2, depth=1, ansatz="magic"), "`ansatz`.*magic"),
        (lambda: qpg.qnode(qubits=2, depth=1, device="no.such"), "`device`.*no.such"),
        (lambda: qpg.qnode(qubits=0, depth=1), "`qubits`.*0"),
        (lambda: qpg.qnode(qubits=2, depth=0), "`depth`.*0"),
        (lambda: qpg.qnode(qubits=2, depth=1)(torch.zeros(1, 3)), r"\(1, 3\)"),
    ],
)
def test_wrong_arguments_are_named(call, said: str):
    with pytest.raises(qpg.QPGError, match=said):
        call()
