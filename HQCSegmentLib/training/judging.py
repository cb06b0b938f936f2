"""How good a network is on whole held-out images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from HQCSegmentLib.bundle import Inference, PostProcessing
from HQCSegmentLib.cohort import LabelMap
from HQCSegmentLib.evaluation.metrics import compare_masks, dice_per_structure
from HQCSegmentLib.imaging import Structure
from HQCSegmentLib.inference import winning_outputs
from HQCSegmentLib.inference.postprocessing import Prediction, choose_postprocessing
from HQCSegmentLib.training.preparing import JudgedCase
from HQCSegmentLib.training.team import Team

CASES_TO_CHOOSE_BY = 3
"""Held-out cases from which post-processing is chosen; what helps one or two may be chance."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """One held-out case.

    Attributes:
        case: Alias of the case.
        dice: Of each drawn structure.
        surface_dice: Of each drawn structure, at `evaluation.metrics.TOLERANCE_MM`; empty if not asked for.
        prediction: Output indices on the image's own grid, (i, j, k).
    """

    case: str
    dice: dict[str, float]
    surface_dice: dict[str, float]
    prediction: LabelMap


def judge(
    network: nn.Module, cases: Sequence[JudgedCase], inference: Inference, *, team: Team, surface: bool = False
) -> list[Judgement]:
    """Segment held-out images as a user would, and compare; each process of a team takes its share of the cases.

    Args:
        network: On its device.
        cases: Held-out cases.
        inference: How the network is slid over an image.
        team: The processes of the run.
        surface: Also measure the surface Dice, which takes longer.
    """
    return team.collect([judge_one(network, case, inference, surface=surface) for case in team.share(cases)])


def judge_one(network: nn.Module, case: JudgedCase, inference: Inference, *, surface: bool = False) -> Judgement:
    """As `judge`, for one case."""
    winner = winning_outputs(network, case.prepared, window=inference.window, overlap=inference.overlap)
    dice = dice_per_structure(winner, case.reference, case.known)
    surfaces = {
        name: compare_masks(
            prediction=winner == value, reference=case.reference == value, spacing=case.prepared.source.spacing
        ).surface_dice
        for value, name in (case.known.items() if surface else ())
    }
    return Judgement(case.name, dice, surfaces, winner)


def mean_scores(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each structure over the cases that have it drawn."""
    values: dict[str, list[float]] = {}
    for case in scores:
        for name, value in case.items():
            values.setdefault(name, []).append(value)
    return {name: round(float(np.mean(found)), 5) for name, found in values.items()}


def chosen_postprocessing(
    found: Sequence[Judgement], cases: Sequence[JudgedCase], labels: Sequence[Structure]
) -> dict[str, PostProcessing]:
    """Post-processing that raises the Dice of the judged cases; none where these are too few to tell."""
    if len(found) < CASES_TO_CHOOSE_BY:
        return {}
    by_name = {case.name: case for case in cases}
    # Predictions hold the network's outputs, not the values of the labels.
    outputs = [structure.model_copy(update={"value": index}) for index, structure in enumerate(labels, start=1)]
    predictions = [
        Prediction(
            one.prediction,
            by_name[one.case].reference,
            frozenset(by_name[one.case].known),
            by_name[one.case].prepared.source.spacing,
        )
        for one in found
    ]
    return choose_postprocessing(predictions, outputs)
