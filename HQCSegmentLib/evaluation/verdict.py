"""Whether a model is good enough to be tried on the next patient, and where it is weak: one answer from few numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

Grade = Literal["good", "fair", "weak"]

GOOD_DICE, GOOD_SURFACE_DICE = 0.8, 0.9
"""A structure is good where every held-out case reaches one of the two: small structures have a low Dice even where
their surface is right."""

WEAK_MEAN_DICE, WEAK_LOWEST_DICE = 0.7, 0.5
"""A structure is weak where its mean or its worst case lies below. Rules of thumb, not clinical limits."""

FEW_CASES = 4


@dataclass(frozen=True)
class StructureVerdict:
    """One structure over the held-out cases.

    Attributes:
        name: Of the structure.
        cases: In which it is drawn.
        mean_dice: Over these.
        lowest_dice: Over these.
        worst_case: Alias of the case with the lowest Dice.
        surface_dice: Mean; None if it was not measured.
        grade: In one word.
    """

    name: str
    cases: int
    mean_dice: float
    lowest_dice: float
    worst_case: str
    surface_dice: float | None
    grade: Grade


@dataclass(frozen=True)
class Verdict:
    """The answer.

    Attributes:
        headline: In one sentence.
        why: In one or two more.
        grade: Of the model as a whole; None where nothing is known.
        structures: The weakest first.
    """

    headline: str
    why: str
    grade: Grade | None
    structures: tuple[StructureVerdict, ...]


Scores = Sequence[tuple[str, Mapping[str, float], Mapping[str, float]]]
"""Alias, Dice and surface Dice of each case."""


def judge_structures(cases: Scores) -> tuple[StructureVerdict, ...]:
    """Each structure over the cases, the weakest first."""
    names = dict.fromkeys(name for _, dice, _ in cases for name in dice)
    verdicts = [_of_structure(name, cases) for name in names]
    return tuple(sorted(verdicts, key=lambda one: (("weak", "fair", "good").index(one.grade), one.mean_dice)))


def _of_structure(name: str, cases: Scores) -> StructureVerdict:
    drawn = [(dice[name], surface.get(name), case) for case, dice, surface in cases if name in dice]
    lowest, _, worst = min(drawn, key=lambda row: row[0])
    mean = float(np.mean([row[0] for row in drawn]))
    surfaces = [row[1] for row in drawn if row[1] is not None]
    is_good = all(row[0] >= GOOD_DICE or (row[1] or 0) >= GOOD_SURFACE_DICE for row in drawn)
    grade: Grade = "good" if is_good else "fair"
    if not is_good and (mean < WEAK_MEAN_DICE or lowest < WEAK_LOWEST_DICE):
        grade = "weak"
    return StructureVerdict(
        name, len(drawn), mean, lowest, worst, float(np.mean(surfaces)) if surfaces else None, grade
    )


def judge_model(cases: Scores, *, folds: int, labels: Sequence[str]) -> Verdict:
    """The answer for a model.

    Args:
        cases: Held-out cases.
        folds: Number of folds that they come from; 0: held out by the run itself.
        labels: Structures of the model; those that no held-out case has drawn are named.
    """
    structures = judge_structures(cases)
    if not structures:
        return Verdict(
            "Nobody knows yet how good this model is.",
            "No case was held out. Judge it on patients that it was not trained on (hqcsegment evaluate), or train "
            "with --folds.",
            None,
            (),
        )
    weak, fair = ([one.name for one in structures if one.grade == grade] for grade in ("weak", "fair"))
    usable = [one.name for one in structures if one.grade != "weak"]
    if not usable:
        headline, grade = "Not good enough yet to try on the next patient.", "weak"
    elif len(weak) > len(usable):
        headline, grade = f"Try it on the next patient for {_and(usable)} only; the others are too weak.", "weak"
    elif weak:
        headline, grade = f"Try it on the next patient, but not for {_and(weak)}.", "weak"
    elif fair:
        headline, grade = f"Worth trying on the next patient; expect corrections of {_and(fair)}.", "fair"
    else:
        headline, grade = "Worth trying on the next patient, with the usual check of every contour.", "good"
    in_folds = f"in {folds} folds, each by a model that was not trained on it"
    why = f"Measured on {len(cases)} held-out case(s) {in_folds if folds else 'that this model was not trained on'}."
    if len(cases) < FEW_CASES:
        why += " So few cases say little about others: the next patient may be clearly better or worse."
    unmeasured = [name for name in labels if name not in {one.name for one in structures}]
    if unmeasured:
        why += f" Not measured, since no held-out case has it drawn: {_and(unmeasured)}."
    return Verdict(headline, why, grade, structures)  # type: ignore[arg-type]


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
