"""Draws the icons: a contoured slice inside a ring of qubits.

Run from anywhere: `python Resources/draw_icon.py`. Needs matplotlib only.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Ellipse, PathPatch
from matplotlib.path import Path as Outline

ROOT = Path(__file__).resolve().parent.parent
TARGETS = (
    ROOT / "Resources" / "HQCSegment.png",
    ROOT / "HQCSegment" / "Resources" / "Icons" / "HQCSegment.png",
)
PIXELS = 128
QUBITS = 8
DARK, SLICE, ORGAN, TARGET, RING = "#10243f", "#8fa3b8", "#ffb000", "#ff5a5f", "#2bb3c0"


def draw() -> Figure:
    """Figure of 128x128 pixels; coordinates run from -1 to 1."""
    figure = plt.figure(figsize=(1, 1), dpi=PIXELS)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(-1, 1), ylim=(-1, 1), aspect="equal")
    axes.axis("off")
    axes.add_patch(Circle((0, 0), 0.98, color=DARK))
    axes.add_patch(Circle((0, 0), 0.80, fill=False, color=RING, linewidth=2))
    for angle in np.arange(QUBITS) * 2 * np.pi / QUBITS + np.pi / 2:
        center = (0.80 * np.cos(angle), 0.80 * np.sin(angle))
        axes.add_patch(Circle(center, 0.12, facecolor=DARK, edgecolor=RING, linewidth=2))
        axes.add_patch(Circle(center, 0.04, color="white"))
    axes.add_patch(Ellipse((0, 0), 1.12, 0.92, color=SLICE))
    axes.add_patch(Circle((0, -0.30), 0.09, color="#e8eef4"))
    for side in (-1, 1):
        outline = [
            (0.12, 0.24),
            (0.50, 0.40),
            (0.56, -0.16),
            (0.22, -0.18),
            (0.20, 0.02),
            (0.06, 0.06),
            (0.12, 0.24),
        ]
        curve = Outline([(side * x, y) for x, y in outline], [Outline.MOVETO, *[Outline.CURVE4] * (len(outline) - 1)])
        color = ORGAN if side < 0 else TARGET
        axes.add_patch(PathPatch(curve, facecolor="#3b4a5c", edgecolor=color, linewidth=2.2))
    return figure


def main() -> None:
    figure = draw()
    for target in TARGETS:
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target, transparent=True, metadata={"Software": None})


if __name__ == "__main__":
    main()
