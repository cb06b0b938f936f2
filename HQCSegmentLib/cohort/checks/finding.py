"""One thing found in a cohort."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Gravest first."""


@dataclass(frozen=True)
class Finding:
    """One thing found in a cohort.

    Attributes:
        case: Case name, or empty for the whole cohort.
        structure: Structure name, or empty.
        severity: An error keeps the case from being trained on, or makes what is learned from it wrong.
        code: Short fixed word for programs.
        message: One sentence for people: where and what.
        advice: What to do, as a sentence; empty where the message says it.
    """

    case: str
    structure: str
    severity: Severity
    code: str
    message: str
    advice: str = ""

    @property
    def text(self) -> str:
        """What is wrong and what to do."""
        return f"{self.message} {self.advice}".strip()

    def as_dict(self) -> dict[str, str]:
        """For JSON; the message says what to do, too."""
        return {
            "case": self.case,
            "structure": self.structure,
            "severity": self.severity,
            "code": self.code,
            "message": self.text,
        }


def unexpected(case: str, error: Exception) -> Finding:
    """A case that could not be read for a reason that nobody thought of."""
    message = f"case {case}: it cannot be read (unexpected {type(error).__name__}, a fault of HQCSegment)."
    return Finding(case, "", "error", "unusable", message, "Export it again, or leave it out, and report the fault.")


def plural(number: int, noun: str) -> str:
    """A number with its noun: 1 voxel, 3 voxels."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
