"""In how many directions circuits can change weights, and how evenly: before any training.

    python Testing/Benchmarks/qpg_directions.py [--qubits N] [--depths 2 3 4] [--spreads 0.25 0.5]
                                                [--coordinates flat walsh] [--out FILE.json]

Around random start angles (normal, deviation `--spreads`) what circuits generate changes by J dphi. Of J, (values,
angles), are told, with Walsh coordinates after the transform, which does not change the directions:

- directions: the entropic rank of J^T J (`qpg.matrix_ranks`): how many directions of about equal size the angles span;
  at most the number of angles;
- evenness: (sum e)^2 / (values * sum e^2), e being the squared lengths of J's rows: the part of the values that change
  at all; 1 if all change equally, 1/3 for single normal numbers.

J is exact, by the parameter-shift rule: dv/dphi = (v(phi + pi/2) - v(phi - pi/2)) / 2 for RY (Mitarai et al.,
arXiv:1803.00745). Beside the circuits a random map of as many numbers. Seconds on 2 cores.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from HQCSegmentLib import qpg
from HQCSegmentLib.files import write_json
from HQCSegmentLib.qpg.readout import values
from HQCSegmentLib.qpg.walsh import walsh

ANSATZES = ("ry_cnot_ring", "ry_cnot_rings", "ry_cnot_chain", "ry_cnot_none")


def jacobian(angles: Tensor, *, ansatz: str) -> Tensor:
    """Derivative of signed values by the angles of one circuit of RY and CNOT.

    Args:
        angles: phi, (depth, qubits), radians, float64.
        ansatz: A key of `ANSATZES`.

    Returns:
        (2**(qubits - 1), depth * qubits).
    """
    shifts = torch.eye(angles.numel(), dtype=angles.dtype).view(-1, *angles.shape) * (math.pi / 2)
    numbers = 2 ** (angles.shape[1] - 1)
    more, less = (values(angles + sign * shifts, numbers=numbers, readout="signed", ansatz=ansatz) for sign in (1, -1))
    return (more - less).mT / 2


def described(matrix: Tensor) -> tuple[float, float]:
    """Directions and evenness of a matrix J, (values, angles)."""
    rows = matrix.square().sum(dim=1)
    evenness = rows.sum().square() / (len(rows) * rows.square().sum())
    return qpg.matrix_ranks(matrix.mT @ matrix).entropic, float(evenness)


def measure(ansatz: str, *, coordinates: str, qubits: int, depth: int, spread: float, circuits: int) -> dict[str, Any]:
    """Medians over circuits at random start angles; of random maps for the ansatz `random map`."""
    found = []
    for seed in range(circuits):
        generator = torch.Generator().manual_seed(seed)
        if ansatz == "random map":
            matrix = torch.randn(2 ** (qubits - 1), depth * qubits, generator=generator, dtype=torch.float64)
        else:
            angles = spread * torch.randn(depth, qubits, generator=generator, dtype=torch.float64)
            matrix = jacobian(angles, ansatz=ansatz)
            if coordinates == "walsh":
                matrix = walsh(matrix.mT).mT
        found.append(described(matrix))
    directions, evenness = (statistics.median(column) for column in zip(*found, strict=True))
    return {
        "ansatz": ansatz, "coordinates": coordinates, "qubits": qubits, "depth": depth, "spread": spread,
        "angles": depth * qubits, "directions": directions, "evenness": evenness,
    }  # fmt: skip


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--qubits", type=int, default=11)
    parser.add_argument("--depths", nargs="+", type=int, default=[2, 3, 4])
    parser.add_argument(
        "--spreads", nargs="+", type=float, default=[0.1, 0.25, 0.5, 1.0], help="of start angles, radians"
    )
    parser.add_argument("--coordinates", nargs="+", default=["flat", "walsh"], choices=["flat", "walsh"])
    parser.add_argument("--circuits", type=int, default=8, help="of which medians are taken")
    parser.add_argument("--out", type=Path, help="also write JSON")
    arguments = parser.parse_args()
    print(f"{arguments.qubits} qubits; directions, and evenness in brackets\n")
    print("| ansatz | coordinates | depth | angles |", *(f"spread {spread:g} |" for spread in arguments.spreads))
    print("|---|---|---|---|" + "---|" * len(arguments.spreads))
    rows = []
    kinds = [(ansatz, coordinates) for ansatz in ANSATZES for coordinates in arguments.coordinates]
    for (ansatz, coordinates), depth in itertools.product([*kinds, ("random map", "flat")], arguments.depths):
        own = [
            measure(
                ansatz,
                coordinates=coordinates,
                qubits=arguments.qubits,
                depth=depth,
                spread=spread,
                circuits=arguments.circuits,
            )
            for spread in (arguments.spreads if ansatz != "random map" else [math.nan])
        ]
        rows += own
        cells = [f"{row['directions']:.1f} ({row['evenness']:.2f})" for row in own]
        print(f"| {ansatz} | {coordinates} | {depth} | {own[0]['angles']} | {' | '.join(cells)} |")
    if arguments.out:
        write_json(arguments.out, rows)


if __name__ == "__main__":
    main()
