"""What PennyLane is for: resources and drawings of circuits, and weights under finite shots and noise."""

from __future__ import annotations

import copy

import numpy as np
import pennylane as qml
import pytest
import torch
from torch import nn

from HQCSegmentLib import qpg
from HQCSegmentLib.qpg.circuits import ENTANGLEMENTS
from HQCSegmentLib.qpg.gate_sets import rewritten
from HQCSegmentLib.qpg.noise import sampled, with_readout_error
from HQCSegmentLib.qpg.reference import apply

ANSATZES = sorted(qpg.ANSATZES)
FAMILIES = ["ry_cnot_ring", "ryrz_cz_ring", "u3_cu3_ring"]
FLOAT32 = 2e-6
"""Most by which weights of size 1 computed in float32 may differ."""


# Resources


@pytest.mark.parametrize("ansatz", ANSATZES)
def test_resources_are_those_of_the_description(ansatz: str):
    gates = qpg.ANSATZES[ansatz].gates(qubits=5, depth=3)
    counted = qpg.circuit_resources(qubits=5, depth=3, ansatz=ansatz)
    assert counted.angles == 3 * qpg.ANSATZES[ansatz].angles_per_layer(5)
    assert counted.described.total == len(gates)
    assert counted.described.two_qubit == sum(hasattr(gate, "control") for gate in gates)
    assert sum(counted.described.gates.values()) == len(gates)


def test_resources_of_a_ring_of_cnots():
    counted = qpg.circuit_resources(qubits=4, depth=2)
    # RY on all qubits at once, four CNOTs one after the other, and RY again.
    assert counted.described == qpg.GateCount({"RY": 8, "CNOT": 4}, total=12, two_qubit=4, depth=6)
    assert counted.decomposed == counted.described  # all of them are in the set already


@pytest.mark.parametrize("gate_set", qpg.GATE_SETS)
@pytest.mark.parametrize("ansatz", FAMILIES)
def test_a_decomposed_circuit_uses_the_sets_gates_and_is_the_same_circuit(ansatz: str, gate_set: str, random_angles):
    counted = qpg.circuit_resources(qubits=3, depth=2, ansatz=ansatz, gate_set=gate_set)
    assert set(counted.decomposed.gates) <= set(qpg.GATE_SETS[gate_set])
    assert counted.decomposed.total == sum(counted.decomposed.gates.values())

    (angles,) = random_angles(ansatz, circuits=1, qubits=3, depth=2).numpy()
    gates = qpg.ANSATZES[ansatz].gates(qubits=3, depth=2)
    with qml.queuing.AnnotatedQueue() as recorded:
        for gate in gates:
            apply(gate, angles)
        qml.probs(wires=range(3))
    tape = rewritten(qml.tape.QuantumScript.from_queue(recorded), gate_set)
    (probabilities,) = qml.execute([tape], qml.device("default.qubit"))
    np.testing.assert_allclose(probabilities, qpg.qnode(qubits=3, depth=2, ansatz=ansatz)(angles), atol=1e-6)


@pytest.mark.parametrize("gate_set", qpg.GATE_SETS)
@pytest.mark.parametrize("entanglement", ENTANGLEMENTS)
def test_cnots_and_czs_stay_one_two_qubit_gate_each(entanglement: str, gate_set: str):
    for family in ("ry_cnot", "ryrz_cz"):
        counted = qpg.circuit_resources(qubits=4, depth=3, ansatz=f"{family}_{entanglement}", gate_set=gate_set)
        assert counted.decomposed.two_qubit == counted.described.two_qubit


def test_an_unknown_set_of_gates_is_refused_with_the_sets():
    with pytest.raises(qpg.QPGError, match=r"`gate_set` must be one of rotations-cnot, .*'toffoli'"):
        qpg.circuit_resources(qubits=2, depth=1, gate_set="toffoli")


@pytest.fixture
def network() -> nn.Module:
    """Circuits of 6 and 7 qubits (with a sign qubit), in a layer and a transposed one; biases without."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.ConvTranspose2d(4, 5, 3), nn.Flatten(), nn.Linear(64, 2)
    )


def train(network: nn.Module) -> nn.Module:
    """A network whose trained numbers are not those of the start."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.requires_grad:
                parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network


def config(**changes: object) -> qpg.QPGConfig:
    return qpg.QPGConfig(minimum_numbers=16, **changes)


def test_circuits_of_a_network_layer_by_layer(network: nn.Module):
    layers = qpg.layer_circuits(qpg.inject(network, config(depth=3)))
    assert [(one.layer, one.circuits, one.qubits, one.depth) for one in layers] == [
        ("0", 4, 6, 3),
        ("3", 5, 7, 3),
        ("5", 2, 7, 3),
    ]
    assert sum(one.angles for one in layers) == qpg.trainable_numbers_by_kind(network).angles


# Drawings


@pytest.mark.parametrize("ansatz", ANSATZES)
def test_the_text_drawing_has_a_line_for_every_qubit(ansatz: str):
    text = qpg.circuit_text(qubits=3, depth=1, ansatz=ansatz, width=1000)
    assert [line[:3] for line in text.splitlines()] == ["0: ", "1: ", "2: "]


def test_the_text_drawing_shows_gates_and_on_demand_angles():
    assert qpg.circuit_text(qubits=2, depth=2).splitlines() == [
        "0: ──RY─╭●─╭X──RY─┤ ╭Probs",
        "1: ──RY─╰X─╰●──RY─┤ ╰Probs",
    ]
    angles = torch.tensor([[0.25, 0.5], [1.0, 2.0]])
    assert "RY(0.25)" in qpg.circuit_text(qubits=2, depth=2, angles=angles)


def test_the_figure_is_a_picture():
    from matplotlib import pyplot

    figure = qpg.circuit_figure(qubits=3, depth=2)
    figure.canvas.draw()
    assert len(figure.axes) == 1
    pyplot.close(figure)


# Shots and noise


@pytest.mark.parametrize("ansatz", FAMILIES)
def test_exact_execution_is_exact(ansatz: str, random_angles):
    angles = random_angles(ansatz, circuits=3, qubits=4, depth=2)
    torch.testing.assert_close(
        qpg.estimated_probabilities(angles, qpg.Execution(), ansatz=ansatz),
        qpg.born_probabilities(angles, ansatz=ansatz),
    )


@pytest.mark.parametrize("ansatz", FAMILIES)
def test_shots_are_drawn_from_the_distribution_that_pennylane_draws_from(ansatz: str, random_angles):
    shots, circuits = 2000, 40
    angles = random_angles(ansatz, circuits=1, qubits=3, depth=2).expand(circuits, -1, -1)
    ours = qpg.estimated_probabilities(angles, qpg.Execution(shots=shots), ansatz=ansatz).numpy()
    node = qpg.qnode(qubits=3, depth=2, ansatz=ansatz, seed=1)
    theirs = np.array([qml.set_shots(node, shots)(one) for one in angles.numpy()])
    exact = qpg.born_probabilities(angles[:1], ansatz=ansatz)[0].numpy()
    error_of_mean = np.sqrt(exact * (1 - exact) / (shots * circuits))
    for drawn in (ours, theirs):
        assert np.all(np.abs(drawn.mean(axis=0) - exact) < 5 * error_of_mean + 1e-9)
        # The spread of one estimate is that of the multinomial distribution as well.
        spread = drawn.std(axis=0)[exact > 0.01] / np.sqrt(exact * (1 - exact) / shots)[exact > 0.01]
        assert np.all((spread > 0.5) & (spread < 1.6))


def test_frequencies_are_whole_numbers_of_shots_and_add_up_to_one(random_angles):
    angles = random_angles("ry_cnot_ring", circuits=3, qubits=4, depth=2)
    counts = 50 * qpg.estimated_probabilities(angles, qpg.Execution(shots=50))
    torch.testing.assert_close(counts, counts.round())
    torch.testing.assert_close(counts.sum(dim=1), torch.full((3,), 50.0, dtype=torch.float64))


@pytest.mark.parametrize("device", ["default.qubit", "default.mixed", "reference.qubit"])
def test_a_seed_gives_the_same_draws_again_and_another_seed_others(device: str, random_angles):
    angles = random_angles("ry_cnot_ring", circuits=2, qubits=3, depth=2)
    execution = qpg.Execution(shots=100, device=device)
    first, again, other = (qpg.estimated_probabilities(angles, execution, seed=seed) for seed in (7, 7, 8))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("device", ["default.mixed", "reference.qubit", "lightning.qubit"])
def test_other_devices_run_the_circuits_themselves(device: str, random_angles):
    angles = random_angles("ryrz_cz_ring", circuits=3, qubits=3, depth=2)
    exact = qpg.born_probabilities(angles, ansatz="ryrz_cz_ring")
    computed = qpg.estimated_probabilities(angles, qpg.Execution(device=device), ansatz="ryrz_cz_ring")
    torch.testing.assert_close(computed, exact, atol=1e-6, rtol=0)
    measured = qpg.estimated_probabilities(angles, qpg.Execution(device=device, shots=20_000), ansatz="ryrz_cz_ring")
    torch.testing.assert_close(measured, exact, atol=0.02, rtol=0)


def test_depolarising_follows_every_gate_as_in_a_circuit_written_by_hand():
    first, second, one, two, wrong = 0.4, 1.1, 0.03, 0.08, 0.05

    @qml.qnode(qml.device("default.mixed", wires=2))
    def by_hand():
        for wire, angle in enumerate((first, second)):
            qml.RY(angle, wires=wire)
            qml.DepolarizingChannel(one, wires=wire)
        for pair in ((0, 1), (1, 0)):
            qml.CNOT(wires=pair)
            qml.DepolarizingChannel(two, wires=0)
            qml.DepolarizingChannel(two, wires=1)
        for wire, angle in enumerate((second, first)):
            qml.RY(angle, wires=wire)
            qml.DepolarizingChannel(one, wires=wire)
        for wire in (0, 1):
            qml.BitFlip(wrong, wires=wire)
        return qml.probs()

    angles = torch.tensor([[[first, second], [second, first]]])
    noisy = qpg.estimated_probabilities(angles, qpg.Execution(depolarising=(one, two), readout_error=wrong))
    np.testing.assert_allclose(noisy[0], by_hand(), atol=1e-7)


def test_complete_noise_leaves_the_uniform_distribution(random_angles):
    angles = random_angles("ry_cnot_ring", circuits=2, qubits=3, depth=2)
    uniform = torch.full((2, 8), 1 / 8, dtype=torch.float64)
    # A depolarising channel of 3/4 forgets everything; so does a bit that is wrong every other time.
    for execution in (qpg.Execution(depolarising=(0.75, 0.0)), qpg.Execution(readout_error=0.5)):
        torch.testing.assert_close(qpg.estimated_probabilities(angles, execution), uniform)


def test_readout_errors_flip_each_bit_by_itself():
    certain = torch.tensor([[0.0, 0, 1, 0]], dtype=torch.float64)  # always 10
    expected = torch.tensor([[0.1 * 0.9, 0.1 * 0.1, 0.9 * 0.9, 0.9 * 0.1]], dtype=torch.float64)
    torch.testing.assert_close(with_readout_error(certain, 0.1), expected)


def test_sampling_takes_probabilities_with_rounding_errors():
    drawn = sampled(torch.tensor([[0.5, 0.5 + 1e-7, -1e-17, 0.0]]), 10, seed=0)
    assert drawn[0, 2:].sum() == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"shots": 0}, "`shots` .* got 0"),
        ({"shots": 1.5}, "`shots` .* got 1.5"),
        ({"depolarising": 0.1}, "`depolarising` .* got 0.1"),
        ({"depolarising": (0.1, 2)}, r"`depolarising` .* got \(0.1, 2\)"),
        ({"readout_error": -0.1}, "`readout_error` .* got -0.1"),
        ({"readout_error": 0.1, "device": "lightning.qubit"}, "`device` .*noise is simulated, got 'lightning.qubit'"),
    ],
)
def test_impossible_conditions_are_refused(wrong: dict, said: str):
    with pytest.raises(qpg.QPGError, match=said):
        qpg.Execution(**wrong)


@pytest.mark.parametrize("device", ["default.gaussian", "abacus.qubit"])
def test_a_device_that_cannot_is_refused_by_name(device: str):
    with pytest.raises(qpg.QPGError, match=f"`device` '{device}'"):
        qpg.estimated_probabilities(torch.zeros(1, 2, 3), qpg.Execution(device=device, shots=10))


# Weights

CONFIGS = {
    "signed": config(),
    "probability": config(readout="probability"),
    "mapped": config(readout="mapped"),
    "mapped-spread": config(readout="mapped", angle_spread=0.5),
    "complex": config(ansatz="u3_cu3_ring"),
    "spread": config(angle_spread=0.5),
    "frozen": config(train_angles=False),
    "zero": config(start="zero"),
    "singular": config(coordinates="singular"),
    "register": config(coordinates="register", angle_spread=0.5),
    "walsh": config(coordinates="walsh", angle_spread=0.5),
    "walsh-probability": config(coordinates="walsh", readout="probability"),
    "kernel": config(channel="kernel"),
}


def weights_of(network: nn.Module) -> dict[str, torch.Tensor]:
    return network.state_dict()


@pytest.mark.parametrize("kind", CONFIGS)
def test_without_noise_the_copy_is_the_merged_network(network: nn.Module, kind: str):
    trained = train(qpg.inject(network, CONFIGS[kind]))
    copied = weights_of(qpg.noisy_copy(trained, qpg.Execution()))
    merged = weights_of(qpg.merge(trained))
    assert list(copied) == list(merged)
    for name, weight in merged.items():
        scale = max(1.0, float(weight.abs().max()))
        torch.testing.assert_close(copied[name], weight, atol=FLOAT32 * scale, rtol=0)


def test_the_network_itself_keeps_its_circuits_and_numbers(network: nn.Module):
    trained = train(qpg.inject(network, config()))
    before = copy.deepcopy(trained.state_dict())
    qpg.noisy_copy(trained, qpg.Execution(shots=10))
    assert qpg.injected_layers(trained)
    assert all(torch.equal(before[name], value) for name, value in trained.state_dict().items())


def test_more_shots_come_closer_to_the_merged_weights(network: nn.Module):
    trained = train(qpg.inject(network, config()))
    exact = qpg.noisy_copy(trained, qpg.Execution())

    def error(shots: int) -> float:
        noisy = qpg.noisy_copy(trained, qpg.Execution(shots=shots), seed=1)
        return (noisy[0].weight - exact[0].weight).norm().item()

    few, many = error(100), error(100 * 100)
    # A hundred times the shots, a tenth of the error.
    assert 0.05 < many / few < 0.2


def test_only_generated_weights_differ(network: nn.Module):
    trained = train(qpg.inject(network, config()))
    exact, noisy = (weights_of(qpg.noisy_copy(trained, one)) for one in (qpg.Execution(), qpg.Execution(shots=50)))
    changed = {name for name in exact if not torch.equal(exact[name], noisy[name])}
    assert changed == {"0.weight", "3.weight", "5.weight"}


def test_noisy_weights_are_reproducible_and_layers_draw_independently(network: nn.Module):
    trained = train(qpg.inject(network, config()))
    first, again = (weights_of(qpg.noisy_copy(trained, qpg.Execution(shots=50), seed=4)) for _ in range(2))
    other = weights_of(qpg.noisy_copy(trained, qpg.Execution(shots=50), seed=5))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["0.weight"], other["0.weight"])


def test_progress_counts_the_circuits_to_the_last(network: nn.Module):
    seen: list[tuple[int, int]] = []
    execution = qpg.Execution(depolarising=(0.01, 0.02))
    qpg.noisy_copy(qpg.inject(network, config()), execution, on_progress=lambda done, of: seen.append((done, of)))
    assert {of for _, of in seen} == {4 + 5 + 2}
    assert sorted(done for done, _ in seen) == [done for done, _ in seen]
    assert seen[-1] == (11, 11)


def test_large_circuits_are_refused_before_any_small_one_is_run(network: nn.Module):
    large = nn.Sequential(network[0], nn.Linear(2000, 2))
    with pytest.raises(qpg.QPGError, match="up to 8 qubits, got 12"):
        qpg.noisy_copy(
            qpg.inject(large, config()),
            qpg.Execution(depolarising=(0.01, 0.01), device="default.mixed"),
            on_progress=lambda *_: pytest.fail("a circuit was run"),
        )


def test_depolarised_weights_are_those_of_the_density_matrix(network: nn.Module):
    trained = train(qpg.inject(network, config()))
    noise = (0.01, 0.02)
    exact = weights_of(qpg.noisy_copy(trained, qpg.Execution(depolarising=noise, device="default.mixed")))
    plain = weights_of(qpg.noisy_copy(trained, qpg.Execution()))
    drawn = weights_of(qpg.noisy_copy(trained, qpg.Execution(depolarising=noise, trajectories=300)))
    # Circuits of 6 qubits are exact, those of 7 drawn; 1 / sqrt(300) of what noise changes.
    torch.testing.assert_close(drawn["0.weight"], exact["0.weight"])
    for name in ("3.weight", "5.weight"):
        assert 0 < (drawn[name] - exact[name]).norm() < 0.15 * (exact[name] - plain[name]).norm()


@pytest.mark.parametrize(
    ("method", "said"), [(None, "carries no updates"), (qpg.LoRAConfig(minimum_numbers=16), "LoRAUpdate")]
)
def test_a_network_without_circuits_is_refused(network: nn.Module, method, said: str):
    if method is not None:
        qpg.inject(network, method)
    for ask in (qpg.layer_circuits, lambda plain: qpg.noisy_copy(plain, qpg.Execution())):
        with pytest.raises(qpg.QPGError, match=said):
            ask(network)
