"""The check of a cohort as a page: findings, and a picture of every case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.checks import SEVERITIES, Finding, SeenCase
from HQCSegmentLib.evaluation.figures import thumbnail
from HQCSegmentLib.evaluation.pictures import data_url
from HQCSegmentLib.evaluation.templates import render
from HQCSegmentLib.files import write_text
from HQCSegmentLib.imaging import Image, Structure
from HQCSegmentLib.naming import structure_for

MOST_NAMES = 4
"""Findings of one kind about more structures of a case than this are shown in one line."""


@dataclass(frozen=True)
class FindingLine:
    """One or more findings of the same kind about one case, for a person to read.

    Attributes:
        case: Case name, or empty for the whole cohort.
        structures: Their structures, in words.
        severity: Of all of them.
        text: What is wrong and what to do.
    """

    case: str
    structures: str
    severity: str
    text: str


def finding_lines(findings: Sequence[Finding]) -> list[FindingLine]:
    """Findings, gravest first, with many of one kind about one case in one line."""
    groups: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.case, finding.code), []).append(finding)
    lines = []
    for (severity, case, _), group in sorted(groups.items(), key=lambda item: SEVERITIES.index(item[1][0].severity)):
        if len(group) <= MOST_NAMES:
            lines += [FindingLine(case, one.structure, severity, _without_case(one)) for one in group]
            continue
        names = ", ".join(one.structure for one in group[: MOST_NAMES - 1])
        others = len(group) - MOST_NAMES + 1
        text = f"{_without_case(group[0])} The same holds for {others + MOST_NAMES - 2} other structures."
        lines.append(FindingLine(case, f"{names} and {others} more", severity, text))
    return lines


@dataclass
class CheckPictures:
    """Takes a small picture of each case while its voxels are in memory."""

    pictures: dict[str, str] = field(default_factory=dict)

    def take(self, seen: SeenCase) -> None:
        """Draw one case."""
        structures = [structure_for(name, value) for value, name in seen.structures.items()]
        self._draw(seen.name, seen.labelled.image, seen.labelled.label, structures)

    def take_image(self, name: str, image: Image) -> None:
        """Draw an image without contours."""
        self._draw(name, image, None, [])

    def _draw(
        self, name: str, image: Image, label: npt.NDArray[np.integer] | None, structures: Sequence[Structure]
    ) -> None:
        voxels = image.array if np.isfinite(image.array).all() else np.nan_to_num(image.array, posinf=0, neginf=0)
        self.pictures[name] = data_url(thumbnail(voxels, image.affine, label, structures))


def write_check_report(
    path: Path,
    findings: Sequence[Finding],
    *,
    cases: Sequence[str],
    pictures: dict[str, str],
    about: str,
) -> None:
    """Write the page, complete in one file.

    Args:
        path: HTML file.
        findings: Of the check.
        cases: Names of all cases, in order.
        pictures: `src` of the picture of each case that could be read.
        about: What was checked, as a sentence.
    """
    lines = finding_lines(findings)
    html = render(
        "check.html.j2",
        about=about,
        count={kind: sum(finding.severity == kind for finding in findings) for kind in SEVERITIES},
        general=[line for line in lines if not line.case],
        cases=[(name, pictures.get(name), [line for line in lines if line.case == name]) for name in cases],
    )
    write_text(path, html)


def _without_case(finding: Finding) -> str:
    """Message without the name of the case, which stands beside it."""
    return finding.text.removeprefix(f"case {finding.case}: ").removeprefix(f"{finding.case}: ")
