"""Checking a cohort before anything is trained on it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np

from HQCSegmentLib.cohort.cohort import Cohort
from HQCSegmentLib.errors import InputError

Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing found in a cohort.

    Attributes:
        case: Case name, or empty for the whole cohort.
        structure: Structure name, or empty.
        severity: An error keeps the cohort from being trained on.
        code: Short fixed word for programs.
        message: One sentence for people.
    """

    case: str
    structure: str
    severity: Severity
    code: str
    message: str

    def as_dict(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def check(cohort: Cohort) -> list[Finding]:
    """Read every case and report what is wrong or odd with it."""
    findings: list[Finding] = []
    drawn: dict[int, int] = dict.fromkeys(cohort.structures, 0)
    for case in cohort.cases:
        try:
            labelled = case.read(cohort.structures)
        except InputError as error:
            findings.append(Finding(case.name, "", "error", "unusable", str(error)))
            continue
        image = labelled.image.array
        if not np.isfinite(image).all():
            message = f"case {case.name}: the image holds values that are not finite numbers."
            findings.append(Finding(case.name, "", "error", "not-finite", message))
        elif image.min() == image.max():
            message = f"case {case.name}: the image has the same value everywhere."
            findings.append(Finding(case.name, "", "error", "constant-image", message))
        for value, name in cohort.structures.items():
            if value not in labelled.known:
                message = f"case {case.name}: {name} is not drawn; it is left out of the loss for this case."
                findings.append(Finding(case.name, name, "note", "unknown-structure", message))
            elif not (labelled.label == value).any():
                message = f"case {case.name}: {name} has no voxels and counts as drawn empty."
                findings.append(Finding(case.name, name, "warning", "empty-structure", message))
            else:
                drawn[value] += 1
    for value, count in drawn.items():
        if count == 0:
            name = cohort.structures[value]
            message = f"structure {name} is not drawn in any readable case."
            findings.append(Finding("", name, "error", "never-drawn", message))
    if len(cohort.cases) == 1:
        message = "the cohort has one case: training works, but nothing is held out to judge the result by."
        findings.append(Finding("", "", "warning", "one-case", message))
    return findings
