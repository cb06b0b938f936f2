"""Which steps of post-processing a structure gets: those that raise Dice on cases that the model was not trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.bundle.postprocessing import PostProcessing
from HQCSegmentLib.evaluation.metrics import dice
from HQCSegmentLib.imaging.structure import Structure
from HQCSegmentLib.inference.postprocessing.apply import postprocess

LEAST_GAIN = 1e-4
"""A step has to raise the mean Dice by this much to be kept: less is nothing that a reader of contours could see."""

SMOOTHING_MM = (0.5, 1.0, 2.0)


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


def choose_postprocessing(cases: Sequence[Prediction], structures: Sequence[Structure]) -> dict[str, PostProcessing]:
    """Steps for each structure, by name; structures that get none are left out.

    One step after the other is tried on top of those already chosen, and kept only if it raises the mean Dice of the
    structure over the cases. At the end all steps are done together, and a structure keeps its steps only if its Dice
    is not lower than without any.

    Args:
        cases: Held-out cases, or the out-of-fold predictions of all.
        structures: Of the model.
    """
    before = {one.name: _dice(cases, one, None, structures) for one in structures}
    chosen: dict[str, PostProcessing] = {}
    for structure in structures:
        best, steps = before[structure.name], PostProcessing()
        if best is None:
            continue
        for group in _candidates(structure, structures, cases):
            for changes in group:
                trial = steps.model_copy(update=changes)
                found = _dice(cases, structure, {structure.name: trial}, structures)
                if found is not None and found >= best + LEAST_GAIN:
                    best, steps = found, trial
        if not steps.does_nothing:
            chosen[structure.name] = steps
    return _without_losers(chosen, before, cases, structures)


def _without_losers(
    chosen: dict[str, PostProcessing],
    before: Mapping[str, float | None],
    cases: Sequence[Prediction],
    structures: Sequence[Structure],
) -> dict[str, PostProcessing]:
    """Structures touch: what one gives back another may take. Steps are dropped until no structure is worse."""
    while chosen:
        worse = {
            one.name: loss
            for one in structures
            if (old := before[one.name]) is not None
            and (loss := old - (_dice(cases, one, chosen, structures) or 0.0)) > 0
        }
        if not worse:
            break
        # The loser itself, or, where it has no steps, all that were chosen: nothing tells whose steps took its voxels.
        losers = set(worse) & set(chosen) or set(chosen)
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


def _dice(
    cases: Sequence[Prediction],
    structure: Structure,
    settings: Mapping[str, PostProcessing] | None,
    structures: Sequence[Structure],
) -> float | None:
    """Mean Dice of a structure over the cases where it was drawn; None where it never was."""
    found = []
    for case in cases:
        if structure.value not in case.known:
            continue
        label = case.predicted
        if settings:
            label = postprocess(label, structures=structures, settings=settings, spacing=case.spacing)
        found.append(dice(label == structure.value, case.reference == structure.value))
    return float(np.mean(found)) if found else None
