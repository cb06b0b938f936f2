"""Figures of many cases: box plots of metrics, and volumes after Bland and Altman."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from HQCSegmentLib.evaluation.folders import Evaluation

BOXES = (
    ("dice", "Dice"),
    ("surface_dice", "surface Dice"),
    ("hd95_mm", "HD95 (mm)"),
    ("added_path_length_mm", "added path length (mm)"),
)

FEWEST_FOR_LIMITS = 3
"""Limits of agreement are drawn from this number of cases on."""


def box_plots(result: Evaluation) -> Figure:
    """Spread of four metrics over cases, one box a structure; every case is a dot."""
    from matplotlib.figure import Figure

    structures = result.structures
    figure = Figure(figsize=(10, 1.6 + 0.42 * len(structures)), facecolor="white", layout="constrained")
    panels = figure.subplots(1, len(BOXES), sharey=True)
    for panel, (metric, label) in zip(panels, BOXES, strict=True):
        for place, structure in enumerate(structures):
            values = [getattr(row.agreement, metric) for row in result.of(structure)]
            values = [value for value in values if not math.isnan(value)]
            if len(values) > 2:
                panel.boxplot(values, positions=[place], orientation="horizontal", widths=0.6, showfliers=False,
                              medianprops={"color": "tab:red"})  # fmt: skip
            panel.plot(values, np.full(len(values), place), ".", color="tab:blue", alpha=0.6)
        panel.set_xlabel(label, fontsize=9)
        panel.grid(axis="x", color="0.9")
        panel.tick_params(labelsize=8)
        if metric in ("dice", "surface_dice"):
            panel.set_xlim(-0.02, 1.02)
        else:
            panel.set_xlim(left=0)
    panels[0].set_yticks(range(len(structures)), structures)
    panels[0].set_ylim(len(structures) - 0.5, -0.5)
    return figure


def bland_altman(result: Evaluation) -> Figure:
    """Difference of volumes against their mean, one panel a structure (Bland and Altman, Lancet 1986;327:307).

    Lines: mean difference, and mean ± 1.96 standard deviations, the limits of agreement.
    """
    from matplotlib.figure import Figure

    structures = result.structures
    columns = min(4, len(structures))
    rows = math.ceil(len(structures) / columns)
    figure = Figure(figsize=(10, 0.5 + 2.3 * rows), facecolor="white", layout="constrained")
    panels = np.atleast_1d(figure.subplots(rows, columns, squeeze=False)).ravel()
    for panel in panels[len(structures) :]:
        panel.set_axis_off()
    for panel, structure in zip(panels, structures, strict=False):
        found = [row.agreement for row in result.of(structure)]
        _differences(
            panel,
            np.array([(one.predicted_ml + one.reference_ml) / 2 for one in found]),
            np.array([one.volume_difference_ml for one in found]),
        )
        panel.set_title(structure, fontsize=9)
    return figure


def _differences(panel: Axes, means: np.ndarray, differences: np.ndarray) -> None:
    panel.axhline(0, color="0.8", linewidth=0.8)
    panel.plot(means, differences, "o", markersize=3.5, color="tab:blue", alpha=0.7)
    bias = float(differences.mean())
    panel.axhline(bias, color="tab:red", linewidth=1)
    if len(differences) >= FEWEST_FOR_LIMITS:
        half = 1.96 * float(differences.std(ddof=1))
        for level in (bias - half, bias + half):
            panel.axhline(level, color="tab:red", linewidth=0.8, linestyle="dashed")
    panel.tick_params(labelsize=7)
    panel.set_xlabel("mean volume (ml)", fontsize=8)
    panel.set_ylabel("prediction - reference (ml)", fontsize=8)
