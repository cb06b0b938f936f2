"""Time and memory of generating with the exact engine, side by side with PennyLane's default.qubit.

    python Testing/Benchmarks/qpg_engine.py [--out FILE.json] [--all] [--repeats N]

For 256 circuits (ry_cnot_ring, depth 2; with --all also depth 4) of each size, forward and backward:
- probabilities: `qpg.born_probabilities`, and the gradient of a weighted sum of all by all angles;
- signed values: the same for `readout.values`, what the training of a network computes.
PennyLane broadcasts over the circuits and differentiates by backpropagation, its fastest exact way.

Times are medians of interleaved repeats in one process with the same threads, after one repeat to warm up. Memory is
the growth of a fresh child process's peak over what it held when libraries, inputs and PennyLane's device were there
(read from /proc, so Linux only). PennyLane needs 3 GiB at 13 qubits, more with --all. A few minutes on idle cores.
"""

from __future__ import annotations

import argparse
import datetime
import math
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
from torch import Tensor

from HQCSegmentLib import qpg
from HQCSegmentLib.files import write_json
from HQCSegmentLib.qpg.readout import values

CIRCUITS = 256
SIZES = (8, 10, 12, 13)
TASKS = ("probabilities", "signed values")
METHODS = ("engine", "pennylane")
GOAL = 20
GOAL_SIZES = (12, 13)


def function(method: str, task: str, *, qubits: int, depth: int) -> Callable[[Tensor], Tensor]:
    """What is measured: (circuits, depth, qubits) -> (circuits, outputs)."""
    half = 2 ** (qubits - 1)
    if method == "engine":
        if task == "probabilities":
            return qpg.born_probabilities
        return lambda phi: values(phi, numbers=half, readout="signed")
    circuit = qpg.qnode(qubits=qubits, depth=depth)
    if task == "probabilities":
        return circuit
    start = torch.zeros(depth, qubits)
    start[0] = math.pi / 2

    def signed(phi: Tensor) -> Tensor:
        probabilities = circuit(start + phi)
        return half * (probabilities[:, :half] - probabilities[:, half:])

    return signed


def work(method: str, task: str, *, qubits: int, depth: int) -> Callable[[], None]:
    """One forward and backward pass."""
    torch.manual_seed(0)
    generate = function(method, task, qubits=qubits, depth=depth)
    angles = torch.randn(CIRCUITS, depth, qubits, requires_grad=True)
    weights = torch.randn(CIRCUITS, 2**qubits if task == "probabilities" else 2 ** (qubits - 1))

    def once() -> None:
        angles.grad = None
        (generate(angles) * weights).sum().backward()

    return once


def seconds(task: str, *, qubits: int, depth: int, repeats: int) -> dict[str, list[float]]:
    """Times of each method; the methods take turns."""
    calls = {method: work(method, task, qubits=qubits, depth=depth) for method in METHODS}
    taken: dict[str, list[float]] = {method: [] for method in METHODS}
    for _ in range(repeats + 1):
        for method, call in calls.items():
            start = time.perf_counter()
            call()
            taken[method].append(time.perf_counter() - start)
    return {method: times[1:] for method, times in taken.items()}


def peak_mebibytes(method: str, task: str, *, qubits: int, depth: int) -> float:
    """Growth of the peak memory of a fresh process by one pass."""
    command = [sys.executable, __file__, "--measure", method, task, str(qubits), str(depth)]
    return float(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def measure(method: str, task: str, *, qubits: int, depth: int) -> None:
    """In the child: warm up on two qubits, then print how far one pass raises the peak."""
    work(method, task, qubits=2, depth=depth)()
    call = work(method, task, qubits=qubits, depth=depth)
    before = process_kibibytes("VmRSS")
    # Forget the peak of the imports; resource.getrusage would even keep that of the parent process.
    Path("/proc/self/clear_refs").write_text("5")
    call()
    print((process_kibibytes("VmHWM") - before) / 1024)


def process_kibibytes(field: str) -> int:
    """Memory of this process now (VmRSS) or at its peak (VmHWM); Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def row(task: str, *, qubits: int, depth: int, repeats: int) -> dict:
    """Everything measured for one task and size."""
    times = seconds(task, qubits=qubits, depth=depth, repeats=repeats)
    medians = {method: statistics.median(taken) for method, taken in times.items()}
    memory = {method: peak_mebibytes(method, task, qubits=qubits, depth=depth) for method in METHODS}
    return {
        "task": task,
        "qubits": qubits,
        "depth": depth,
        "seconds": medians,
        "all_seconds": times,
        "mebibytes": memory,
        "time_ratio": medians["pennylane"] / medians["engine"],
        # Less than 1 MiB cannot be told from the noise of the allocator.
        "memory_ratio": memory["pennylane"] / max(memory["engine"], 1.0),
        "load_average": os.getloadavg()[0],
    }


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
    parser.add_argument("--all", action="store_true", help="depth 4 too")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--measure", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        method, task, qubits, depth = arguments.measure
        measure(method, task, qubits=int(qubits), depth=int(depth))
        return
    where = setting()
    print(", ".join(f"{name} {value}" for name, value in where.items()), end="\n\n")
    print(
        "| task | depth | qubits | engine | PennyLane | time ratio | engine memory | PennyLane memory | memory ratio |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    rows = []
    for depth in (2, 4) if arguments.all else (2,):
        for task in TASKS:
            for qubits in SIZES:
                new = row(task, qubits=qubits, depth=depth, repeats=arguments.repeats)
                rows.append(new)
                times, memory = new["seconds"], new["mebibytes"]
                print(
                    f"| {task} | {depth} | {qubits} | {1000 * times['engine']:.1f} ms | "
                    f"{1000 * times['pennylane']:.0f} ms | {new['time_ratio']:.0f}x | {memory['engine']:.0f} MiB | "
                    f"{memory['pennylane']:.0f} MiB | {new['memory_ratio']:.0f}x |",
                    flush=True,
                )
    reached = all(
        min(each["time_ratio"], each["memory_ratio"]) >= GOAL for each in rows if each["qubits"] in GOAL_SIZES
    )
    print(f"\nAt least {GOAL}x in time and memory at {GOAL_SIZES} qubits: {'yes' if reached else 'no'}")
    if arguments.out:
        write_json(arguments.out, {"setting": where, "rows": rows})


if __name__ == "__main__":
    main()
