"""What a run tells while it goes on, and leaves behind: held-out scores, ranks, bundle and report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import nn

import HQCSegmentLib
from HQCSegmentLib import qpg
from HQCSegmentLib.bundle import Bundle, TrainingSummary
from HQCSegmentLib.cohort import Fingerprint, Split
from HQCSegmentLib.evaluation.held_out import Compared, write_held_out
from HQCSegmentLib.evaluation.training_report import write_training_report
from HQCSegmentLib.inference.postprocessing import Choice
from HQCSegmentLib.training.config import TrainConfig
from HQCSegmentLib.training.events import EventLog
from HQCSegmentLib.training.judging import Judgement, certainty_of, judge, mean_scores
from HQCSegmentLib.training.out_of_fold import (
    certainty_of_folds,
    chosen_postprocessing,
    predictions_of,
    read_predictions,
    write_predictions,
)
from HQCSegmentLib.training.outlook import tell_outlook
from HQCSegmentLib.training.plan import Plan
from HQCSegmentLib.training.preparing import JudgedCase
from HQCSegmentLib.training.team import Team

METHODS_WITHOUT_UPDATES = ("full", "norms")
"""Methods that leave no matrix of updates whose rank could be told."""


@dataclass(frozen=True)
class Run:
    """What is known of a run while it goes on.

    Attributes:
        plan: What was decided before training.
        config: What was asked for.
        parts: Cases to train on and to judge by.
        measured: Of the cohort.
        base_weights: SHA-256 of the base model's weights; None from scratch.
        trained: How many numbers are trained.
        method: How weights are changed; None where they are trained themselves.
        network: That is trained.
        held_out: Cases to judge by, prepared.
        out: Folder of the run.
        log: Of the events.
        team: Which processes train, and where.
    """

    plan: Plan
    config: TrainConfig
    parts: Split
    measured: Fingerprint
    base_weights: str | None
    trained: int
    method: qpg.MethodConfig | None
    network: nn.Module
    held_out: Sequence[JudgedCase]
    out: Path
    log: EventLog
    team: Team

    def check(self, step: int, network: nn.Module) -> float | None:
        """Tell ranks of the updates and held-out Dice of the network at a step; the mean Dice.

        The last step's Dice is left to `finish`, which measures the merged network, unless it decides which is best.
        """
        if self.config.method not in METHODS_WITHOUT_UPDATES:
            ranks = {name: vars(rank) for name, rank in qpg.update_ranks(network).items()}
            self.log.emit("ranks", step=step, layers=ranks)
        if not self.held_out or (step == self.plan.steps and self.config.patience is None):
            return None
        dice = self._tell(step, judge(network, self.held_out, self.plan.inference, team=self.team))
        return float(np.mean([*dice.values()]))

    def _tell(self, step: int, found: Sequence[Judgement]) -> dict[str, float]:
        """An event of the scores; mean Dice of each structure."""
        dice = mean_scores([one.dice for one in found])
        surface = mean_scores([one.surface_dice for one in found])
        told = {"dice": dice, "mean_dice": round(float(np.mean([*dice.values()])), 5)}
        self.log.emit("held-out", step=step, **told, **({"surface_dice": surface} if surface else {}))
        return dice

    def _write_held_out(self, found: Sequence[Judgement]) -> None:
        compared = [
            Compared(case.name, case.image, case.reference, one.prediction, one.dice, one.surface_dice)
            for case, one in zip(self.held_out, found, strict=True)
        ]
        if compared:
            write_held_out(self.out, compared, self.plan.labels)

    def _postprocessing(self, found: Sequence[Judgement]) -> Choice:
        """Steps chosen by the held-out cases; of a run with folds, by those of all folds, for the last model."""
        if self.config.folds is None:
            return chosen_postprocessing(predictions_of(found, self.held_out), self.plan.labels)
        if not found:
            return chosen_postprocessing(read_predictions(self.out), self.plan.labels)
        if self.team.leads:
            write_predictions(self.out, predictions_of(found, self.held_out))
        return Choice({}, {})

    def finish(self, step: int) -> Bundle:
        """Merge what the method generates, judge, and write bundle and report.

        Args:
            step: What the weights are of.
        """
        adapter = None
        if self.config.method != "full":
            adapter = qpg.adapter_state(self.network)
            qpg.merge(self.network)
        dice: dict[str, float] = {}
        found: Sequence[Judgement] = ()
        if self.held_out:
            found = judge(self.network, self.held_out, self.plan.inference, team=self.team, surface=True)
            dice = self._tell(step, found)
        if self.team.leads:
            self._write_held_out(found)
            tell_outlook(self.log, self.out, self.config)
        choice = self._postprocessing(found)
        summary = TrainingSummary(
            method=self.config.method,
            cases=len(self.parts.training),
            steps=step,
            seed=self.config.seed,
            trainable_numbers=self.trained,
            network_numbers=sum(parameter.numel() for parameter in self.network.parameters()),
            from_base=self.base_weights is not None,
            mirrored=self.config.flips,
            base_weights_sha256=self.base_weights,
            held_out_dice=dice,
            postprocessing_gain=choice.gain,
            certainty=certainty_of(found) if found else certainty_of_folds(self.out),
        )
        manifest = {
            "software": HQCSegmentLib.__version__,
            "network": self.plan.network,
            "labels": self.plan.labels,
            "preprocessing": self.plan.preprocessing,
            "inference": self.plan.inference,
            "fingerprint": self.measured,
            "training": summary,
            "postprocessing": choice.steps,
        }
        if self.team.leads:
            Bundle.write(
                self.out / "bundle",
                manifest=manifest,
                state=self.network.state_dict(),
                adapter=adapter,
                adapter_config=None if self.method is None else qpg.config_to_json(self.method),
            )
        self.team.wait()
        bundle = Bundle.open(self.out / "bundle")
        if self.team.leads:
            write_training_report(self.out, bundle.manifest)
        return bundle
