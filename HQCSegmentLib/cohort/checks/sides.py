"""Left and right exchanged: names that end in a side, against where the structures lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from HQCSegmentLib.cohort.checks.facts import CaseFacts
from HQCSegmentLib.cohort.checks.finding import Finding
from HQCSegmentLib.naming import side_of

SIDE_MARGIN_MM = 10.0
"""A one-sided structure counts as on the wrong side of structures without a side when it lies this far beyond them:
tumors push the midline by less."""

MIDLINE = (
    "SpinalCord", "SpinalCanal", "Brainstem", "Brain", "Larynx", "Trachea", "Esophagus", "OpticChiasm", "Pituitary",
    "Prostate", "Rectum", "Bladder", "Bone_Mandible",
)  # fmt: skip
"""TG-263 names of structures that lie in the middle of the body."""


def swapped_sides(case: CaseFacts, structures: Mapping[int, str]) -> list[Finding]:
    """Pairs that lie the wrong way round; and single ones on the wrong side of the body's middle."""
    position = {
        name: case.structures[value].center[0] for value, name in structures.items() if value in case.structures
    }
    sided = {name: side_of(name) for name in position}
    middle = [position[name] for name in position if name in MIDLINE]
    findings = []
    for name, side in sided.items():
        if side is None:
            continue
        partner = next(
            (
                other
                for other, there in sided.items()
                if there is not None and there.base == side.base and there.letter != side.letter
            ),
            None,
        )
        if partner is not None:
            # Said once for the pair.
            if side.letter == "L" and position[name] > position[partner]:
                message = f"case {case.name}: {name} lies to the patient's right of {partner}: the sides are swapped."
                findings.append(_swapped(case, name, message))
        elif middle:
            # Right is where R grows.
            beyond = (position[name] - float(np.median(middle))) * (1 if side.letter == "L" else -1)
            if beyond > SIDE_MARGIN_MM:
                wrong = "right" if side.letter == "L" else "left"
                message = f"case {case.name}: {name} lies {beyond:.0f} mm to the patient's {wrong} of the middle."
                findings.append(_swapped(case, name, message))
    return findings


def swapped_in_all(cases: Sequence[CaseFacts], structures: Mapping[int, str]) -> list[Finding]:
    """Every case."""
    return [finding for case in cases for finding in swapped_sides(case, structures)]


def _swapped(case: CaseFacts, name: str, message: str) -> Finding:
    advice = "Exchange the names, or, if the image itself is mirrored, export it again with its orientation."
    return Finding(case.name, name, "error", "sides-swapped", message, advice)
