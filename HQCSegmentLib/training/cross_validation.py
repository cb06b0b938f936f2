"""Cross-validation: every patient is held out once, so that few patients judge a model trained on all of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from HQCSegmentLib.bundle import Bundle
from HQCSegmentLib.cohort import Cohort, Split, folds
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import write_json
from HQCSegmentLib.training.config import TrainConfig
from HQCSegmentLib.training.events import Event, OnEvent
from HQCSegmentLib.training.fold_models import check_possible, put_together
from HQCSegmentLib.training.judging import mean_scores
from HQCSegmentLib.training.run import finetune, finish
from HQCSegmentLib.training.team import Team

SUMMARY = "folds.json"
"""File of the settings, the splits, and the held-out Dice of each fold and over all of them."""


def cross_validate(
    cohort: Cohort,
    *,
    base: Bundle | str | Path | None,
    config: TrainConfig,
    out: Path,
    on_event: OnEvent | None,
    resume: bool,
    cache: bool = True,
) -> Bundle:
    """Train once for every fold in `out/fold1`, `out/fold2`, ..., and then on all cases in `out` itself.

    With `config.after_folds` the models of the folds are put together in place of the last run.

    With fewer patients than folds each patient is held out alone; a single one is only trained on. A resumed run goes
    on with the fold that it was interrupted in.

    Returns:
        The bundle that was trained on all cases, or all folds' together; how good it is, is told by `folds.json`.

    Raises:
        InputError: if `held_out` was asked for too, `out` holds a run already, or as `finetune`.
    """
    if config.held_out is not None:
        msg = "folds hold out every patient once; leave held_out out."
        raise InputError(msg)
    if not resume and any((out / name).exists() for name in (SUMMARY, "config.json")):
        msg = f"{out} already holds a run; continue it with --resume, or choose another folder."
        raise InputError(msg)
    # Before one of several processes writes, all have looked whether there is a run.
    team = Team.gather(device=config.device, precision=config.precision)
    team.wait()
    if base is not None and not isinstance(base, Bundle):
        base = Bundle.open(base)
    check_possible(config, from_base=base is not None)
    parts = folds(cohort.cases, number=config.folds or 2, seed=config.seed)
    if not parts:
        # The run says itself that nothing judges it.
        config = config.model_copy(update={"folds": None, "after_folds": "all"})
    runs = len(parts) + (config.after_folds == "all")

    def run(part: Split, folder: Path, *, on_event: OnEvent | None) -> Bundle:
        # The first fold measures how much fits into its share of the time; the others do as much.
        first = out / "fold1"
        options: dict[str, Any] = {
            "base": base,
            "config": config,
            "on_event": on_event,
            "parts": part,
            "cache": cache,
            "budget_share": 1 / runs,
            "measured_in": first if parts and folder != first else None,
        }
        return finish(cohort, out=folder, **options) if resume else finetune(cohort, out=folder, **options)

    dice: list[dict[str, float]] = []
    if parts and team.leads:
        # From the beginning, so that a run that is stopped in its first fold can be resumed.
        out.mkdir(parents=True, exist_ok=True)
        _write_summary(out, config, parts, dice)
    for number, part in enumerate(parts, start=1):
        folder = out / f"fold{number}"
        bundle = run(part, folder, on_event=_within(on_event, number))
        dice.append(bundle.manifest.training.held_out_dice)
        if team.leads:
            _write_summary(out, config, parts, dice)
    everything = tuple(case.name for case in cohort.cases)
    if config.after_folds == "all":
        return run(Split(training=everything, held_out=()), out, on_event=on_event)
    return put_together(
        [out / f"fold{number}" for number in range(1, len(parts) + 1)],
        out,
        base=base,
        config=config,
        cases=everything,
        dice=mean_scores(dice),
        team=team,
        on_event=on_event,
    )


def _within(on_event: OnEvent | None, number: int) -> OnEvent | None:
    """Events of a fold say which one; only the last run's `done` ends the whole."""
    if on_event is None:
        return None

    def tell(event: Event) -> None:
        kind = "fold-done" if event["event"] == "done" else event["event"]
        on_event({**event, "event": kind, "fold": number})

    return tell


def _write_summary(out: Path, config: TrainConfig, parts: Sequence[Split], dice: Sequence[dict[str, float]]) -> None:
    names = list(dict.fromkeys(name for fold in dice for name in fold))
    values = {name: [fold[name] for fold in dice if name in fold] for name in names}
    content: dict[str, Any] = {
        "config": config.model_dump(mode="json"),
        "splits": [part.model_dump(mode="json") for part in parts],
        "held_out_dice": list(dice),
        "mean_dice": {name: round(float(np.mean(found)), 5) for name, found in values.items()},
        "deviation": {name: round(float(np.std(found)), 5) for name, found in values.items()},
    }
    write_json(out / SUMMARY, content)
