"""Depolarising noise from circuits with random Pauli errors: each is exact, and their mean is the density matrix's."""

from __future__ import annotations

import numpy as np
import pennylane as qml
import pytest
import torch

from HQCSegmentLib import qpg
from HQCSegmentLib.qpg import pauli_frames
from HQCSegmentLib.qpg.noise import CHEAP_DENSITY_QUBITS, MAX_DENSITY_QUBITS
from HQCSegmentLib.qpg.pauli_frames import PAULIS, depolarised_probabilities, with_errors
from HQCSegmentLib.qpg.reference import apply

CARRIED = ["ry_cnot_ring", "ry_cnot_chain", "ry_cnot_none", "ryrz_cz_ring", "ryrz_cz_chain", "u3_cu3_none"]
"""Circuits whose errors can be carried to the end."""

EXACT = 1e-10
"""Most by which two exact computations in float64 may differ."""

STRONG = (0.1, 0.2)
"""Probability of an error after a one-qubit gate, and on each qubit of a two-qubit gate."""

TRAJECTORIES = 4000
SIGMAS = 5.5
"""Standard errors that none of the few thousand compared means may be off by."""


def with_pauli_gates(angles: torch.Tensor, errors: np.ndarray, ansatz: str) -> np.ndarray:
    """Probabilities from PennyLane's state vector of one circuit, with the errors as gates between its gates."""
    depth, width = angles.shape
    qubits = next(one for one in range(1, 9) if qpg.ANSATZES[ansatz].angles_per_layer(one) == width)
    gates = qpg.ANSATZES[ansatz].gates(qubits=qubits, depth=depth)
    following = list(zip(pauli_frames.places(gates), errors, strict=True))

    @qml.qnode(qml.device("default.qubit", wires=qubits))
    def circuit():
        for number, gate in enumerate(gates):
            apply(gate, angles.numpy())
            for (after, qubit), error in following:
                if after == number and PAULIS[error] != "I":
                    {"X": qml.X, "Y": qml.Y, "Z": qml.Z}[PAULIS[error]](qubit)
        return qml.probs()

    return circuit()


@pytest.mark.parametrize("depth", [1, 2, 3])
@pytest.mark.parametrize("qubits", [1, 2, 3, 5])
@pytest.mark.parametrize("ansatz", CARRIED)
def test_a_circuit_with_errors_is_the_circuit_with_pauli_gates_in_it(
    ansatz: str, qubits: int, depth: int, random_angles
):
    angles = random_angles(ansatz, circuits=6, qubits=qubits, depth=depth)
    places = pauli_frames.places(qpg.ANSATZES[ansatz].gates(qubits=qubits, depth=depth))
    # From one error in a few places to errors nearly everywhere.
    chances = np.linspace(0.1, 0.9, 6)[:, None]
    generator = np.random.default_rng(depth)
    errors = np.where(generator.random((6, len(places))) < chances, generator.integers(1, 4, (6, len(places))), 0)
    computed = with_errors(angles, errors.astype(np.int8), ansatz=ansatz)
    expected = np.stack([with_pauli_gates(*one, ansatz) for one in zip(angles, errors, strict=True)])
    np.testing.assert_allclose(computed, expected, atol=EXACT, rtol=0)


@pytest.mark.parametrize("pauli", ["X", "Y", "Z"])
@pytest.mark.parametrize("ansatz", CARRIED)
def test_every_single_error_is_the_pauli_gate_at_its_place(ansatz: str, pauli: str, random_angles):
    places = pauli_frames.places(qpg.ANSATZES[ansatz].gates(qubits=3, depth=2))
    angles = random_angles(ansatz, circuits=1, qubits=3, depth=2).expand(len(places), -1, -1)
    errors = PAULIS.index(pauli) * np.eye(len(places), dtype=np.int8)
    expected = np.stack([with_pauli_gates(*one, ansatz) for one in zip(angles, errors, strict=True)])
    np.testing.assert_allclose(with_errors(angles, errors, ansatz=ansatz), expected, atol=EXACT, rtol=0)


@pytest.mark.parametrize("qubits", [2, 3, 4, 5])
@pytest.mark.parametrize("ansatz", CARRIED)
def test_the_mean_is_that_of_the_density_matrix(ansatz: str, qubits: int, random_angles):
    for depth in (1, 2, 3):
        angles = random_angles(ansatz, circuits=2, qubits=qubits, depth=depth)
        exact = qpg.estimated_probabilities(
            angles, qpg.Execution(depolarising=STRONG, device="default.mixed"), ansatz=ansatz
        )
        mean = depolarised_probabilities(angles, STRONG, trajectories=TRAJECTORIES, ansatz=ansatz, seed=depth)
        # No probability from one circuit with errors has more variance than a yes or no with the same mean.
        standard_error = (exact * (1 - exact) / TRAJECTORIES).sqrt()
        assert torch.all((mean - exact).abs() < SIGMAS * standard_error + 1e-7)
        torch.testing.assert_close(mean.sum(dim=1), torch.ones(2, dtype=torch.float64))


def test_the_error_falls_with_the_root_of_trajectories_and_with_the_noise(random_angles):
    angles = random_angles("ry_cnot_ring", circuits=50, qubits=4, depth=2)

    def error(noise: tuple[float, float], trajectories: int) -> float:
        exact = qpg.estimated_probabilities(angles, qpg.Execution(depolarising=noise))
        return float((depolarised_probabilities(angles, noise, trajectories=trajectories) - exact).norm())

    few, many, weak = error(STRONG, 10), error(STRONG, 1000), error((0.001, 0.002), 10)
    assert 0.07 < many / few < 0.14
    # An error happens in 2 of 100 circuits, and only those are drawn.
    assert weak < 0.05 * few


def test_errors_are_drawn_as_often_as_the_channel_makes_them_given_that_there_is_one():
    chances, number = np.array([0.3, 0.0, 0.1, 0.5]), 200_000
    errors = pauli_frames.drawn_errors(chances, number, np.random.default_rng(0))
    assert np.all((errors != 0).any(axis=1))
    some = 1 - np.prod(1 - chances)
    assert pauli_frames.first_error_probabilities(chances).sum() == pytest.approx(some)
    for pauli in (1, 2, 3):
        np.testing.assert_allclose((errors == pauli).mean(axis=0), chances / some / 3, atol=0.005)
    # Places are independent but for the condition: 1 and 3 together.
    assert ((errors[:, 0] != 0) & (errors[:, 3] != 0)).mean() == pytest.approx(0.3 * 0.5 / some, abs=0.005)


@pytest.mark.parametrize("ansatz", CARRIED)
def test_without_noise_probabilities_are_exact(ansatz: str, random_angles):
    angles = random_angles(ansatz, circuits=3, qubits=4, depth=2)
    exact = qpg.born_probabilities(angles, ansatz=ansatz)
    assert torch.equal(depolarised_probabilities(angles, (0.0, 0.0), trajectories=5, ansatz=ansatz), exact)


def test_certain_errors_need_no_circuit_without(random_angles):
    angles = random_angles("ry_cnot_ring", circuits=2, qubits=3, depth=1)
    exact = qpg.estimated_probabilities(angles, qpg.Execution(depolarising=(1.0, 0.0)))
    mean = depolarised_probabilities(angles, (1.0, 0.0), trajectories=TRAJECTORIES)
    torch.testing.assert_close(mean, exact, atol=SIGMAS * 0.5 / TRAJECTORIES**0.5, rtol=0)


def test_parts_of_bounded_memory_give_the_same_estimate_in_distribution_and_count_circuits(random_angles, monkeypatch):
    angles = random_angles("ry_cnot_ring", circuits=3, qubits=4, depth=2)
    exact = qpg.estimated_probabilities(angles, qpg.Execution(depolarising=STRONG))
    seen: list[int] = []
    monkeypatch.setattr(pauli_frames, "TRAJECTORY_BYTES", 16 * 8 * 300)
    mean = depolarised_probabilities(angles, STRONG, trajectories=1000, on_progress=seen.append)
    torch.testing.assert_close(mean, exact, atol=SIGMAS * 0.5 / 1000**0.5, rtol=0)
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == 3


# In `estimated_probabilities`


def test_small_circuits_are_exact_and_large_ones_are_drawn(random_angles):
    noisy = qpg.Execution(depolarising=(0.01, 0.02), trajectories=20)
    for qubits, exact in ((CHEAP_DENSITY_QUBITS, True), (CHEAP_DENSITY_QUBITS + 1, False)):
        angles = random_angles("ry_cnot_ring", circuits=1, qubits=qubits, depth=2)
        first, again, other = (qpg.estimated_probabilities(angles, noisy, seed=seed) for seed in (7, 7, 8))
        assert torch.equal(first, again)
        assert torch.equal(first, other) == exact


def test_depolarising_has_no_limit_of_qubits_and_adds_to_readout_errors_and_shots(random_angles):
    angles = random_angles("ry_cnot_ring", circuits=2, qubits=13, depth=2)
    noise = {"depolarising": (0.001, 0.01), "trajectories": 50}
    unlimited = qpg.estimated_probabilities(angles, qpg.Execution(**noise), seed=1)
    torch.testing.assert_close(unlimited.sum(dim=1), torch.ones(2, dtype=torch.float64))
    # The outcomes of all-zero angles are certain: 0 without errors.
    zero = torch.zeros(1, 2, 13)
    read = qpg.estimated_probabilities(zero, qpg.Execution(**noise, readout_error=0.01), seed=1)
    alone = qpg.estimated_probabilities(zero, qpg.Execution(**noise), seed=1)
    assert 0.99**13 * alone[0, 0] <= read[0, 0] < 0.89 * alone[0, 0]
    counts = 1000 * qpg.estimated_probabilities(angles, qpg.Execution(**noise, shots=1000), seed=1)
    torch.testing.assert_close(counts, counts.round())
    assert counts.sum() == pytest.approx(2000)


def test_the_chance_of_no_error_is_that_of_all_gates_together():
    one, two, qubits = 0.001, 0.01, 8
    zero = torch.zeros(1, 2, qubits)
    probability = qpg.estimated_probabilities(zero, qpg.Execution(depolarising=(one, two), trajectories=1000))[0, 0]
    # Z errors are not seen, and few others come in pairs that undo each other.
    errors = 2 * qubits * one + 2 * qubits * two
    assert probability == pytest.approx(1 - 2 / 3 * errors, abs=0.02)


@pytest.mark.parametrize(
    ("ansatz", "device", "said"),
    [
        ("ry_cnot_ring", "default.mixed", r"on `device` default\.mixed .* up to {} qubits, got {}; leave the device"),
        ("u3_cu3_ring", "default.qubit", r"controlled rotations of u3_cu3_ring .* up to {} qubits, got {}; .*ryrz_cz"),
    ],
)
def test_too_large_for_a_density_matrix_is_refused_with_what_is_possible(ansatz: str, device: str, said: str):
    qubits = MAX_DENSITY_QUBITS + 1
    angles = torch.zeros(1, 2, qpg.ANSATZES[ansatz].angles_per_layer(qubits))
    with pytest.raises(qpg.QPGError, match=said.format(MAX_DENSITY_QUBITS, qubits)):
        qpg.estimated_probabilities(angles, qpg.Execution(depolarising=(0.01, 0.0), device=device), ansatz=ansatz)
    # What needs no density matrix is not limited.
    qpg.estimated_probabilities(angles, qpg.Execution(readout_error=0.01, shots=100), ansatz=ansatz)


@pytest.mark.parametrize("trajectories", [0, -1, 1.5, True])
def test_an_impossible_number_of_trajectories_is_refused(trajectories):
    with pytest.raises(qpg.QPGError, match=f"`trajectories` .* got {trajectories}"):
        qpg.Execution(depolarising=(0.1, 0.1), trajectories=trajectories)
