"""Size of the gradient by one angle, from 4 to 14 qubits: is there a barren plateau?

    python Testing/Benchmarks/qpg_gradients.py [--out FILE.json] [--picture FILE.png] [--circuits N]

The loss is a random linear function of the generated values, w . v / sqrt(M) with w normal, so that its own size does
not depend on the number of values. Reported is the root mean square of its derivative by an angle, over circuits,
angles and random w, around the uniform state (angles normal with deviation 0.1 and 0.5) and for angles uniform in
(-pi, pi). A barren plateau would show as a fall by a constant factor per qubit. A minute on 2 cores.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import torch

from HQCSegmentLib import qpg
from HQCSegmentLib.evaluation.pictures import png
from HQCSegmentLib.files import replacing, write_json
from HQCSegmentLib.qpg.readout import values

QUBITS = range(4, 15)
DEPTHS = (1, 2, 4, 8)
STARTS = {"normal 0.1": 0.1, "normal 0.5": 0.5, "uniform": None}


def root_mean_square(*, qubits: int, depth: int, spread: float | None, circuits: int, readout: str) -> float:
    """Of the derivative by one angle."""
    torch.manual_seed(0)
    shape = (circuits, depth, qpg.ANSATZES["ry_cnot_ring"].angles_per_layer(qubits))
    angles = torch.randn(shape) * spread if spread is not None else (torch.rand(shape) * 2 - 1) * math.pi
    angles.requires_grad_()
    numbers = 2 ** (qubits - 1) if readout == "signed" else 2**qubits
    generated = values(angles, numbers=numbers, readout=readout)  # type: ignore[arg-type]
    (generated * torch.randn_like(generated)).sum().div(math.sqrt(numbers)).backward()
    assert angles.grad is not None
    return float(angles.grad.square().mean().sqrt())


def picture(rows: list[dict]) -> bytes:
    """One panel per start, one line per depth."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), dpi=110, layout="constrained")
    panels = figure.subplots(1, len(STARTS), sharey=True)
    for panel, start in zip(panels, STARTS, strict=True):
        for depth in DEPTHS:
            own = [row for row in rows if (row["start"], row["depth"], row["readout"]) == (start, depth, "signed")]
            panel.plot([r["qubits"] for r in own], [r["gradient"] for r in own], marker=".", label=f"depth {depth}")
        panel.set(title=f"angles {start}", xlabel="qubits", yscale="log")
    panels[0].set_ylabel("root mean square of\nthe derivative by an angle")
    panels[-1].legend(fontsize=7)
    return png(figure)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="also write JSON")
    parser.add_argument("--picture", type=Path, help="also draw the signed readout")
    parser.add_argument("--circuits", type=int, default=200)
    arguments = parser.parse_args()
    print("| readout | angles | depth | " + " | ".join(map(str, QUBITS)) + " |")
    print("|---|---|---|" + "---|" * len(QUBITS))
    rows = []
    for readout in ("signed", "probability"):
        for start, spread in STARTS.items():
            for depth in DEPTHS:
                found = []
                for qubits in QUBITS:
                    gradient = root_mean_square(
                        qubits=qubits, depth=depth, spread=spread, circuits=arguments.circuits, readout=readout
                    )
                    found.append(gradient)
                    rows.append(
                        {"readout": readout, "start": start, "depth": depth, "qubits": qubits, "gradient": gradient}
                    )
                print(f"| {readout} | {start} | {depth} | " + " | ".join(f"{g:.2f}" for g in found) + " |", flush=True)
    if arguments.out:
        write_json(arguments.out, {"circuits": arguments.circuits, "rows": rows})
    if arguments.picture:
        with replacing(arguments.picture) as temporary:
            temporary.write_bytes(picture(rows))


if __name__ == "__main__":
    main()
