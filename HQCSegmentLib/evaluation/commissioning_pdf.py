"""The commissioning report as PDF, on A4 pages."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from HQCSegmentLib.evaluation import commissioning
from HQCSegmentLib.evaluation.observers import observer_agreement
from HQCSegmentLib.evaluation.pictures import png
from HQCSegmentLib.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    from HQCSegmentLib.evaluation.folders import Evaluation

A4_INCHES = (8.27, 11.69)
LINES = 74
"""Lines of small text on a page."""

LEFT, TEXT_WIDTH, TOP, BOTTOM, GAP = 0.07, 0.86, 0.945, 0.04, 0.02
"""Where figures may be, in parts of a page."""

FIGURE_DPI = 150

WIDTH = 104
"""Characters in a line."""

NOTICE = "Research use only. Not a medical device; not for clinical decisions."

SIGNATURES = ("Evaluated by", "Reviewed by (medical physicist)", "Approved for local use by")


def write_pdf(path: Path, result: Evaluation, figures: Sequence[Figure]) -> None:
    """Write failures, tables, figures, limits and a block for signatures.

    Args:
        path: PDF file, replaced atomically.
        result: Of `evaluate`.
        figures: Of spread and volumes, and of cases, in order.
    """
    from matplotlib.backends.backend_pdf import PdfPages

    with replacing(path) as temporary, PdfPages(temporary, metadata={"Title": "Commissioning report"}) as pages:
        for lines in _in_pages(list(_text(result))):
            pages.savefig(_text_page(lines))
        for page in _figure_pages(figures):
            pages.savefig(page)
        pages.savefig(_last_page(result))


def _text(result: Evaluation) -> Iterator[str]:
    """Lines of the part in words and tables; headings begin with '# '."""
    yield "# Commissioning report: agreement of automatic contours with references"
    for heading, text in commissioning.about(result):
        yield from _wrapped(f"{heading}: {text}")
    failures = result.failures()
    yield ""
    yield f"# Failures: {len(failures)} of {len(result.rows)} comparisons"
    for row in failures:
        yield from _wrapped(f"{row.structure}, case {row.case}: {row.failure}")
    if not failures:
        yield "None was missed, invented, elsewhere or poor."
    yield from _wrapped(commissioning.rule_of_three(result.summary()))
    yield ""
    yield "# Structures"
    yield "Mean ± standard deviation over cases (median, lowest to highest)"
    for summary in result.summary():
        yield ""
        yield f"# {summary.structure}"
        yield f"{summary.cases} case(s), {summary.missed} missed, {summary.invented} invented"
        for (_, heading, _), cell in zip(commissioning.COLUMNS, commissioning.cells(summary), strict=True):
            yield f"  {heading:<28}{cell[0]:<20}{cell[1]}"
        yield f"  {'pooled over cases':<28}{commissioning.pooled_text(summary)}"
        published = commissioning.observers_text(observer_agreement(summary.structure))
        if published:
            yield from _wrapped(published)
    yield ""
    yield "# Cases"
    headings = ("Dice", "IoU", "sDice", "HD95", "MSD", "added", "volume", "center")
    yield from _wrapped(
        "Columns: Dice, IoU, surface Dice, HD95 (mm), mean surface distance (mm), added path length (mm), volume "
        "difference (ml), centroid distance (mm)"
    )
    for summary in result.summary():
        yield ""
        yield f"{summary.structure[:24]:<25}" + "".join(f"{heading:>9}" for heading in headings)
        for case, numbers, _ in commissioning.case_rows(result.of(summary.structure)):
            yield f"  {case[:22]:<23}" + "".join(f"{text:>9}" for text in numbers)
    if result.notes:
        yield ""
        yield "# Notes"
        for note in result.notes:
            yield from _wrapped(note)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ")


def _in_pages(lines: Sequence[str]) -> Iterator[Sequence[str]]:
    """Divide at empty lines, as late as the page allows; within a paragraph only where it is longer than a page."""
    while len(lines) > LINES:
        empty = [place for place in range(1, LINES + 1) if not lines[place]]
        end = empty[-1] if empty else LINES
        yield lines[:end]
        lines = lines[end + bool(empty) :]
    yield lines


def _page() -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=A4_INCHES, facecolor="white")
    figure.text(0.07, 0.965, NOTICE, fontsize=8, color="#8a5a00", weight="bold")
    return figure


def _text_page(lines: Sequence[str]) -> Figure:
    figure = _page()
    for number, line in enumerate(lines):
        heading = line.startswith("# ")
        figure.text(
            0.07,
            0.94 - number * 0.0122,
            line.removeprefix("# "),
            fontsize=9.5 if heading else 7.2,
            weight="bold" if heading else "normal",
            family="sans-serif" if heading else "monospace",
            parse_math=False,
        )
    return figure


def _figure_pages(figures: Sequence[Figure]) -> Iterator[Figure]:
    """Pages with figures one below the other, each as wide as the text unless it would be higher than a page."""
    from matplotlib.image import imread

    page, top = _page(), TOP
    for figure in figures:
        figure.set_dpi(FIGURE_DPI)
        picture = imread(io.BytesIO(png(figure)))
        wide = A4_INCHES[0] / A4_INCHES[1] * picture.shape[0] / picture.shape[1]
        width = min(TEXT_WIDTH, (TOP - BOTTOM) / wide)
        if top < TOP and top - width * wide < BOTTOM:
            yield page
            page, top = _page(), TOP
        panel = page.add_axes((LEFT, top - width * wide, width, width * wide))
        panel.imshow(picture, aspect="auto", interpolation="none")
        panel.set_axis_off()
        top -= width * wide + GAP
    if top < TOP:
        yield page


def _last_page(result: Evaluation) -> Figure:
    """What the numbers cannot tell, and the block for signatures."""
    figure = _page()
    figure.text(0.07, 0.93, "What the numbers cannot tell", fontsize=11, weight="bold")
    height = 0.905
    for limit in commissioning.LIMITS:
        lines = textwrap.wrap(limit, 108)
        figure.text(
            0.07, height, "\n".join(["- " + lines[0], *("  " + line for line in lines[1:])]), fontsize=8, va="top"
        )
        height -= 0.0145 * len(lines) + 0.009
    figure.text(0.07, 0.55, "Conclusion and restrictions (structures, scanners, patients)", fontsize=10, weight="bold")
    figure.add_artist(_frame(0.07, 0.40, 0.86, 0.14))
    figure.text(0.07, 0.36, "Signatures", fontsize=11, weight="bold")
    for number, role in enumerate(SIGNATURES):
        bottom = 0.29 - 0.085 * number
        figure.text(0.07, bottom + 0.045, role, fontsize=8)
        for left, width, label in ((0.07, 0.34, "name"), (0.45, 0.16, "date"), (0.65, 0.28, "signature")):
            figure.add_artist(_line(left, left + width, bottom))
            figure.text(left, bottom - 0.012, label, fontsize=6.5, color="0.4")
    return figure


def _frame(left: float, bottom: float, width: float, height: float) -> Rectangle:
    from matplotlib.patches import Rectangle

    return Rectangle((left, bottom), width, height, fill=False, edgecolor="0.5", linewidth=0.7)


def _line(left: float, right: float, height: float) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([left, right], [height, height], color="0.3", linewidth=0.7)
