"""`report.html` of a comparison."""

from __future__ import annotations

from pathlib import Path

from HQCSegmentLib.comparison.results import Comparison
from HQCSegmentLib.evaluation.pictures import data_url, png
from HQCSegmentLib.evaluation.templates import render
from HQCSegmentLib.files import write_text


def write_report(path: Path, found: Comparison, *, structures: tuple[str, ...]) -> None:
    """Write the table, the pictures and what may be concluded, as one self-contained page."""
    summary = found.summary()
    by_structure = {
        (row.patients, row.method): {
            name: _mean(
                [
                    dice
                    for result in found.results
                    if (result.patients, result.method) == (row.patients, row.method)
                    for dice in result.dice.get(name, {}).values()
                ]
            )
            for name in structures
        }
        for row in summary
    }
    html = render(
        "comparison.html.j2",
        summary=summary,
        seeds=len({result.seed for result in found.results}),
        test=len(found.test),
        first=found.results[0].method,
        structures=structures,
        by_structure=by_structure,
        picture=data_url(_picture(found)),
    )
    write_text(path, html)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _picture(found: Comparison) -> bytes:
    """Mean Dice of every seed (points) and their mean (line) against the number of patients, one color a method."""
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.6), dpi=110, layout="constrained")
    panel = figure.subplots()
    summary = found.summary()
    methods = list(dict.fromkeys(row.method for row in summary))
    numbers = sorted({row.patients for row in summary})
    colors = matplotlib.colormaps["tab10"]
    for place, method in enumerate(methods):
        rows = sorted((row for row in summary if row.method == method), key=lambda row: row.patients)
        # Side by side, so that points of methods that are level do not cover each other.
        shift = 0.12 * (place - (len(methods) - 1) / 2) / max(1, len(methods) - 1)
        across = [numbers.index(row.patients) + shift for row in rows]
        panel.plot(across, [row.mean for row in rows], color=colors(place), label=method, marker="_", markersize=12)
        for x, row in zip(across, rows, strict=True):
            panel.plot([x] * len(row.means), row.means, ".", color=colors(place), alpha=0.6)
    panel.set(xlabel="patients trained on", ylabel="mean Dice of the judging cases")
    panel.set_xticks(range(len(numbers)), [str(number) for number in numbers])
    panel.grid(axis="y", color="0.9")
    panel.legend(fontsize=8)
    return png(figure)
