"""What circuits would cost on a quantum computer: qubits, gates, depth."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from HQCSegmentLib.qpg.circuits import ANSATZES
from HQCSegmentLib.qpg.errors import QPGError
from HQCSegmentLib.qpg.gate_sets import rewritten
from HQCSegmentLib.qpg.injection import injected_layers, update_of
from HQCSegmentLib.qpg.methods import CircuitUpdate
from HQCSegmentLib.qpg.reference import apply, gates_of


@dataclass(frozen=True)
class GateCount:
    """Gates of one circuit.

    Attributes:
        gates: Number of gates by kind, PennyLane's names.
        total: All gates.
        two_qubit: Gates on two qubits.
        depth: Gates one after the other on the longest way through the circuit; gates on different qubits go
            together. Not the number of layers.
    """

    gates: dict[str, int]
    total: int
    two_qubit: int
    depth: int


@dataclass(frozen=True)
class CircuitResources:
    """What one circuit needs.

    Attributes:
        qubits: Number of qubits.
        angles: Number of angles.
        described: Gates as the ansatz describes them.
        decomposed: Gates after rewriting to `gate_set`.
        gate_set: Key of `GATE_SETS`.
    """

    qubits: int
    angles: int
    described: GateCount
    decomposed: GateCount
    gate_set: str


@dataclass(frozen=True)
class LayerCircuits:
    """Circuits of one layer of a network.

    Attributes:
        layer: Name of the layer.
        circuits: How many, one per channel.
        qubits: Of each.
        depth: Layers of rotations in each.
        ansatz: Key of `ANSATZES`.
        angles: Angles of all of them.
    """

    layer: str
    circuits: int
    qubits: int
    depth: int
    ansatz: str
    angles: int


@lru_cache(maxsize=256)
def circuit_resources(
    *, qubits: int, depth: int, ansatz: str = "ry_cnot_ring", gate_set: str = "rotations-cnot"
) -> CircuitResources:
    """Resources of one circuit, as described and after PennyLane's decomposition to a named set of gates.

    Any qubit can be entangled with any other; on a machine where only neighbours can, swaps come on top. Neighbouring
    gates are not merged, so that the counts are upper bounds.

    Args:
        qubits: Number of qubits.
        depth: Layers of rotations.
        ansatz: Key of `ANSATZES`.
        gate_set: Key of `GATE_SETS`.

    Raises:
        QPGError: for an unknown ansatz or set of gates, or sizes below 1.

    Examples:
        >>> circuit_resources(qubits=4, depth=2).described.gates
        {'RY': 8, 'CNOT': 4}
    """
    import pennylane as qml

    gates = gates_of(qubits=qubits, depth=depth, ansatz=ansatz)
    # No angle may be a special one, such as zero, which would be decomposed more cheaply.
    angles = torch.linspace(0.1, 1.1, depth * ANSATZES[ansatz].angles_per_layer(qubits)).reshape(depth, -1).numpy()
    with qml.queuing.AnnotatedQueue() as recorded:
        for gate in gates:
            apply(gate, angles)
    tape = qml.tape.QuantumScript.from_queue(recorded)
    return CircuitResources(
        qubits=qubits,
        angles=angles.size,
        described=_count(tape),
        decomposed=_count(rewritten(tape, gate_set)),
        gate_set=gate_set,
    )


def layer_circuits(network: nn.Module) -> list[LayerCircuits]:
    """Circuits of a network after `inject`, layer by layer, in the order of the network.

    Raises:
        QPGError: if the network carries no circuits.
    """
    return [
        LayerCircuits(
            layer=name,
            circuits=update.view.channels,
            qubits=update.qubits,
            depth=update.depth,
            ansatz=update.config.ansatz,
            angles=update.angles.numel(),
        )
        for name, _, update in circuit_updates(network)
    ]


def circuit_updates(network: nn.Module) -> list[tuple[str, nn.Module, CircuitUpdate]]:
    """Name, layer and circuits of all layers whose weights circuits generate.

    Raises:
        QPGError: if there are none, or updates are made in another way.
    """
    found = [(name, layer, update_of(layer)) for name, layer in injected_layers(network)]
    others = sorted({type(update).__name__ for *_, update in found if not isinstance(update, CircuitUpdate)})
    if others or not found:
        what = f"its updates are made by {others[0]}" if others else "it carries no updates"
        msg = f"`network` must have circuits in it, as `inject` with a QPGConfig leaves it; {what}"
        raise QPGError(msg)
    return [(name, layer, update) for name, layer, update in found if isinstance(update, CircuitUpdate)]


def _count(tape: Any) -> GateCount:
    counted = tape.specs["resources"]
    gates = {name: int(number) for name, number in counted.gate_types.items()}
    two_qubit = sum(len(operation.wires) == 2 for operation in tape.operations)
    return GateCount(gates, sum(gates.values()), two_qubit, int(counted.depth))
