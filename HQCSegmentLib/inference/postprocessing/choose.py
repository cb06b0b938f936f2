"""Which steps of post-processing a structure gets: those that raise Dice on cases that the model was not trained on."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.bundle.postprocessing import PostProcessing
from HQCSegmentLib.evaluation.metrics import dice
from HQCSegmentLib.imaging.structure import Structure
from HQCSegmentLib.inference.postprocessing.apply import postprocess

T = TypeVar("T")

LEAST_GAIN = 1e-4
"""A step has to raise the mean Dice by this much to be kept: less is nothing that a reader of contours could see."""

SMOOTHING_MM = (0.5, 1.0, 2.0)

ROOM = 8
"""Voxels around what is predicted or drawn that are kept of a case."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What the network made of a case that it was not trained on.

    Attributes:
        predicted: Label map, (i, j, k), with the values of the structures.
        reference: Label map of the drawn contours on the same grid.
        known: Values of the structures that were drawn.
        spacing: Millimetres along i, j, k.
    """

    predicted: npt.NDArray[np.unsignedinteger]
    reference: npt.NDArray[np.unsignedinteger]
    known: frozenset[int]
    spacing: tuple[float, float, float]

    def cropped(self) -> Prediction:
        """Only the box where something is predicted or drawn, with room for steps that add voxels around it."""
        box = []
        for axis in range(3):
            others = tuple(one for one in range(3) if one != axis)
            there = np.flatnonzero((self.predicted > 0).any(axis=others) | (self.reference > 0).any(axis=others))
            first, last = (int(there[0]), int(there[-1])) if len(there) else (0, 0)
            box.append(slice(max(0, first - ROOM), last + ROOM + 1))
        inside = (box[0], box[1], box[2])
        return Prediction(self.predicted[inside].copy(), self.reference[inside].copy(), self.known, self.spacing)


@dataclass(frozen=True)
class Choice:
    """Steps for structures, and what they are worth on cases that did not choose them.

    Attributes:
        steps: For each structure that gets some, by name.
        gain: What they add to its mean Dice where every case gets the steps that the other cases chose.
    """

    steps: dict[str, PostProcessing]
    gain: dict[str, float]


def choose_postprocessing(cases: Sequence[Prediction], structures: Sequence[Structure]) -> dict[str, PostProcessing]:
    """Steps for each structure, by name; structures that get none are left out.

    One step after the other is tried on top of those already chosen, and kept only if it raises the mean Dice of the
    structure over the cases. At the end all steps are done together, and a structure keeps its steps only if its Dice
    is not lower than without any.

    Args:
        cases: Held-out cases, or the out-of-fold predictions of all.
        structures: Of the model.
    """
    return _choose(_Scores(cases, structures), range(len(cases)))


def choose_cross_fitted(cases: Sequence[Prediction], structures: Sequence[Structure]) -> Choice:
    """As `choose_postprocessing`, without structures whose steps do not help cases that had no part in the choice.

    For each case steps are chosen by all others and tried on it: so nothing is judged by what it was chosen by, and
    steps that help by chance are not taken.

    Args:
        cases: At least two held-out cases, or the out-of-fold predictions of all.
        structures: Of the model.
    """
    scores = _Scores(cases, structures)
    numbers = range(len(cases))
    chosen = _choose(scores, numbers)
    by_others = {number: _choose(scores, [one for one in numbers if one != number]) for number in numbers}
    while chosen:
        gain = {}
        for one in structures:
            tried = [
                scores.of_case(number, one.name, _only(steps, chosen)) - scores.of_case(number, one.name, {})
                for number, steps in by_others.items()
                if one.value in cases[number].known
            ]
            if tried:
                gain[one.name] = round(float(np.mean(tried)), 5)
        losers = {name for name, value in gain.items() if value < 0}
        if not losers:
            return Choice(chosen, _only(gain, chosen))
        # What is worse though it has no steps lost its voxels to others: nothing tells to which.
        losers = losers & set(chosen) or set(chosen)
        chosen = {name: steps for name, steps in chosen.items() if name not in losers}
    return Choice({}, {})


class _Scores:
    """Dice of cases after steps; each is computed once."""

    def __init__(self, cases: Sequence[Prediction], structures: Sequence[Structure]) -> None:
        self.cases = cases
        self.structures = structures
        self._found: dict[tuple[object, ...], float] = {}

    def of_case(self, number: int, name: str, steps: Mapping[str, PostProcessing]) -> float:
        """Dice of a structure in one case, where it was drawn."""
        key = (number, name, *sorted(steps.items(), key=lambda item: item[0]))
        if key not in self._found:
            case = self.cases[number]
            value = next(one.value for one in self.structures if one.name == name)
            label = postprocess(case.predicted, structures=self.structures, settings=steps, spacing=case.spacing)
            self._found[key] = dice(label == value, case.reference == value)
        return self._found[key]

    def mean(self, numbers: Sequence[int], structure: Structure, steps: Mapping[str, PostProcessing]) -> float | None:
        """Mean Dice of a structure over the cases where it was drawn; None where it never was."""
        found = [
            self.of_case(number, structure.name, steps)
            for number in numbers
            if structure.value in self.cases[number].known
        ]
        return float(np.mean(found)) if found else None


def _choose(scores: _Scores, numbers: Sequence[int]) -> dict[str, PostProcessing]:
    structures = scores.structures
    before = {one.name: scores.mean(numbers, one, {}) for one in structures}
    chosen: dict[str, PostProcessing] = {}
    for structure in structures:
        best, steps = before[structure.name], PostProcessing()
        if best is None:
            continue
        for group in _candidates(structure, structures, [scores.cases[number] for number in numbers]):
            for changes in group:
                trial = steps.model_copy(update=changes)
                found = scores.mean(numbers, structure, {structure.name: trial})
                if found is not None and found >= best + LEAST_GAIN:
                    best, steps = found, trial
        if not steps.does_nothing:
            chosen[structure.name] = steps
    return _without_losers(chosen, before, scores, numbers)


def _only(values: Mapping[str, T], names: Container[str]) -> dict[str, T]:
    return {name: value for name, value in values.items() if name in names}


def _without_losers(
    chosen: dict[str, PostProcessing], before: Mapping[str, float | None], scores: _Scores, numbers: Sequence[int]
) -> dict[str, PostProcessing]:
    """Structures touch: what one gives back another may take. Steps are dropped until no structure is worse."""
    while chosen:
        worse = {
            one.name
            for one in scores.structures
            if (old := before[one.name]) is not None and (scores.mean(numbers, one, chosen) or 0.0) < old
        }
        if not worse:
            break
        # The loser itself, or, where it has no steps, all that were chosen: nothing tells whose steps took its voxels.
        losers = worse & set(chosen) or set(chosen)
        chosen = {name: steps for name, steps in chosen.items() if name not in losers}
    return chosen


def _candidates(
    structure: Structure, structures: Sequence[Structure], cases: Sequence[Prediction]
) -> Iterator[list[dict[str, object]]]:
    """Groups of alternatives, in the order in which the steps are done."""
    if structure.interpreted_type in ("GTV", "CTV"):
        yield [{"inside": one.name} for one in structures if one.interpreted_type == "ORGAN"]
    # Small parts of the smallest drawn volume: a whole structure is never below such a limit.
    smallest = [
        float((case.reference == structure.value).sum()) * float(np.prod(case.spacing)) / 1000
        for case in cases
        if structure.value in case.known and (case.reference == structure.value).any()
    ]
    if smallest:
        yield [{"minimum_ml": round(part * min(smallest), 4)} for part in (0.02, 0.1)]
    yield [{"largest_component": True}]
    yield [{"fill_holes": True}]
    yield [{"smoothing_mm": sigma} for sigma in SMOOTHING_MM]
