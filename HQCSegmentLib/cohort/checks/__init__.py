"""Checking a cohort before anything is trained on it.

One module a family of checks. A check of a case sees its voxels; a check of the cohort sees the small summaries of
all readable cases. Each returns findings; adding one means adding it to a list here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from HQCSegmentLib.cohort.aliases import without_folder
from HQCSegmentLib.cohort.checks import contours, duplicates, geometry, intensities, names, outliers, sides
from HQCSegmentLib.cohort.checks.facts import CaseFacts, SeenCase, facts_of
from HQCSegmentLib.cohort.checks.finding import SEVERITIES, Finding, Severity, unexpected
from HQCSegmentLib.cohort.cohort import Cohort
from HQCSegmentLib.errors import InputError

__all__ = ["SEVERITIES", "CaseFacts", "Finding", "SeenCase", "Severity", "Watcher", "check", "examine"]

CASE_CHECKS: tuple[Callable[[SeenCase], list[Finding]], ...] = (
    geometry.odd_grid,
    geometry.nifti_orientation,
    intensities.few_values,
    intensities.hounsfield_range,
    intensities.glaring_voxels,
    intensities.same_image_twice,
    contours.read_with_notes,
    contours.presence,
    contours.tiny_islands,
    contours.gaps,
)
"""Of one case with an image that has content."""


@dataclass(frozen=True)
class Watcher:
    """What is told of an examination while it goes on.

    Attributes:
        read: Called with each readable case while its voxels are in memory.
        done: Called with the number of cases done.
    """

    read: Callable[[SeenCase], None] = lambda _: None
    done: Callable[[int], None] = lambda _: None


def check(cohort: Cohort) -> list[Finding]:
    """Read every case and report what is wrong or odd with it and with the cohort."""
    return examine(cohort)


def examine(cohort: Cohort, *, watcher: Watcher | None = None) -> list[Finding]:
    """As `check`, telling a watcher how far it is."""
    watcher = watcher or Watcher()
    findings: list[Finding] = []
    facts: list[CaseFacts] = []
    for number, case in enumerate(cohort.cases, start=1):
        try:
            seen = SeenCase(case, case.read(cohort.structures), cohort.structures, cohort.channels)
        except InputError as error:
            findings.append(Finding(case.name, "", "error", error.code, without_folder(str(error), case)))
        except Exception as error:
            # One strange file must not keep the others from being looked at; a message may quote a patient.
            findings.append(unexpected(case.name, error))
        else:
            findings += check_case(seen)
            facts.append(facts_of(seen))
            watcher.read(seen)
        watcher.done(number)
    return findings + check_together(cohort, facts)


def check_case(seen: SeenCase) -> list[Finding]:
    """What is wrong or odd with one case by itself."""
    empty = intensities.nothing_seen(seen)
    return empty or [finding for one in CASE_CHECKS for finding in one(seen)]


def check_together(cohort: Cohort, facts: Sequence[CaseFacts]) -> list[Finding]:
    """What is wrong or odd with cases beside each other."""
    structures = cohort.structures
    findings = [
        *sides.swapped_in_all(facts, structures),
        *outliers.odd_volumes(facts, structures),
        *outliers.odd_positions(facts, structures),
        *outliers.odd_intensities(facts, structures),
        *geometry.odd_spacings(facts),
        *intensities.mixed_scales(facts),
        *duplicates.same_image(facts),
        *duplicates.same_patient(cohort.cases),
        *contours.never_drawn(facts, structures),
        *contours.rarely_drawn(facts, structures),
        *names.unclear_names(structures.values()),
    ]
    if len(cohort.cases) == 1:
        message = "the cohort has one case: training works, but nothing is held out to judge the result by."
        advice = "Add cases of other patients to know how good the model is."
        findings.append(Finding("", "", "warning", "one-case", message, advice))
    return findings
