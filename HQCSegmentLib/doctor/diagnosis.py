"""All examinations, in the order in which a lack of one spoils the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

State = Literal["good", "note", "missing"]


@dataclass(frozen=True)
class Diagnosis:
    """One thing that was looked at.

    Attributes:
        subject: What was looked at.
        state: good; note: work is possible, but; missing: work is not possible.
        found: What is there, in words.
        advice: What to do; empty if nothing.
    """

    subject: str
    state: State
    found: str
    advice: str = ""


def diagnose() -> Iterator[Diagnosis]:
    """Look at packages, devices, memory and disk, and try a circuit and a training step.

    Each diagnosis is given as soon as it is made. The trials are left out where a package is missing.
    """
    from HQCSegmentLib.doctor.machine import disks, memory, processor
    from HQCSegmentLib.doctor.packages import packages, python

    yield python()
    complete = True
    for diagnosis in packages():
        complete = complete and diagnosis.state != "missing"
        yield diagnosis
    yield processor()
    yield memory()
    yield from disks()
    if complete:
        from HQCSegmentLib.doctor.trials import circuits, devices

        yield circuits()
        yield from devices()
