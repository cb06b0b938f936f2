"""How circuits of one shape are simulated: on factors, on states, how many at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch
from torch import Tensor

from HQCSegmentLib.qpg.circuits import ANSATZES
from HQCSegmentLib.qpg.engine.evolution import Evolution, Measure
from HQCSegmentLib.qpg.engine.factors import factors, stages_in_factors
from HQCSegmentLib.qpg.engine.monomial import crossings
from HQCSegmentLib.qpg.engine.operations import WINDOW_WIDTH, operations
from HQCSegmentLib.qpg.engine.program import Controlled, Fixed, Local, Program, compiled
from HQCSegmentLib.qpg.engine.strings import MAX_PRODUCTS, Strings, products_of
from HQCSegmentLib.qpg.engine.windows import chunks
from HQCSegmentLib.qpg.errors import QPGError

MAX_QUBITS = 30
"""Largest circuits whose size is recognised from the number of their angles."""

PEAK_STATES = 4
"""Forward and backward together keep below this many times the size of all states, where that is much."""

SMALL_BYTES = 2**26
"""Memory that is never worth doing the work in parts."""

DEVICE_SMALL_BYTES = 2**29
"""The same for other devices: calling their operations costs more, and what they are called for less."""


@dataclass(frozen=True)
class Plan:
    """How circuits of one shape are simulated.

    Attributes:
        program: The circuit.
        measure: What is read.
        scaled: Start from all amplitudes 1 (angles are distances from the uniform start), rather than from |0...0>.
        cut: Qubits of the left half.
        stages: How many stages are done on factors.
        rows: How many rows of the left half (for each half of the state, where two are read) are needed.
        transformed: Give the Walsh transform of what is read.
    """

    program: Program
    measure: Measure
    scaled: bool
    cut: int
    stages: int
    rows: int
    transformed: bool = False

    def build(self, angles: Tensor) -> Evolution | Strings:
        """Factors, operations, their matrices, and what is read; differentiable.

        Args:
            angles: (batch, depth, angles per layer), radians.
        """
        uniform = self.scaled or self.program.uniform
        left, right = factors(self.program, angles, stages=self.stages, cut=self.cut, uniform=uniform)
        if uniform and not self.scaled:
            left = left * 2 ** (-self.program.qubits / 2)
        if self.by_strings:
            return Strings.of(left, right, measure=self.measure, rows=self.rows)
        steps, matrices = operations(self.program, angles, first=self.stages)
        measure = self.measure
        if not steps and measure == "differences":
            # Differences and sums are taken on the small half: |a|^2 - |b|^2 = Re((a - b) conj(a + b)).
            zero, one = (half[:, : self.rows] for half in left.chunk(2, dim=1))
            left, measure = torch.cat([(zero - one) * 0.5, zero + one], dim=1), "products"
        elif not steps:
            left = left[:, : self.rows]
        return Evolution(left, right, steps, matrices, measure, self.transformed)

    @property
    def outputs(self) -> int:
        """Values that are read: as many as are needed, or some more."""
        columns = 2 ** (self.program.qubits - self.cut)
        if not self.later_stages:
            return self.rows * columns
        return 2 ** (self.program.qubits - 1) if self.measure == "differences" else 2**self.program.qubits

    @property
    def terms(self) -> int:
        """How many products of halves the state is a sum of after the first stages."""
        done = self.program.stages[: self.stages]
        return int(2 ** sum(crossings(stage.gates, self.cut) for stage in done if isinstance(stage, Fixed)))

    @property
    def by_strings(self) -> bool:
        """Whether what is asked for are expectation values that are computed without a state."""
        few = products_of(self.terms, is_real=self.program.is_real) <= MAX_PRODUCTS
        return self.transformed and few and not self.later_stages

    @property
    def later_stages(self) -> int:
        """How many stages are done on states."""
        return len(self.program.stages) - self.stages

    def bytes_of_one(self, itemsize: int) -> int:
        """What one circuit's factors and matrices take with their gradients (measured), for angles of this itemsize."""
        qubits, cut = self.program.qubits, self.cut
        done = self.program.stages[: self.stages]
        halves = (12 if self.program.is_real else 18) * self.terms * (2**cut + 2 ** (qubits - cut))
        if self.by_strings:
            halves += 6 * products_of(self.terms, is_real=self.program.is_real) * (2**cut + 2 ** (qubits - cut))
        turns = sum(isinstance(stage, Local) for stage in done[1:])
        matrices = 2 * turns * sum(_entries(half) for half in (cut, qubits - cut))
        for stage in self.program.stages[self.stages :]:
            if isinstance(stage, Local):
                matrices += 6 * _entries(qubits)
            elif isinstance(stage, Controlled):
                matrices += 9 * len(stage.gates) * 4**WINDOW_WIDTH
        return (halves + matrices) * itemsize * (1 if self.program.is_real else 2)

    def circuits_at_once(self, circuits: int, itemsize: int, *, small: int = SMALL_BYTES) -> int:
        """How many circuits keep the peak memory bounded; as equal parts as they can be."""
        states = circuits * itemsize * (1 if self.program.is_real else 2) * 2**self.program.qubits
        # Results, their gradient and, with later stages, final states of all circuits are there all the time.
        allowed = max((PEAK_STATES - (3 if self.later_stages else 2)) * states, small)
        parts = -(-circuits * self.bytes_of_one(itemsize) // allowed)
        return max(1, -(-circuits // max(1, parts)))


def _entries(qubits: int) -> int:
    """Of the matrices that turn so many qubits."""
    return sum(4 ** (part.stop - part.start) for part in chunks(qubits))


@lru_cache(maxsize=256)
def plan(ansatz: str, qubits: int, depth: int, measure: Measure, scaled: bool, numbers: int, transformed: bool) -> Plan:
    """Plan of circuits; arguments as those of `Run.of`."""
    program = compiled(ansatz, qubits=qubits, depth=depth)
    # A first qubit that is a sign does not count for balance.
    preferred = max(1, (qubits + 1) // 2 if measure == "differences" else qubits // 2)
    fixed = [gate for stage in program.stages if isinstance(stage, Fixed) for gate in stage.gates]
    cut = min(preferred, max(1, qubits - preferred), key=lambda where: crossings(fixed, where))
    rows = -(-numbers // 2 ** (qubits - cut))
    found = Plan(program, measure, scaled, cut, stages_in_factors(program, cut=cut), rows, transformed)
    if not transformed or found.by_strings:
        return found
    # All values are needed for the transform of any.
    return replace(found, rows=2 ** (cut - 1 if measure == "differences" else cut))


def qubits_of(angles: Tensor, ansatz: str) -> int:
    """Number of qubits of circuits with these angles.

    Raises:
        QPGError: for an unknown ansatz, and angles of a wrong shape or dtype.
    """
    if ansatz not in ANSATZES:
        msg = f"`ansatz` must be one of {', '.join(ANSATZES)}, got {ansatz!r}"
        raise QPGError(msg)
    if angles.ndim != 3 or 0 in angles.shape[1:]:
        msg = f"`angles` must have shape (channels, depth, angles per layer), got {tuple(angles.shape)}"
        raise QPGError(msg)
    if angles.dtype not in (torch.float32, torch.float64):
        msg = f"`angles` must be float32 or float64, got {angles.dtype}"
        raise QPGError(msg)
    qubits = _sizes(ansatz).get(angles.shape[2])
    if qubits is None:
        msg = f"`angles` has {angles.shape[2]} angles per layer, which no {ansatz} circuit has"
        raise QPGError(msg)
    return qubits


@lru_cache(maxsize=16)
def _sizes(ansatz: str) -> dict[int, int]:
    return {ANSATZES[ansatz].angles_per_layer(qubits): qubits for qubits in range(1, MAX_QUBITS + 1)}
