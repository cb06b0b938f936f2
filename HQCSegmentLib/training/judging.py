"""How good a network is on whole held-out images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from torch import nn

from HQCSegmentLib.bundle import Bundle, Certainty, Inference
from HQCSegmentLib.cohort import LabelMap
from HQCSegmentLib.evaluation.metrics import compare_masks, dice_per_structure
from HQCSegmentLib.inference import winning_outputs
from HQCSegmentLib.inference.confidence import ExpectedDice
from HQCSegmentLib.training.events import Preparing
from HQCSegmentLib.training.plan import Plan
from HQCSegmentLib.training.preparing import JudgedCase
from HQCSegmentLib.training.team import Team


@dataclass(frozen=True, eq=False)
class Judgement:
    """One held-out case.

    Attributes:
        case: Alias of the case.
        dice: Of each drawn structure.
        surface_dice: Of each drawn structure, at `evaluation.metrics.TOLERANCE_MM`; empty if not asked for.
        prediction: Output indices on the image's own grid, (i, j, k).
        expected: The Dice that the network's probabilities let expect, of each drawn structure; empty if not asked for.
    """

    case: str
    dice: dict[str, float]
    surface_dice: dict[str, float]
    prediction: LabelMap
    expected: dict[str, float] = field(default_factory=dict)


def judge(
    network: nn.Module,
    cases: Sequence[JudgedCase],
    inference: Inference,
    *,
    team: Team,
    surface: bool = False,
    told: Callable[[Sequence[JudgedCase]], Iterable[JudgedCase]] = iter,
) -> list[Judgement]:
    """Segment held-out images as a user would, and compare; each process of a team takes its share of the cases.

    Args:
        network: On its device.
        cases: Held-out cases.
        inference: How the network is slid over an image.
        team: The processes of the run.
        surface: Also measure the surface Dice and how sure the network is, which takes longer.
        told: Passes on the cases of this process one by one, and tells how far they are.
    """
    return team.collect([judge_one(network, case, inference, surface=surface) for case in told(team.share(cases))])


def judge_one(network: nn.Module, case: JudgedCase, inference: Inference, *, surface: bool = False) -> Judgement:
    """As `judge`, for one case."""
    certainty = ExpectedDice() if surface else None
    winner = winning_outputs(
        network,
        case.prepared,
        window=inference.window,
        slices=inference.slices,
        overlap=inference.overlap,
        within=case.within,
        expected=certainty,
    )
    dice = dice_per_structure(winner, case.reference, case.known)
    surfaces = {
        name: compare_masks(
            prediction=winner == value, reference=case.reference == value, spacing=case.prepared.source.spacing
        ).surface_dice
        for value, name in (case.known.items() if surface else ())
    }
    expected = certainty.dice() if certainty else []
    return Judgement(
        case.name, dice, surfaces, winner, {name: expected[value] for value, name in case.known.items() if expected}
    )


def judge_base(
    base: Bundle, plan: Plan, cases: Sequence[JudgedCase], *, team: Team, preparing: Preparing
) -> dict[str, float]:
    """Mean held-out Dice of a base model as it is, of each structure that it knows and that is drawn.

    Args:
        base: The model.
        plan: Of the run.
        cases: Held-out cases.
        team: The processes of the run.
        preparing: Is told how far it is.
    """
    names = {structure.name for structure in base.manifest.labels}
    known = [
        replace(case, known={value: name for value, name in case.known.items() if name in names}) for case in cases
    ]
    if not any(case.known for case in known):
        return {}
    network = base.build_for(plan.labels, plan.inputs).to(team.device)
    told = partial(preparing.each, work="judging")
    return mean_scores([one.dice for one in judge(network, known, plan.inference, team=team, told=told)])


def certainty_of(found: Sequence[Judgement]) -> dict[str, Certainty]:
    """How sure the network is of each structure, beside how right it is; without those that were found nowhere."""
    names = dict.fromkeys(name for case in found for name in case.expected)
    pairs = {
        name: [(case.expected[name], case.dice[name]) for case in found if name in case.expected] for name in names
    }
    means = {name: np.mean(values, axis=0) for name, values in pairs.items()}
    return {
        name: Certainty(cases=len(pairs[name]), expected=round(float(expected), 5), dice=round(float(dice), 5))
        for name, (expected, dice) in means.items()
        if expected > 1e-3
    }


def mean_scores(scores: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Mean of each structure over the cases that have it drawn."""
    values: dict[str, list[float]] = {}
    for case in scores:
        for name, value in case.items():
            values.setdefault(name, []).append(value)
    return {name: round(float(np.mean(found)), 5) for name, found in values.items()}
