"""Time and memory of generating with the exact engine, side by side with PennyLane's default.qubit.

    python Testing/Benchmarks/qpg_engine.py [--out FILE.json] [--repeats N]

For 256 circuits (ry_cnot_ring, depth 2) of each size: probabilities of all circuits and the gradient of a weighted
sum by all angles. PennyLane broadcasts over the circuits and differentiates by backpropagation, its fastest exact way.
Times are medians of interleaved repeats with the same threads; memory is the growth of a child process's peak over
what it held before the call (read from /proc, so Linux only). About two minutes.
"""

from __future__ import annotations

import argparse
import json
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

from HQCSegmentLib import qpg
from HQCSegmentLib.files import write_json

CIRCUITS, DEPTH = 256, 2
SIZES = (8, 10, 12, 13)


def work(method: str, qubits: int) -> Callable[[], None]:
    """One forward and backward pass."""
    torch.manual_seed(0)
    angles = torch.randn(CIRCUITS, DEPTH, qubits, requires_grad=True)
    weights = torch.randn(CIRCUITS, 2**qubits)
    probabilities = qpg.born_probabilities if method == "engine" else qpg.qnode(qubits=qubits, depth=DEPTH)

    def once() -> None:
        angles.grad = None
        (probabilities(angles) * weights).sum().backward()

    return once


def seconds(qubits: int, repeats: int) -> dict[str, float]:
    """Median time of each method; the methods take turns."""
    calls = {method: work(method, qubits) for method in ("engine", "pennylane")}
    taken: dict[str, list[float]] = {method: [] for method in calls}
    for _ in range(repeats + 1):
        for method, call in calls.items():
            start = time.perf_counter()
            call()
            taken[method].append(time.perf_counter() - start)
    return {method: statistics.median(times[1:]) for method, times in taken.items()}


def peak_mebibytes(method: str, qubits: int) -> float:
    """Growth of the peak memory of a fresh process by one pass."""
    command = [sys.executable, __file__, "--measure", method, str(qubits)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def measure(method: str, qubits: int) -> None:
    """In the child: warm up on two qubits, then print how far one pass raises the peak."""
    work(method, 2)()
    call = work(method, qubits)
    before = process_kibibytes("VmRSS")
    # Forget the peak of the imports; resource.getrusage would even keep that of the parent process.
    Path("/proc/self/clear_refs").write_text("5")
    call()
    print((process_kibibytes("VmHWM") - before) / 1024)


def process_kibibytes(field: str) -> int:
    """Memory of this process now (VmRSS) or at its peak (VmHWM); Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="also write JSON")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--measure", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.measure[0], int(arguments.measure[1]))
        return
    rows = []
    print("| qubits | engine | PennyLane | time ratio | engine memory | PennyLane memory | memory ratio |")
    print("|---|---|---|---|---|---|---|")
    for qubits in SIZES:
        times = seconds(qubits, arguments.repeats)
        memory = {method: peak_mebibytes(method, qubits) for method in times}
        row = {
            "qubits": qubits,
            "seconds": times,
            "mebibytes": memory,
            "time_ratio": times["pennylane"] / times["engine"],
            "memory_ratio": memory["pennylane"] / max(memory["engine"], 0.01),
        }
        rows.append(row)
        print(
            f"| {qubits} | {1000 * times['engine']:.1f} ms | {1000 * times['pennylane']:.0f} ms | "
            f"{row['time_ratio']:.0f}x | {memory['engine']:.0f} MiB | {memory['pennylane']:.0f} MiB | "
            f"{row['memory_ratio']:.0f}x |",
            flush=True,
        )
    if arguments.out:
        setting = {
            "circuits": CIRCUITS,
            "depth": DEPTH,
            "torch": torch.__version__,
            "pennylane": pennylane.__version__,
            "threads": torch.get_num_threads(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
        }
        write_json(arguments.out, json.loads(json.dumps({"setting": setting, "rows": rows})))


if __name__ == "__main__":
    main()
