"""Structures whose volume, position or intensity is far outside the rest of the cohort."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort.checks.facts import CaseFacts
from HQCSegmentLib.cohort.checks.finding import Finding
from HQCSegmentLib.cohort.checks.robust import ENOUGH_CASES, distances

FAR = 5.0
"""Robust standard deviations from the median that count as far outside: patients differ, and one in a million
normal values lies there."""

VOLUME_DEVIATION = 0.15
"""Least deviation of the logarithm of a volume: observers alone differ by this much."""

POSITION_DEVIATION_MM = 4.0
"""Least deviation of a position along one axis."""

INTENSITY_DEVIATION_HU = 15.0
"""Least deviation of a structure's median HU: contrast agent and scanners differ by more."""

TARGETS = ("GTV", "CTV", "PTV")
"""Structures that lie anywhere."""


def odd_volumes(cases: Sequence[CaseFacts], structures: Mapping[int, str]) -> list[Finding]:
    """Volumes far outside the rest, on a logarithmic scale."""
    findings = []
    for value, name in structures.items():
        volumes = {one.name: one.structures[value].millilitres for one in cases if value in one.structures}
        for case, far in _far_outside(volumes, least=VOLUME_DEVIATION, scale=np.log):
            than = "larger" if far > 0 else "smaller"
            message = (
                f"case {case}: {name} has {_millilitres(volumes[case])}, far {than} than usual in this cohort "
                f"(median {_millilitres(float(np.median(list(volumes.values()))))})."
            )
            advice = "Is the contour complete and of this structure? Keep it if it is."
            findings.append(Finding(case, name, "warning", "volume-outlier", message, advice))
    return findings


def odd_positions(cases: Sequence[CaseFacts], structures: Mapping[int, str]) -> list[Finding]:
    """Structures that lie elsewhere with respect to the other structures than in the rest of the cohort."""
    findings = []
    for value, name in structures.items():
        having = [one for one in cases if value in one.structures]
        if len(having) < ENOUGH_CASES or name.upper().startswith(TARGETS):
            continue
        far, shift = _displacements(value, having, structures)
        for one, times, offset in zip(having, far, shift, strict=True):
            if times > FAR:
                message = (
                    f"case {one.name}: {name} lies about {offset:.0f} mm from where it usually is among the other "
                    "structures of this cohort."
                )
                advice = "Is it the right structure, side and image? Keep it if it is."
                findings.append(Finding(one.name, name, "warning", "position-outlier", message, advice))
    return findings


def _displacements(
    value: int, having: Sequence[CaseFacts], structures: Mapping[int, str]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """For each case, robust deviations and millimetres from the usual place, by the median over the other structures.

    One displaced structure is odd with respect to all others, while each of them is odd only with respect to it.
    """
    center = np.array([one.structures[value].center for one in having])
    far, shift = [], []
    for other, name in structures.items():
        if other == value or name.upper().startswith(TARGETS):
            continue
        places = np.array(
            [one.structures[other].center if other in one.structures else (np.nan,) * 3 for one in having]
        )
        there = np.isfinite(places[:, 0])
        if there.sum() < ENOUGH_CASES:
            continue
        offsets = (center - places)[there]
        times = [distances(offsets[:, axis], least=POSITION_DEVIATION_MM) for axis in range(3)]
        this_far, this_shift = np.full(len(having), np.nan), np.full(len(having), np.nan)
        this_far[there] = np.abs(times).max(axis=0)
        this_shift[there] = np.linalg.norm(offsets - np.median(offsets, axis=0), axis=1)
        far.append(this_far)
        shift.append(this_shift)
    if len(far) < 2:
        # With one other structure nobody can say which of the two is displaced.
        return np.zeros(len(having)), np.zeros(len(having))
    return _median(far), _median(shift)


def _median(rows: Sequence[npt.NDArray[np.float64]]) -> npt.NDArray[np.float64]:
    """Median of each column over its finite values; 0 where there is none."""
    table = np.array(rows)
    there = np.isfinite(table)
    result = np.zeros(table.shape[1])
    for column in np.flatnonzero(there.any(axis=0)):
        result[column] = np.median(table[there[:, column], column])
    return result


def odd_intensities(cases: Sequence[CaseFacts], structures: Mapping[int, str]) -> list[Finding]:
    """CT structures whose density is far outside the rest: a contour on something else, or another image."""
    findings = []
    for number in range(len(cases[0].channels) if cases else 0):
        offsets = {one.name: one.channels[number].offset for one in cases}
        where = f" in {cases[0].channels[number].subject}" if len(cases[0].channels) > 1 else ""
        for value, name in structures.items():
            medians = {
                one.name: one.structures[value].intensities[number] + offset
                for one in cases
                if value in one.structures and (offset := offsets[one.name]) is not None
            }
            for case, _ in _far_outside(medians, least=INTENSITY_DEVIATION_HU):
                message = (
                    f"case {case}: {name} has a median of {medians[case]:.0f} HU{where}, far from the usual "
                    f"{np.median(list(medians.values())):.0f} HU of this cohort."
                )
                advice = "Do image and contours belong together? Keep the case if they do."
                findings.append(Finding(case, name, "warning", "intensity-outlier", message, advice))
    return findings


def _far_outside(
    values: Mapping[str, float],
    *,
    least: float,
    scale: Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]] = lambda plain: plain,
) -> list[tuple[str, float]]:
    """Cases whose value is far outside the rest, with their robust deviations; none among too few cases.

    Args:
        values: Of each case, by its alias.
        least: Least deviation that counts as one, on the scale.
        scale: Makes deviations of equal meaning equal.
    """
    if len(values) < ENOUGH_CASES:
        return []
    far = distances(scale(np.array(list(values.values()))), least=least)
    return [(case, float(times)) for case, times in zip(values, far, strict=True) if abs(times) > FAR]


def _millilitres(volume: float) -> str:
    return f"{volume:.3g} ml"
