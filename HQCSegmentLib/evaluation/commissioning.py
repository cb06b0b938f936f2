"""The commissioning report: an evaluation for a physicist to judge and sign, as HTML and PDF."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from HQCSegmentLib import __version__
from HQCSegmentLib.evaluation.figures import contour_figure
from HQCSegmentLib.evaluation.observers import ObserverAgreement, observer_agreement
from HQCSegmentLib.evaluation.pictures import data_url, png
from HQCSegmentLib.evaluation.statistics import POOR_DICE, Comparison, Spread, StructureSummary
from HQCSegmentLib.evaluation.study_figures import bland_altman, box_plots
from HQCSegmentLib.evaluation.templates import render
from HQCSegmentLib.files import write_text
from HQCSegmentLib.imaging import Structure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from HQCSegmentLib.evaluation.folders import Evaluation
    from HQCSegmentLib.evaluation.pairs import CasePair

MOST_PICTURES = 24
"""Pictures of cases in one report: first all failures, then the worst case of every structure."""

COLUMNS = (
    ("dice", "Dice", 3),
    ("iou", "IoU", 3),
    ("surface_dice", "surface Dice", 3),
    ("hd95_mm", "HD95 (mm)", 1),
    ("mean_surface_distance_mm", "mean surface distance (mm)", 2),
    ("added_path_length_mm", "added path (mm)", 0),
    ("volume_difference_ml", "volume difference (ml)", 2),
    ("centroid_distance_mm", "centroid distance (mm)", 1),
)
"""Metrics in the tables: name, heading, digits."""

MARGIN_MM = 40.0
"""Shown around a structure in its pictures."""

LIMITS = (
    "The numbers compare contours with other contours. Where the reference is wrong, or was drawn by correcting the "
    "prediction, they cannot show it; two experts would not agree perfectly either.",
    "Overlap (Dice, IoU) is high for large structures and low for small ones at the same distance of the surfaces: "
    "compare a structure with itself, never with another.",
    "Agreement of contours says little about dose. A small difference beside a steep gradient may matter, a large one "
    "far from the beams may not: recalculate plans with both contours before relying on a structure.",
    "A mean hides failures. Judge the list of failures and the worst cases above before the means.",
    "Only what is among these cases was tested: other scanners, protocols, positions, ages, contrast, implants and "
    "surgery were not, unless cases with them are here.",
    "Nothing is said about the time for corrections, about contours that are never checked, or about targets that a "
    "physician would have drawn elsewhere for reasons that the image does not show.",
)
"""What the numbers cannot tell."""


@dataclass(frozen=True, eq=False)
class Picture:
    """Contours of one structure of one case."""

    title: str
    figure: Figure


def write_report(result: Evaluation, out: Path) -> None:
    """Write `report.html`, complete in one file, and `report.pdf`.

    Args:
        result: Of `evaluate`.
        out: Folder.

    Raises:
        InputError: if a case to be shown can no longer be read.
    """
    from HQCSegmentLib.evaluation.commissioning_pdf import write_pdf

    summaries = result.summary()
    pictures = worst_pictures(result)
    figures = [("Spread over cases", box_plots(result)), ("Volumes", bland_altman(result))]
    html = render(
        "commissioning.html.j2",
        about=about(result),
        failures=result.failures(),
        comparisons=len(result.rows),
        poor=POOR_DICE,
        headings=[heading for _, heading, _ in COLUMNS],
        overview=[place for place, (name, _, _) in enumerate(COLUMNS) if name not in ("iou", "centroid_distance_mm")],
        structures=[
            (
                one,
                cells(one),
                pooled_text(one),
                case_rows(result.of(one.structure)),
                observers_text(observer_agreement(one.structure)),
            )
            for one in summaries
        ],
        rule_of_three=rule_of_three(summaries),
        figures=[(title, data_url(png(figure))) for title, figure in figures],
        pictures=[(picture.title, data_url(png(picture.figure))) for picture in pictures],
        limits=LIMITS,
        notes=result.notes,
    )
    write_text(out / "report.html", html)
    write_pdf(out / "report.pdf", result, [*(figure for _, figure in figures), *(one.figure for one in pictures)])


def about(result: Evaluation) -> list[tuple[str, str]]:
    """What was compared, as rows of heading and text."""
    cases = len({row.case for row in result.rows})
    return [
        ("Cases", str(cases)),
        ("Structures", ", ".join(result.structures)),
        ("Tolerance", f"{result.tolerance_mm:g} mm, for surface Dice and added path length"),
        ("Software", f"HQCSegment {__version__}"),
        ("Date", datetime.date.today().isoformat()),
    ]


def cells(summary: StructureSummary) -> list[tuple[str, str]]:
    """Cells of the table of structures."""
    return [spread_text(summary.spreads[name], digits) for name, _, digits in COLUMNS]


def spread_text(spread: Spread | None, digits: int) -> tuple[str, str]:
    """Mean and deviation; median and range."""
    if spread is None:
        return "undefined", ""
    deviation = "" if spread.deviation is None else f" ± {spread.deviation:.{digits}f}"
    middle, low, high = (f"{value:.{digits}f}" for value in (spread.median, spread.lowest, spread.highest))
    return f"{spread.mean:.{digits}f}{deviation}", f"({middle}, {low} to {high})"


def case_rows(comparisons: Sequence[Comparison]) -> list[tuple[str, list[str], str]]:
    """Case, numbers and failure of every comparison, the worst surface Dice first."""
    ordered = sorted(comparisons, key=lambda row: (row.agreement.surface_dice, row.agreement.dice))
    return [
        (row.case, [number(getattr(row.agreement, name), digits) for name, _, digits in COLUMNS], row.failure)
        for row in ordered
    ]


def pooled_text(summary: StructureSummary) -> str:
    """Numbers of all cases as if they were one patient."""
    pooled = summary.pooled
    return (
        f"Dice {pooled.dice:.3f}, surface Dice {pooled.surface_dice:.3f}, HD95 {number(summary.pooled_hd95_mm, 1)} mm"
    )


def number(value: float, digits: int) -> str:
    """A number, or a dash where it is undefined."""
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def observers_text(found: ObserverAgreement | None) -> str:
    """Published agreement of observers as a sentence; empty where none is known."""
    if found is None:
        return ""
    distances = [
        f"{label} {value:g} mm"
        for label, value in (("mean surface distance", found.mean_surface_distance_mm), ("HD95", found.hd95_mm))
        if value is not None
    ]
    return f"Between observers: {', '.join([f'Dice {found.dice:g}', *distances])}; {found.what}. {found.source}."


def rule_of_three(summaries: Sequence[StructureSummary]) -> str:
    """How rare failures may be called after so few cases: the exact binomial limit, which for many cases is 3 in n."""
    cases = max((one.cases for one in summaries), default=0)
    if not cases:
        return ""
    rate = 1 - 0.05 ** (1 / cases)
    return (
        f"A structure without failure in {cases} case{'s' if cases != 1 else ''} may still fail in up to "
        f"{100 * rate:.0f} % of patients (95 % confidence; the exact form of the rule of three, Hanley and "
        "Lippman-Hand, JAMA 1983;249:1743)."
    )


def worst_pictures(result: Evaluation) -> list[Picture]:
    """Draw failures, and the worst case of every structure, each case read once."""
    chosen = {(row.case, row.structure): row for row in result.failures()}
    for structure in result.structures:
        rows = [row for row in result.of(structure) if row.agreement.sums.surface_mm2]
        if rows:
            worst = min(rows, key=lambda row: (row.agreement.surface_dice, row.agreement.dice))
            chosen.setdefault((worst.case, structure), worst)
    wanted = list(chosen.values())[:MOST_PICTURES]
    drawn: dict[tuple[str, str], Picture] = {}
    for case in dict.fromkeys(row.case for row in wanted):
        pair = result.pairing.readers[case]()
        for row in wanted:
            if row.case == case:
                drawn[case, row.structure] = _picture(pair, row)
    return [drawn[row.case, row.structure] for row in wanted]


def _picture(pair: CasePair, row: Comparison) -> Picture:
    """Three planes with both contours, around the structure; black where the references come without images."""
    boxes = [drawing.boxes.get(row.structure) for drawing in (pair.reference, pair.prediction)]
    there = [box for box in boxes if box is not None]
    margin = np.ceil(MARGIN_MM / np.array(pair.grid.spacing)).astype(int)
    first = np.maximum(np.min([box.start for box in there], axis=0) - margin, 0)
    last = np.minimum(np.max([np.add(box.start, box.mask.shape) for box in there], axis=0) + margin, pair.grid.shape)
    part = tuple(slice(a, b) for a, b in zip(first.tolist(), last.tolist(), strict=True))
    affine = pair.grid.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ first
    labels = []
    for value, box in enumerate(boxes, start=1):
        drawn = np.zeros(pair.grid.shape, np.uint8) if box is None else box.whole(pair.grid.shape).astype(np.uint8)
        labels.append(drawn[part] * np.uint8(value))
    image = np.zeros(labels[0].shape, np.uint8) if pair.image is None else pair.image.array[part]
    lines = [
        Structure(value=value, name=name, color=color)
        for value, (name, color) in enumerate((("reference", (60, 220, 90)), ("prediction", (255, 70, 50))), start=1)
    ]
    found = row.agreement
    title = (
        f"{row.structure}, case {row.case}: Dice {found.dice:.3f}, surface Dice {found.surface_dice:.3f}, "
        f"HD95 {number(found.hd95_mm, 1)} mm"
    )
    return Picture(title, contour_figure(image, affine, labels[0], labels[1], lines, title=title))
