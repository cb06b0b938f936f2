"""Time and memory of generating with the exact engine, side by side with PennyLane and, where it is, TorchQuantum.

    python Testing/Benchmarks/qpg_engine.py [--out FILE.json] [--depths 2 4] [--qubits 8 10 12 13 14] [--repeats N]
                                            [--ansatz NAME] [--methods engine pennylane lightning torchquantum]

For 256 circuits of each size and depth, forward and backward:
- probabilities: `qpg.born_probabilities`, and the gradient of a weighted sum of all by all angles;
- signed values: the same for `readout.values`, what the training of a network computes.

Beside the engine are measured:
- pennylane: `default.qubit`, broadcast over the circuits, backpropagation: PennyLane's fastest exact way to the same.
- lightning: `lightning.qubit` in C++, adjoint gradient. It refuses probabilities, so it computes much less: one
  expectation value <Z> of the first qubit per circuit instead of 2**n probabilities, float64. Not part of the goal.
- torchquantum: batched state vectors under autograd, complex64, `ry_cnot_ring` and probabilities only. TorchQuantum
  0.1.8 (2024, the last) does not import beside today's packages; in an environment of its own it does, after
  `pip install torchquantum "qiskit-ibm-runtime<0.21" "qiskit-aer<0.13" "setuptools<80" pennylane==0.45.1`.
  Run this file there with PYTHONPATH=. from the repository. Not part of the goal.

Times are medians of interleaved repeats in one process with the same threads, each after a call to warm up. Memory is
the growth of a fresh child process's peak (VmHWM) over what it held when libraries, inputs and devices were there
(read from /proc, so Linux only); it contains the result and the gradients. A method that would need more than 16 GiB,
or more than is free, is left out with its reason. About ten minutes on two idle cores.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pennylane
import torch
from process_memory import process_kibibytes
from torch import Tensor

from HQCSegmentLib import qpg
from HQCSegmentLib.files import write_json
from HQCSegmentLib.qpg.readout import values

CIRCUITS = 256
QUBITS = (8, 10, 12, 13, 14)
DEPTHS = (2, 4)
TASKS = ("probabilities", "signed values")
METHODS = ("engine", "pennylane", "lightning", "torchquantum")
REFERENCE = "pennylane"
GOAL_TIME, GOAL_MEMORY, GOAL_QUBITS = 40, 20, 12
MOST_GIBIBYTES = 16

STATES_PER_GATE = 2.5
"""States in complex128 that PennyLane's backpropagation holds for every gate (measured at 12 and 13 qubits)."""

Method = Callable[[Tensor], Tensor]


def function(method: str, task: str, *, ansatz: str, qubits: int, depth: int) -> Method:
    """What is measured: (circuits, depth, angles) -> (circuits, outputs)."""
    half = 2 ** (qubits - 1)
    if method == "engine" and task == "probabilities":
        return lambda angles: qpg.born_probabilities(angles, ansatz=ansatz)
    if method == "engine":
        return lambda phi: values(phi, numbers=half, readout="signed", ansatz=ansatz)
    if method == "lightning":
        return lightning(ansatz, qubits=qubits, depth=depth)
    if method == "torchquantum":
        probabilities: Method = torchquantum(qubits=qubits, depth=depth)
    else:
        probabilities = qpg.qnode(qubits=qubits, depth=depth, ansatz=ansatz)
    if task == "probabilities":
        return probabilities
    start = torch.tensor(qpg.ANSATZES[ansatz].start_angles(qubits=qubits, depth=depth))

    def signed(phi: Tensor) -> Tensor:
        p = probabilities(start + phi)
        return half * (p[:, :half] - p[:, half:])

    return signed


def lightning(ansatz: str, *, qubits: int, depth: int) -> Method:
    """<Z> of the first qubit of each circuit, by lightning.qubit with adjoint gradients."""
    from HQCSegmentLib.qpg.reference import apply

    gates = qpg.ANSATZES[ansatz].gates(qubits=qubits, depth=depth)

    @pennylane.qnode(pennylane.device("lightning.qubit", wires=qubits), diff_method="adjoint")
    def circuit(angles: Tensor):
        for gate in gates:
            apply(gate, angles)
        return pennylane.expval(pennylane.PauliZ(0))

    return lambda angles: circuit(angles).unsqueeze(1)


def torchquantum(*, qubits: int, depth: int) -> Method:
    """Probabilities of `ry_cnot_ring` by TorchQuantum."""
    tq = importlib.import_module("torchquantum")
    gates = qpg.ANSATZES["ry_cnot_ring"].gates(qubits=qubits, depth=depth)

    def probabilities(angles: Tensor) -> Tensor:
        device = tq.QuantumDevice(n_wires=qubits, bsz=len(angles), device=angles.device)
        for gate in gates:
            if hasattr(gate, "index"):
                device.ry(wires=gate.qubit, params=angles[:, gate.layer, gate.index])
            else:
                device.cnot(wires=[gate.control, gate.target])
        return device.get_states_1d().abs().square()

    return probabilities


def reason_against(method: str, task: str, *, ansatz: str, qubits: int, depth: int) -> str | None:
    """Why a method is not measured, or None."""
    if method == "lightning" and task != "probabilities":
        return "one expectation value only, measured once"
    if method == "torchquantum" and importlib.util.find_spec("torchquantum") is None:
        return "TorchQuantum is not installed"
    if method == "torchquantum" and (ansatz, task) != ("ry_cnot_ring", "probabilities"):
        return "written for ry_cnot_ring and probabilities only"
    if method in ("pennylane", "torchquantum"):
        gates = len(qpg.ANSATZES[ansatz].gates(qubits=qubits, depth=depth))
        needed = STATES_PER_GATE * gates * CIRCUITS * 2**qubits * 16 / 2**30
        free = available_gibibytes()
        if needed > min(MOST_GIBIBYTES, free):
            return f"needs about {needed:.0f} GiB of memory; limit {MOST_GIBIBYTES}, free {free:.0f}"
    return None


def work(method: str, task: str, *, ansatz: str, qubits: int, depth: int) -> Callable[[], None]:
    """One forward and backward pass."""
    torch.manual_seed(0)
    generate = function(method, task, ansatz=ansatz, qubits=qubits, depth=depth)
    angles = torch.randn(CIRCUITS, depth, qpg.ANSATZES[ansatz].angles_per_layer(qubits), requires_grad=True)
    outputs = 1 if method == "lightning" else 2**qubits if task == "probabilities" else 2 ** (qubits - 1)
    weights = torch.randn(CIRCUITS, outputs)

    def once() -> None:
        angles.grad = None
        result = generate(angles)
        result.backward(weights.to(result.dtype))

    return once


def seconds(methods: list[str], task: str, *, repeats: int, **circuit) -> dict[str, list[float]]:
    """Times of each method; the methods take turns, each with a call before its clock starts.

    Without that call a method would pay for what the one before it left: memory given back to the system, cold caches.
    """
    calls = {method: work(method, task, **circuit) for method in methods}
    taken: dict[str, list[float]] = {method: [] for method in methods}
    for _ in range(repeats):
        for method, call in calls.items():
            call()
            start = time.perf_counter()
            call()
            taken[method].append(time.perf_counter() - start)
    return taken


def peak_mebibytes(method: str, task: str, *, ansatz: str, qubits: int, depth: int) -> float:
    """Growth of the peak memory of a fresh process by one pass."""
    command = [sys.executable, __file__, "--measure", method, task, ansatz, str(qubits), str(depth)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def measure(method: str, task: str, *, ansatz: str, qubits: int, depth: int) -> None:
    """In the child: warm up on two qubits, then print how far one pass raises the peak."""
    work(method, task, ansatz=ansatz, qubits=2, depth=depth)()
    call = work(method, task, ansatz=ansatz, qubits=qubits, depth=depth)
    before = process_kibibytes("VmRSS")
    # Forget the peak of the imports; resource.getrusage would even keep that of the parent process.
    Path("/proc/self/clear_refs").write_text("5")
    call()
    print((process_kibibytes("VmHWM") - before) / 1024)


def available_gibibytes() -> float:
    """Memory that processes can still get; Linux."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) / 2**20


def row(wanted: list[str], task: str, *, ansatz: str, qubits: int, depth: int, repeats: int) -> dict:
    """Everything measured for one task and size."""
    circuit = {"ansatz": ansatz, "qubits": qubits, "depth": depth}
    left_out = {method: reason for method in wanted if (reason := reason_against(method, task, **circuit))}
    methods = [method for method in wanted if method not in left_out]
    times = seconds(methods, task, repeats=repeats, **circuit)
    return {
        "task": task,
        **circuit,
        "seconds": {method: statistics.median(taken) for method, taken in times.items()},
        "all_seconds": times,
        "mebibytes": {method: peak_mebibytes(method, task, **circuit) for method in methods},
        "states_mebibytes": CIRCUITS * 2**qubits * (4 if qpg.ANSATZES[ansatz].is_real else 8) / 2**20,
        "left_out": left_out,
        "load_average": os.getloadavg()[0],
    }


def ratio(measured: dict[str, float], method: str, *, least: float = 0.0) -> float | None:
    """How many times more a method takes than the engine."""
    if method not in measured or "engine" not in measured:
        return None
    return measured[method] / max(measured["engine"], least)


def cells(new: dict, methods: list[str]) -> str:
    """One line of the table."""
    parts = [new["task"], new["depth"], new["qubits"]]
    for unit, scale, least in (("ms", 1000, 0.0), ("MiB", 1, 1.0)):
        measured = new["seconds"] if unit == "ms" else new["mebibytes"]
        for method in methods:
            value, times = measured.get(method), ratio(measured, method, least=least)
            shown = "-" if value is None else f"{scale * value:.{1 if scale * value < 100 else 0}f} {unit}"
            parts.append(shown if method == "engine" or times is None else f"{shown} ({times:.3g}x)")
    return "| " + " | ".join(str(part) for part in parts) + " |"


def setting() -> dict:
    """Where and with what it was measured."""
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "circuits": CIRCUITS,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pennylane": pennylane.__version__,
        "threads": torch.get_num_threads(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="also write JSON")
    parser.add_argument("--ansatz", default="ry_cnot_ring", choices=sorted(qpg.ANSATZES))
    parser.add_argument("--methods", nargs="+", default=["engine", "pennylane"], choices=METHODS)
    parser.add_argument("--depths", nargs="+", type=int, default=DEPTHS)
    parser.add_argument("--qubits", nargs="+", type=int, default=QUBITS)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--measure", nargs=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        method, task, ansatz, qubits, depth = arguments.measure
        measure(method, task, ansatz=ansatz, qubits=int(qubits), depth=int(depth))
        return
    where = setting() | {"ansatz": arguments.ansatz}
    print(", ".join(f"{name} {value}" for name, value in where.items()), end="\n\n")
    heads = ["task", "depth", "qubits"]
    heads += [f"{method}, {what}" for what in ("time", "memory") for method in arguments.methods]
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    rows = []
    for depth in arguments.depths:
        for task in TASKS:
            for qubits in arguments.qubits:
                new = row(
                    arguments.methods,
                    task,
                    ansatz=arguments.ansatz,
                    qubits=qubits,
                    depth=depth,
                    repeats=arguments.repeats,
                )
                rows.append(new)
                print(cells(new, arguments.methods), flush=True)
    for each in rows:
        for method, reason in each["left_out"].items():
            print(f"\nleft out: {method}, {each['task']}, depth {each['depth']}, {each['qubits']} qubits: {reason}")
    large = [each for each in rows if each["qubits"] >= GOAL_QUBITS and REFERENCE in each["seconds"]]
    for depth in arguments.depths:
        some = [each for each in large if each["depth"] == depth and "engine" in each["seconds"]]
        if some:
            slowest = min(each["seconds"][REFERENCE] / each["seconds"]["engine"] for each in some)
            largest = min(each["mebibytes"][REFERENCE] / max(each["mebibytes"]["engine"], 1.0) for each in some)
            print(
                f"\ndepth {depth}, at least {GOAL_QUBITS} qubits: at least {slowest:.0f}x in time (goal {GOAL_TIME}x), "
                f"{largest:.0f}x in memory (goal {GOAL_MEMORY}x)"
            )
    if arguments.out:
        write_json(arguments.out, {"setting": where, "rows": rows})


if __name__ == "__main__":
    main()
