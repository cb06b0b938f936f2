"""Looking at a cohort before it is trained on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from HQCSegmentLib.errors import WorkError
from HQCSegmentSlicer.scene_cohort import Cohort, Overlap, cohort_folder
from HQCSegmentSlicer.steps import Steps
from HQCSegmentSlicer.tasks.task import Outcome, Task, private_folder

ERRORS_FOUND = 2
"""Exit code of the check where patients have errors; findings are there all the same."""


@dataclass(frozen=True)
class CheckResult:
    """What a check found.

    Attributes:
        layout: How the folder is laid out, in words.
        cases: Aliases of the patients.
        structures: Names under which structures are learned.
        local_names: Names as the files have them.
        findings: With the keys case, structure, severity, code and message.
        page: HTML page with a picture of every patient.
        notes: Sentences on what was chosen or left out.
    """

    layout: str
    cases: tuple[str, ...]
    structures: tuple[str, ...]
    local_names: tuple[str, ...]
    findings: tuple[dict[str, str], ...]
    page: Path | None
    notes: tuple[str, ...] = ()

    def count(self, severity: str, case: str | None = None) -> int:
        """Findings of a severity, of one case or of all."""
        return sum(one["severity"] == severity and case in (None, one["case"]) for one in self.findings)


def check_task(cohort: Cohort, page: Path | None = None) -> Steps[Task]:
    """Steps to the task whose result is a CheckResult.

    Args:
        cohort: Folder, or pairs of volume and segmentation nodes.
        page: Where to write the page with pictures; None: no page.

    Raises:
        InputError: if a pair of nodes cannot be used.
    """
    with private_folder() as folder:
        source, overlaps = yield from cohort_folder(cohort, folder / "cohort")
        findings = folder / "findings.json"
    words: list[str | Path] = ["check", source, "--json", findings]
    if page is not None:
        words += ["--html", page]

    def take_result(outcome: Outcome) -> CheckResult:
        if not findings.is_file():
            raise WorkError(_("The check ended without findings."))
        found: list[dict[str, Any]] = json.loads(findings.read_text(encoding="utf-8"))
        done = outcome.done
        return CheckResult(
            layout=str(done.get("layout", "")),
            cases=tuple(done.get("cases", ())),
            structures=tuple(done.get("structures", ())),
            local_names=tuple(done.get("local_names", ())),
            findings=(*found, *(_finding(overlap) for overlap in overlaps)),
            page=page if page is not None and page.is_file() else None,
            notes=tuple(done.get("notes", ())),
        )

    return Task(tuple(words), take_result, folder, done_codes=frozenset({0, ERRORS_FOUND}))


def _finding(overlap: Overlap) -> dict[str, str]:
    return {
        "case": overlap.case,
        "structure": overlap.cut,
        "severity": "note",
        "code": "overlap",
        "message": str(overlap),
    }
