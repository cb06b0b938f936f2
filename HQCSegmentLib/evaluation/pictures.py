"""Figures as PNG bytes, and embedding them in self-contained HTML."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from HQCSegmentLib.evaluation.execution_study import Spread


def png(figure: Figure) -> bytes:
    """The figure as PNG, without pyplot's global state or a display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def data_url(picture: bytes) -> str:
    """PNG bytes as the `src` of an HTML image."""
    return "data:image/png;base64," + base64.b64encode(picture).decode("ascii")


def learning_curve(
    steps: Sequence[int], losses: Sequence[float], held_out: Sequence[tuple[int, dict[str, float]]]
) -> bytes:
    """Loss of every step and Dice of the held-out cases at the checkpoints.

    Args:
        steps: Steps of `losses`.
        losses: Training loss.
        held_out: (step, Dice per structure).
    """
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), dpi=110, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(steps, losses, color="0.75", linewidth=0.8)
    width = max(1, len(losses) // 25)
    if len(losses) >= 2 * width:
        smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
        left.plot(steps[width - 1 :], smooth, color="tab:blue")
    left.set(xlabel="step", ylabel="training loss")
    for name in held_out[-1][1] if held_out else ():
        right.plot([step for step, _ in held_out], [dice[name] for _, dice in held_out], marker=".", label=name)
    if held_out:
        right.legend(fontsize=7)
    else:
        right.text(0.5, 0.5, "no cases held out", ha="center", va="center", color="0.5")
    right.set(xlabel="step", ylabel="held-out Dice", ylim=(0, 1))
    return png(figure)


def rank_curves(course: Sequence[tuple[int, dict[str, dict[str, float]]]]) -> bytes:
    """Ranks of each layer's update over the steps, as parts of the largest possible rank.

    Args:
        course: (step, {layer: {"numerical", "stable", "entropic", "full"}}).
    """
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.2), dpi=110, layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    layers = list(course[-1][1]) if course else []
    colors = matplotlib.colormaps["viridis"]
    for panel, kind in zip(panels, ("numerical", "stable", "entropic"), strict=True):
        for place, layer in enumerate(layers):
            parts = [ranks[layer][kind] / ranks[layer]["full"] for _, ranks in course]
            color = colors(place / max(1, len(layers) - 1))
            panel.plot([step for step, _ in course], parts, color=color, marker=".", linewidth=0.9)
        panel.set(title=f"{kind} rank", xlabel="step", ylim=(0, 1.05))
    panels[0].set_ylabel("part of full rank")
    return png(figure)


def circuit_picture(*, qubits: int, depth: int, ansatz: str) -> bytes:
    """A circuit as PennyLane draws it."""
    import matplotlib
    from matplotlib import pyplot

    from HQCSegmentLib.qpg import circuit_figure

    # PennyLane draws with pyplot, which would look for a display.
    with matplotlib.rc_context({"backend": "agg"}):
        figure = circuit_figure(qubits=qubits, depth=depth, ansatz=ansatz)
        try:
            return png(figure)
        finally:
            pyplot.close(figure)


def shot_curves(
    shots: Sequence[int],
    dice: Mapping[str, Sequence[Spread]],
    levels: Sequence[tuple[str, Spread]],
    *,
    title: str,
) -> bytes:
    """Dice against the number of shots; bars and bands reach from the lowest to the highest draw.

    Args:
        shots: Shots of each circuit.
        dice: Of each structure, and of "mean", for each number of shots.
        levels: Horizontal lines to compare with: what each is, and mean Dice.
        title: Heading.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=110, layout="constrained")
    panel = figure.subplots()
    for name, spreads in dice.items():
        means = [one.mean for one in spreads]
        bars = [[one.mean - one.lowest for one in spreads], [one.highest - one.mean for one in spreads]]
        look = {"color": "black", "marker": "o"} if name == "mean" else {"marker": ".", "linewidth": 0.9}
        panel.errorbar(shots, means, yerr=bars, capsize=3, label=name, **look)
    for (name, level), style in zip(levels, ("dashed", "dotted"), strict=False):
        panel.axhline(level.mean, color="0.4", linestyle=style, label=f"mean, {name}")
        panel.axhspan(level.lowest, level.highest, color="0.4", alpha=0.15)
    panel.set(xscale="log", xlabel="shots per circuit", ylabel="Dice", ylim=(0, 1), title=title)
    panel.legend(fontsize=7)
    return png(figure)
