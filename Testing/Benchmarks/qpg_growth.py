"""How the time and memory of generating weights grow with their number.

    python Testing/Benchmarks/qpg_growth.py [--out FILE.json] [--most 1e8] [--qubits 12] [--depth 2] [--repeats N]
                                            [--device cuda]

Generates 1e5, 1e6, ... weights with signed circuits of one size (`ry_cnot_ring`; 12 qubits give 2048 weights each),
forward and backward, and fits time = constant * weights ** exponent through all sizes whose time is not mostly the
overhead of calling operations (at least 1e6 weights, on a GPU 1e8). An exponent of 1 is linear growth. Memory is the
growth of a fresh child process's peak (VmHWM; Linux), on a GPU of what PyTorch allocated, in bytes per weight; 1e8
weights themselves and their gradient take 8 bytes each. Circuits are simulated a bounded number at a time
(`chunk=None`).
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from process_memory import process_kibibytes

from HQCSegmentLib.files import write_json
from HQCSegmentLib.qpg.readout import values

LEAST_FITTED = {"cpu": 10**6, "cuda": 10**8}
"""Weights from which time is not mostly that of calling operations."""


def work(circuits: int, *, qubits: int, depth: int, device: str) -> Callable[[], None]:
    """One forward and backward pass."""
    torch.manual_seed(0)
    angles = torch.randn(circuits, depth, qubits, device=device, requires_grad=True)
    numbers = 2 ** (qubits - 1)
    # One row for all circuits: the gradient takes no memory of its own here.
    gradient = torch.randn(1, numbers, device=device).expand(circuits, numbers)

    def once() -> None:
        angles.grad = None
        values(angles, numbers=numbers, readout="signed").backward(gradient)
        if device == "cuda":
            torch.cuda.synchronize()

    return once


def seconds(circuits: int, *, qubits: int, depth: int, device: str, repeats: int) -> float:
    """Median time of a pass, after one to warm up."""
    call = work(circuits, qubits=qubits, depth=depth, device=device)
    taken = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return statistics.median(taken[1:])


def measure(circuits: int, *, qubits: int, depth: int) -> None:
    """In the child: print how many bytes one pass raises the peak."""
    work(2, qubits=qubits, depth=depth, device="cpu")()
    call = work(circuits, qubits=qubits, depth=depth, device="cpu")
    before = process_kibibytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    call()
    print(1024 * (process_kibibytes("VmHWM") - before))


def peak_bytes(circuits: int, *, qubits: int, depth: int, device: str) -> int:
    """Growth of the peak memory of a fresh process by one pass; on a GPU of its memory in this process."""
    if device == "cuda":
        call = work(circuits, qubits=qubits, depth=depth, device=device)
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        call()
        return torch.cuda.max_memory_allocated() - before
    command = [sys.executable, __file__, "--measure", str(circuits), "--qubits", str(qubits), "--depth", str(depth)]
    return int(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def exponent(rows: list[dict]) -> float:
    """Slope of log time over log weights, least squares."""
    points = [(math.log(row["weights"]), math.log(row["seconds"])) for row in rows]
    middle_x, middle_y = (statistics.fmean(values) for values in zip(*points, strict=True))
    return sum((x - middle_x) * (y - middle_y) for x, y in points) / sum((x - middle_x) ** 2 for x, _ in points)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="also write JSON")
    parser.add_argument("--most", type=float, default=1e8, help="largest number of weights")
    parser.add_argument("--qubits", type=int, default=12)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    circuit: dict[str, Any] = {"qubits": arguments.qubits, "depth": arguments.depth}
    if arguments.measure:
        measure(arguments.measure, **circuit)
        return
    circuit |= {"device": arguments.device}
    print(f"torch {torch.__version__}, threads {torch.get_num_threads()}, {circuit}\n")
    print("| weights | circuits | time | time per million weights | peak memory | bytes per weight |")
    print("|---|---|---|---|---|---|")
    rows = []
    for power in range(5, math.floor(math.log10(arguments.most)) + 1):
        circuits = -(-(10**power) // 2 ** (arguments.qubits - 1))
        weights = circuits * 2 ** (arguments.qubits - 1)
        taken = seconds(circuits, repeats=arguments.repeats, **circuit)
        peak = peak_bytes(circuits, **circuit)
        rows.append(
            {"weights": weights, "circuits": circuits, "seconds": taken, "bytes": peak, "load": os.getloadavg()[0]}
        )
        print(
            f"| {weights:.3g} | {circuits} | {taken:.3g} s | {1e9 * taken / weights:.3g} ms | {peak / 2**20:.0f} MiB | "
            f"{peak / weights:.1f} |",
            flush=True,
        )
    fitted = [row for row in rows if row["weights"] >= LEAST_FITTED[arguments.device]]
    slope = exponent(fitted) if len(fitted) > 1 else None
    if slope is not None:
        print(f"\ntime grows as weights ** {slope:.2f} (from {LEAST_FITTED[arguments.device]:.0e} weights on)")
    if arguments.out:
        write_json(arguments.out, {**circuit, "threads": torch.get_num_threads(), "rows": rows, "exponent": slope})


if __name__ == "__main__":
    main()
