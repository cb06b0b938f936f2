"""The engine computes what PennyLane computes, values and gradients."""

from __future__ import annotations

import math

import pytest
import torch

from HQCSegmentLib import qpg
from HQCSegmentLib.qpg.engine import plan as planning
from HQCSegmentLib.qpg.engine.factors import stages_in_factors
from HQCSegmentLib.qpg.engine.program import compiled
from HQCSegmentLib.qpg.engine.run import Run
from HQCSegmentLib.qpg.engine.simulation import simulate
from HQCSegmentLib.qpg.readout import qubits_needed, values

ANSATZES = sorted(qpg.ANSATZES)
DEFAULT = "ry_cnot_ring"
READOUTS = ("signed", "probability")
FLOAT32 = 1e-5
"""Most by which probabilities in float32 may be off."""

ALL_SIZES = [(qubits, depth) for qubits in range(1, 11) for depth in range(1, 5)]
SOME_SIZES = [(1, 3), (2, 1), (2, 2), (3, 3), (4, 2), (5, 4), (7, 1)]
DEEP_SIZES = [(3, 8), (6, 7), (8, 5), (9, 8)]
SIZES = [
    pytest.param(
        ansatz,
        *size,
        marks=() if ansatz == DEFAULT or size in SOME_SIZES or size == (3, 8) else pytest.mark.slow,
        id=f"{ansatz}-{size[0]}x{size[1]}",
    )
    for ansatz in ANSATZES
    # The stages of these are those of the rings and chains of their family, and of the real rings.
    for size in (SOME_SIZES if ansatz in ("ryrz_cz_rings", "u3_cu3_rings") else ALL_SIZES) + DEEP_SIZES
]


def full_size(qubits: int, readout: str) -> int:
    """Values that a circuit of this many qubits can give."""
    return 2 ** (qubits - 1) if readout == "signed" else 2**qubits


def zeros(ansatz: str, *, qubits: int, depth: int) -> torch.Tensor:
    return torch.zeros(2, depth, qpg.ANSATZES[ansatz].angles_per_layer(qubits))


# Against PennyLane


@pytest.mark.parametrize(("ansatz", "qubits", "depth"), SIZES)
def test_probabilities_and_gradients_equal_pennylane(
    ansatz: str, qubits: int, depth: int, random_angles, assert_equal_with_gradient
):
    def engine(angles: torch.Tensor) -> torch.Tensor:
        return qpg.born_probabilities(angles, ansatz=ansatz)

    circuit = qpg.qnode(qubits=qubits, depth=depth, ansatz=ansatz)
    angles = random_angles(ansatz, circuits=3, qubits=qubits, depth=depth)
    assert engine(angles).shape == (3, 2**qubits)
    assert_equal_with_gradient(engine, circuit, angles)


@pytest.mark.parametrize("ansatz", ANSATZES)
def test_the_qnode_also_takes_the_angles_of_one_circuit(ansatz: str, random_angles, assert_equal_with_gradient):
    assert_equal_with_gradient(
        lambda angles: qpg.born_probabilities(angles[None], ansatz=ansatz)[0],
        qpg.qnode(qubits=4, depth=2, ansatz=ansatz),
        random_angles(ansatz, circuits=1, qubits=4, depth=2)[0],
    )


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize(("qubits", "depth"), [(2, 2), (3, 1), (4, 4), (7, 2)])
@pytest.mark.parametrize("ansatz", ANSATZES)
def test_readouts_equal_their_formulas_on_pennylanes_probabilities(
    ansatz: str, qubits: int, depth: int, readout: str, random_angles, assert_equal_with_gradient
):
    circuit = qpg.qnode(qubits=qubits, depth=depth, ansatz=ansatz)
    start = torch.tensor(qpg.ANSATZES[ansatz].start_angles(qubits=qubits, depth=depth), dtype=torch.float64)
    size = full_size(qubits, readout)

    def formula(phi: torch.Tensor) -> torch.Tensor:
        p = circuit(start + phi)
        return size * (p[:, :size] - p[:, size:]) if readout == "signed" else size * p - 1

    def generated(phi: torch.Tensor) -> torch.Tensor:
        return values(phi, numbers=size, readout=readout, ansatz=ansatz)

    assert_equal_with_gradient(generated, formula, random_angles(ansatz, circuits=2, qubits=qubits, depth=depth))


@pytest.mark.parametrize("ansatz", ANSATZES)
@pytest.mark.parametrize(("qubits", "depth"), [(1, 1), (5, 3), (9, 8)])
def test_float32_in_gives_float32_out(ansatz: str, qubits: int, depth: int, random_angles, with_gradient):
    def engine(angles: torch.Tensor) -> torch.Tensor:
        return qpg.born_probabilities(angles, ansatz=ansatz)

    angles = random_angles(ansatz, circuits=2, qubits=qubits, depth=depth).float()
    exact, exact_gradient = with_gradient(engine, angles.double())
    result, gradient = with_gradient(engine, angles)
    assert (result.dtype, gradient.dtype) == (torch.float32, torch.float32)
    torch.testing.assert_close(result.double(), exact, atol=FLOAT32, rtol=0)
    assert torch.isfinite(gradient).all()
    assert exact_gradient.dtype == torch.float64


# The methods inside the engine


def simulated(ansatz: str, angles: torch.Tensor, *, qubits: int, cut: int, max_terms: int) -> torch.Tensor:
    """Probabilities with as much of the circuit on factors as `max_terms` products allow, the rest on states."""
    program = compiled(ansatz, qubits=qubits, depth=angles.shape[1])
    stages = stages_in_factors(program, cut=cut, max_terms=max_terms)
    plan = planning.Plan(program, "squares", False, cut, stages, rows=2**cut)
    return simulate(angles, Run(plan, chunk=len(angles)))


@pytest.mark.parametrize("ansatz", ANSATZES)
@pytest.mark.parametrize("qubits", [2, 5])
def test_factors_and_states_agree_wherever_the_cut_is(
    ansatz: str, qubits: int, random_angles, assert_equal_with_gradient
):
    angles = random_angles(ansatz, circuits=2, qubits=qubits, depth=4)
    for cut in range(1, qubits):
        for max_terms in (4, 64):
            assert_equal_with_gradient(
                lambda a, c=cut, t=max_terms: simulated(ansatz, a, qubits=qubits, cut=c, max_terms=t),
                lambda a: simulated(ansatz, a, qubits=qubits, cut=1, max_terms=1),
                angles,
            )


@pytest.mark.parametrize("ansatz", ANSATZES)
@pytest.mark.parametrize("max_terms", [1, 4, 64])
def test_all_methods_pass_gradcheck(ansatz: str, max_terms: int, random_angles):
    angles = random_angles(ansatz, circuits=2, qubits=3, depth=3).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a: simulated(ansatz, a, qubits=3, cut=1, max_terms=max_terms), angles, fast_mode=True
    )


# In chunks


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("ansatz", ANSATZES)
@pytest.mark.parametrize("depth", [2, 5])
def test_chunks_change_nothing(ansatz: str, depth: int, readout: str, random_angles, assert_equal_with_gradient):
    angles = random_angles(ansatz, circuits=7, qubits=5, depth=depth)
    for chunk in (1, 3, 7, 100) if ansatz == DEFAULT else (3,):
        assert_equal_with_gradient(
            lambda phi, size=chunk: values(phi, numbers=13, readout=readout, ansatz=ansatz, chunk=size)[:, :13],
            lambda phi: values(phi, numbers=13, readout=readout, ansatz=ansatz)[:, :13],
            angles,
        )
        assert_equal_with_gradient(
            lambda a, size=chunk: qpg.born_probabilities(a, ansatz=ansatz, chunk=size),
            lambda a: qpg.born_probabilities(a, ansatz=ansatz),
            angles,
        )


@pytest.mark.parametrize("ansatz", ANSATZES)
@pytest.mark.parametrize(("qubits", "depth"), [(8, 2), (12, 3), (13, 4), (14, 8)])
@pytest.mark.parametrize("transformed", [False, True])
def test_many_circuits_are_done_in_equal_parts_of_bounded_memory(
    ansatz: str, qubits: int, depth: int, transformed: bool
):
    plan = planning.plan(ansatz, qubits, depth, "differences", True, 2 ** (qubits - 1), transformed)
    circuits = 2**25 // 2**qubits  # 2**25 amplitudes, more than is small
    states = circuits * 2**qubits * (4 if qpg.ANSATZES[ansatz].is_real else 8)
    at_once = plan.circuits_at_once(circuits, 4)
    kept = 3 if plan.later_stages else 2
    assert kept * states + at_once * plan.bytes_of_one(4) <= planning.PEAK_STATES * states + plan.bytes_of_one(4)
    assert plan.circuits_at_once(4, 4) == 4


def test_a_graph_can_be_walked_twice(random_angles):
    angles = random_angles(DEFAULT, circuits=4, qubits=5, depth=4).requires_grad_()
    for chunk in (None, 2):
        loss = qpg.born_probabilities(angles, chunk=chunk).square().sum()
        (once,) = torch.autograd.grad(loss, angles, retain_graph=True)
        (again,) = torch.autograd.grad(loss, angles)
        assert torch.equal(once, again)


@pytest.mark.parametrize("ansatz", ANSATZES)
def test_the_same_angles_give_the_same_bits(ansatz: str, random_angles, with_gradient):
    angles = random_angles(ansatz, circuits=5, qubits=8, depth=4).float()
    first, second = (with_gradient(lambda a: qpg.born_probabilities(a, ansatz=ansatz), angles) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


# Readouts


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
@pytest.mark.parametrize("qubits", [2, 3, 6, 9])
def test_asking_for_fewer_numbers_gives_the_first_of_them(
    qubits: int, depth: int, readout: str, random_angles, assert_equal_with_gradient
):
    size = full_size(qubits, readout)
    for numbers in {1, size // 2 + 1, size - 1, size}:
        assert_equal_with_gradient(
            lambda angles, count=numbers: values(angles, numbers=count, readout=readout)[:, :count],
            lambda angles, count=numbers: values(angles, numbers=size, readout=readout)[:, :count],
            random_angles(DEFAULT, circuits=2, qubits=qubits, depth=depth),
        )


@pytest.mark.parametrize("ansatz", ANSATZES)
@pytest.mark.parametrize("numbers", [5, 8])
@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize("readout", READOUTS)
def test_readouts_pass_gradcheck(readout: str, depth: int, numbers: int, ansatz: str, random_angles):
    phi = random_angles(ansatz, circuits=2, qubits=qubits_needed(8, readout), depth=depth).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda a: values(a, numbers=numbers, readout=readout, ansatz=ansatz)[:, :numbers], phi, fast_mode=True
    )


@pytest.mark.parametrize(
    ("numbers", "signed", "probability"), [(1, 2, 1), (2, 2, 1), (3, 3, 2), (64, 7, 6), (65, 8, 7), (3456, 13, 12)]
)
def test_a_circuit_has_just_enough_qubits(numbers: int, signed: int, probability: int):
    assert (qubits_needed(numbers, "signed"), qubits_needed(numbers, "probability")) == (signed, probability)


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("ansatz", ANSATZES)
def test_zero_angles_give_exactly_zero(ansatz: str, depth: int, readout: str):
    for qubits in range(2, 14) if ansatz == DEFAULT else (2, 3, 8, 13):
        angles, size = zeros(ansatz, qubits=qubits, depth=depth), full_size(qubits, readout)
        result = values(angles, numbers=size, readout=readout, ansatz=ansatz)
        assert result.shape == (2, size)
        assert result.dtype == torch.float32
        assert not result.any()


# Other devices


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("chunk", [None, 3])
@pytest.mark.parametrize("depth", [1, 2, 4, 6])
@pytest.mark.parametrize("ansatz", ANSATZES)
def test_all_is_computed_on_the_device_of_the_angles(ansatz: str, depth: int, chunk: int | None, readout: str):
    """On "meta", torch's device without numbers: a tensor left on the CPU or a number read back would be refused."""
    angles = zeros(ansatz, qubits=9, depth=depth).to("meta").requires_grad_()
    result = values(angles, numbers=200, readout=readout, ansatz=ansatz, chunk=chunk)
    result.sum().backward()
    assert result.device == angles.grad.device == angles.device


# Whatever finite angles an optimizer reaches


@pytest.mark.parametrize("angle", [0.0, math.pi, -1e6])
@pytest.mark.parametrize(("qubits", "depth"), [(2, 1), (6, 2), (11, 4)])
@pytest.mark.parametrize("ansatz", ANSATZES)
def test_no_nan_for_finite_float32_angles(ansatz: str, qubits: int, depth: int, angle: float, with_gradient):
    angles = zeros(ansatz, qubits=qubits, depth=depth) + angle
    result, gradient = with_gradient(lambda a: qpg.born_probabilities(a, ansatz=ansatz), angles)
    assert torch.isfinite(gradient).all()
    torch.testing.assert_close(result.sum(1), torch.ones(2))
    for readout in READOUTS:
        size = full_size(qubits, readout)
        result, gradient = with_gradient(
            lambda a, n=size, r=readout: values(a, numbers=n, readout=r, ansatz=ansatz), angles
        )
        assert torch.isfinite(result).all()
        assert torch.isfinite(gradient).all()


# Errors


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: qpg.born_probabilities(torch.zeros(1, 1, 1), ansatz="magic"), "`ansatz`.*magic"),
        (lambda: qpg.born_probabilities(torch.zeros(2, 3)), r"`angles`.*\(2, 3\)"),
        (lambda: qpg.born_probabilities(torch.zeros(2, 1, 0)), r"`angles`.*\(2, 1, 0\)"),
        (lambda: qpg.born_probabilities(torch.zeros(2, 1, 3), ansatz="ryrz_cz_ring"), "`angles` has 3 .*ryrz_cz_ring"),
        (lambda: qpg.born_probabilities(torch.zeros(1, 1, 1, dtype=torch.int64)), "`angles`.*int64"),
        (lambda: qpg.born_probabilities(torch.zeros(1, 1, 1, dtype=torch.float16)), "`angles`.*float16"),
        (lambda: qpg.born_probabilities(torch.zeros(1, 1, 1), chunk=0), "`chunk`.*0"),
        (lambda: values(torch.zeros(1, 1, 2), numbers=2, readout="signed", chunk=-1), "`chunk`.*-1"),
        (lambda: qpg.qnode(qubits=2, depth=1, ansatz="magic"), "`ansatz`.*magic"),
        (lambda: qpg.qnode(qubits=2, depth=1, device="no.such"), "`device`.*no.such"),
        (lambda: qpg.qnode(qubits=0, depth=1), "`qubits`.*0"),
        (lambda: qpg.qnode(qubits=2, depth=0), "`depth`.*0"),
        (lambda: qpg.qnode(qubits=2, depth=1)(torch.zeros(1, 3)), r"\(1, 3\)"),
        (lambda: qpg.qnode(qubits=2, depth=1, ansatz="ryrz_cz_chain")(torch.zeros(1, 2)), r"\(..., 1, 4\).*\(1, 2\)"),
    ],
)
def test_wrong_arguments_are_named(call, said: str):
    with pytest.raises(qpg.QPGError, match=said):
        call()
