"""The circuit families are what they are said to be."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch

from HQCSegmentLib import qpg
from HQCSegmentLib.qpg.circuits import CNOT, CU3, CZ, RY, RZ, U3, H, pairs

NAMES = {
    f"{family}_{entanglement}"
    for family in ("ry_cnot", "ryrz_cz", "u3_cu3")
    for entanglement in ("ring", "rings", "chain", "none")
}


def gates(ansatz: str, *, qubits: int, depth: int) -> list:
    return qpg.ANSATZES[ansatz].gates(qubits=qubits, depth=depth)


def test_all_families_are_there_under_their_names():
    assert set(qpg.ANSATZES) == NAMES
    assert all(ansatz.name == name for name, ansatz in qpg.ANSATZES.items())
    assert {name for name, ansatz in qpg.ANSATZES.items() if ansatz.is_real} == {
        name for name in NAMES if name.startswith("ry_cnot")
    }


def test_two_rings_are_joined_by_one_gate_in_turn():
    first, second = [(0, 1), (1, 2), (2, 0)], [(3, 4), (4, 3)]
    assert pairs("rings", qubits=5, layer=1) == [*first, (2, 3), *second]
    assert pairs("rings", qubits=5, layer=2) == [*second, (4, 0), *first]
    assert pairs("rings", qubits=2, layer=1) == [(0, 1)]
    assert pairs("rings", qubits=2, layer=2) == [(1, 0)]
    assert pairs("rings", qubits=1) == []
    cnots = [gate for gate in gates("ry_cnot_rings", qubits=5, depth=3) if isinstance(gate, CNOT)]
    assert [(gate.control, gate.target) for gate in cnots] == pairs("rings", qubits=5, layer=1) + pairs(
        "rings", qubits=5, layer=2
    )


def test_ring_chain_and_none():
    assert pairs("ring", qubits=3) == [(0, 1), (1, 2), (2, 0)]
    assert pairs("chain", qubits=3) == [(0, 1), (1, 2)]
    assert pairs("none", qubits=3) == []
    assert pairs("ring", qubits=2) == [(0, 1), (1, 0)]
    assert pairs("ring", qubits=1) == []


def test_ry_cnot_has_cnots_between_its_layers():
    assert gates("ry_cnot_ring", qubits=2, depth=2) == [
        RY(0, 0, 0), RY(1, 0, 1), CNOT(0, 1), CNOT(1, 0), RY(0, 1, 0), RY(1, 1, 1)
    ]  # fmt: skip
    assert gates("ry_cnot_chain", qubits=2, depth=2) == [
        RY(0, 0, 0), RY(1, 0, 1), CNOT(0, 1), RY(0, 1, 0), RY(1, 1, 1)
    ]  # fmt: skip


def test_ryrz_cz_has_rz_before_ry_and_cz_between_its_layers():
    assert gates("ryrz_cz_chain", qubits=2, depth=2) == [
        H(0), H(1), RZ(0, 0, 0), RZ(1, 0, 1), RY(0, 0, 2), RY(1, 0, 3),
        CZ(0, 1), RZ(0, 1, 0), RZ(1, 1, 1), RY(0, 1, 2), RY(1, 1, 3),
    ]  # fmt: skip


def test_u3_cu3_ends_every_layer_with_its_cu3():
    assert gates("u3_cu3_ring", qubits=2, depth=1) == [
        H(0), H(1), U3(0, 0, 0), U3(1, 0, 3), CU3(0, 1, 0, 6), CU3(1, 0, 0, 9)
    ]  # fmt: skip


@pytest.mark.parametrize("qubits", [1, 2, 5])
def test_angles_per_layer(qubits: int):
    ring, chain = (0, 0) if qubits == 1 else (qubits, qubits - 1)
    rings = {1: 0, 2: 1, 5: 6}[qubits]
    for name in NAMES:
        controlled = {"ring": ring, "rings": rings, "chain": chain, "none": 0}[name.rsplit("_", 1)[1]]
        expected = {"ry": qubits, "ryrz": 2 * qubits, "u3": 3 * (qubits + controlled)}[name.split("_")[0]]
        assert qpg.ANSATZES[name].angles_per_layer(qubits) == expected, name


@pytest.mark.parametrize("ansatz", sorted(NAMES))
@pytest.mark.parametrize("qubits", [1, 2, 5])
def test_every_angle_belongs_to_one_gate(qubits: int, ansatz: str):
    used = [
        (gate.layer, gate.index + offset)
        for gate in gates(ansatz, qubits=qubits, depth=3)
        if isinstance(gate, (RY, RZ, U3, CU3))
        for offset in range(3 if isinstance(gate, (U3, CU3)) else 1)
    ]
    width = qpg.ANSATZES[ansatz].angles_per_layer(qubits)
    assert sorted(used) == [(layer, index) for layer in range(3) for index in range(width)]


@pytest.mark.parametrize("ansatz", sorted(NAMES))
@pytest.mark.parametrize("qubits", [1, 2, 5])
def test_start_angles_give_the_uniform_distribution(qubits: int, ansatz: str):
    start = torch.tensor(qpg.ANSATZES[ansatz].start_angles(qubits=qubits, depth=3), dtype=torch.float64)
    assert start.shape == (3, qpg.ANSATZES[ansatz].angles_per_layer(qubits))
    expected = torch.full((2**qubits,), 2.0**-qubits, dtype=torch.float64)
    torch.testing.assert_close(qpg.qnode(qubits=qubits, depth=3, ansatz=ansatz)(start), expected)


@pytest.mark.parametrize("ansatz", [name for name in sorted(NAMES) if not name.startswith("u3_cu3")])
@pytest.mark.parametrize("qubits", [1, 2, 3, 5])
def test_no_angle_is_without_effect(qubits: int, ansatz: str, random_angles):
    angles = random_angles(ansatz, circuits=3, qubits=qubits, depth=3).requires_grad_()
    (qpg.born_probabilities(angles, ansatz=ansatz) * torch.arange(1, 2**qubits + 1).sqrt()).sum().backward()
    assert (angles.grad.abs().amax(0) > 1e-6).all()


# Small cases by hand, RY and CNOT


def probable_state(*layers: list[float], ansatz: str = "ry_cnot_ring") -> str:
    """The basis state in which a circuit of rotations by 0 or pi ends with certainty."""
    probabilities = qpg.born_probabilities(torch.tensor([layers], dtype=torch.float64), ansatz=ansatz)[0]
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


def test_the_chain_does_not_close():
    assert probable_state([math.pi, 0, 0], [0, 0, 0], ansatz="ry_cnot_chain") == "111"
    assert probable_state([0, 0, math.pi], [0, 0, 0], ansatz="ry_cnot_chain") == "001"


def test_one_qubit_is_turned_by_the_sum_of_its_angles():
    a, b = 0.3, 0.9
    (probabilities,) = qpg.born_probabilities(torch.tensor([[[a], [b]]], dtype=torch.float64))
    assert probabilities.tolist() == pytest.approx([math.cos((a + b) / 2) ** 2, math.sin((a + b) / 2) ** 2])


def test_two_qubits_of_depth_1_have_independent_probabilities():
    a, b = 0.4, 2.5
    (probabilities,) = qpg.born_probabilities(torch.tensor([[[a, b]]], dtype=torch.float64))
    zero, one = (math.cos(a / 2) ** 2, math.sin(a / 2) ** 2), (math.cos(b / 2) ** 2, math.sin(b / 2) ** 2)
    assert probabilities.tolist() == pytest.approx([p * q for p in zero for q in one])


def test_descriptions_load_neither_torch_nor_pennylane():
    code = "import sys, HQCSegmentLib.qpg.circuits; assert not {'torch', 'pennylane'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
