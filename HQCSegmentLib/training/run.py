"""From a cohort to a bundle."""

from __future__ import annotations

import contextlib
import errno
import math
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from HQCSegmentLib import qpg
from HQCSegmentLib.bundle import Bundle
from HQCSegmentLib.cohort import Cohort, Fingerprint, Split, fingerprint, split
from HQCSegmentLib.cohort.cache import Cache
from HQCSegmentLib.errors import InputError, WorkError
from HQCSegmentLib.evaluation.training_report import read_events
from HQCSegmentLib.freed_memory import reusing_memory
from HQCSegmentLib.networks import with_deep_supervision
from HQCSegmentLib.training import budget
from HQCSegmentLib.training.augmentation import Mirror, augmentation
from HQCSegmentLib.training.budget import Speed
from HQCSegmentLib.training.config import TrainConfig
from HQCSegmentLib.training.events import EventLog, OnEvent, Preparing
from HQCSegmentLib.training.judging import judge_base, judge_one
from HQCSegmentLib.training.loop import Loop
from HQCSegmentLib.training.losses import make_loss, rare_weights
from HQCSegmentLib.training.patches import PatchSource, TrainingCase
from HQCSegmentLib.training.plan import Plan, plan_from_base, plan_from_scratch
from HQCSegmentLib.training.preparing import (
    JudgedCase,
    content_hash,
    make_judged_case,
    make_training_case,
    output_indices,
)
from HQCSegmentLib.training.record import check_same_run, recorded_plan, run_settings, write_record
from HQCSegmentLib.training.rehearsal import rehearsed
from HQCSegmentLib.training.result import Run
from HQCSegmentLib.training.sizes import smaller_patch
from HQCSegmentLib.training.start import make_network
from HQCSegmentLib.training.team import Team

NOTHING_HELD_OUT = (
    "no case is held out, so this run cannot tell how good the model is; judge it on other patients before it is used."
)

DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def finetune(
    cohort: Cohort,
    *,
    base: Bundle | str | Path | None = None,
    config: TrainConfig | None = None,
    out: str | Path,
    on_event: OnEvent | None = None,
    resume: bool = False,
    parts: Split | None = None,
    cache: bool = True,
    budget_share: float = 1.0,
    measured_in: Path | None = None,
) -> Bundle:
    """Train a network on a cohort, from a base model or from random weights.

    Started by torchrun, several processes train together (see `training.team`).

    Args:
        cohort: Cases with contours.
        base: Model to start from; None: seeded random weights.
        config: Settings; defaults are found from the cohort.
        out: Folder of the run: `bundle/`, `config.json`, `splits.json`, `events.jsonl`, `report.html`,
            `checkpoints/`. Nothing is written before everything has been read and checked.
        on_event: Called with each event (see `training.events`).
        resume: Continue the run in `out`.
        parts: Which cases to train on and to judge by; None: patients are drawn by the seed. With `config.folds` they
            are divided into folds, each held out once in a run of its own in `out`, and then all are trained on.
        cache: Keep prepared images on disk for further runs (see `cohort.cache`); the result is the same without.
        budget_share: Part of `config.budget` that this run may take.
        measured_in: Folder of another run of this cohort with the same settings, whose number of steps is taken over in
            place of measuring how many fit into the time.

    Returns:
        The bundle in `out/bundle`.

    Raises:
        InputError: if something of the input is wrong.
        Interrupted: after Ctrl-C; the state is saved.
        WorkError: if the disk is full or the loss is no longer a number; what was saved before is kept.
    """
    begin = time.monotonic()
    config = config or TrainConfig()
    out = Path(out)
    if config.folds is not None and parts is None:
        from HQCSegmentLib.training.cross_validation import cross_validate

        return cross_validate(cohort, base=base, config=config, out=out, on_event=on_event, resume=resume, cache=cache)
    if base is not None and not isinstance(base, Bundle):
        base = Bundle.open(base)
    if out.exists() and not out.is_dir():
        msg = f"{out} is a file; choose a folder for the run."
        raise InputError(msg)
    if (out / "config.json").exists() and not resume:
        msg = f"{out} already holds a run; continue it with --resume, or choose another folder."
        raise InputError(msg)
    team = Team.gather(device=config.device, precision=config.precision)
    preparing = Preparing(on_event if team.leads else None)
    if parts is None:
        parts = split(cohort.cases, held_out=config.held_out, seed=config.seed)
    used = cohort.subset((*parts.training, *parts.held_out))
    read = {case.name: case.read(cohort.structures) for case in preparing.each(used.cases, "reading")}
    training, held_out = ([read[name] for name in names] for names in (parts.training, parts.held_out))
    # Models that are to be averaged must be prepared for alike, as nnU-Net does it for its folds.
    alike = training if config.after_folds == "all" else [*read.values()]
    measured = fingerprint(alike, channels=cohort.channels, structures=cohort.structures)
    plan = make_plan(config, base, measured, cohort.structures)
    outputs = output_indices(cohort.structures, plan.labels)
    kept = Cache.open() if cache else Cache(None)
    cases = [make_training_case(case, plan, outputs, kept) for case in preparing.each(training, "preparing")]
    forgotten = [place for place in range(1, plan.network.out_channels) if place not in outputs.values()]
    if base is not None and config.rehearse and forgotten:
        teacher = base.build_for(plan.labels, plan.inputs).to(team.device)
        cases = [
            rehearsed(case, teacher, outputs=forgotten, inference=plan.inference)
            for case in preparing.each(cases, "rehearsing")
        ]
        del teacher  # it shall not take memory while the run trains
    judged = [make_judged_case(case, plan, measured.channels[0], outputs, kept) for case in held_out]
    is_told = resume and any(event["event"] == "base" for event in read_events(out / "events.jsonl"))
    before = {} if base is None or is_told else judge_base(base, plan, judged, team=team, preparing=preparing)
    if config.steps is None and resume:
        plan = recorded_plan(out)
    elif config.steps is None and measured_in is not None:
        plan = budget.take_over(plan, recorded_plan(measured_in), sizes=config.budget is not None)
    elif config.steps is None:

        def spent() -> float:
            # All processes must come to the same plan, and so go by the same clock.
            return team.mean(time.monotonic() - begin)

        def measure(plan: Plan) -> Speed:
            preparing.tell("measuring", 0, 1)
            return measure_speed(plan, config, base, cases, judged, team)

        sizes = free_sizes(config, base, measured, cohort.structures)
        if config.budget is None:
            plan = budget.cap(plan, spent=spent, measure=measure, sizes=sizes)
        else:
            plan = budget.fit(plan, config.budget, share=budget_share, spent=spent, measure=measure, sizes=sizes)

    if config.flips:
        Mirror.of([structure.name for structure in plan.labels])
    network, method = make_network(plan, config, base)

    settings = run_settings(config, plan, measured, base)
    contents = {name: content_hash(case) for name, case in read.items()}
    if resume:
        check_same_run(out, settings, parts, contents)
    team.wait()
    with _told_where_the_disk_is_full(out), _log(out, on_event, team) as log:
        if team.leads:
            write_record(out, settings, parts, contents)
        trained = qpg.trainable_numbers(network)
        network.to(team.device)
        base_weights = None if base is None else base.manifest.weights_sha256
        run = Run(plan, config, parts, measured, base_weights, trained, method, network, judged, out, log, team)
        if not parts.held_out and config.folds is None:
            log.emit("warning", message=NOTHING_HELD_OUT)
        for warning in plan.warnings:
            log.emit("warning", message=warning)
        if kept.folder is not None:
            log.emit("cache", found=kept.found, made=kept.made, bytes=kept.size())
        log.emit("started", cases=len(cases), held_out=len(held_out), trainable_numbers=trained, steps=plan.steps)
        if before:
            log.emit("base", dice=before, mean_dice=round(statistics.fmean(before.values()), 5))
        loop = make_loop(network, plan, config, cases, team, out / "checkpoints", log)
        with _computing(team):
            step = loop.run(resume=resume, check=run.check)
        bundle = run.finish(step)
        log.emit("done", bundle="bundle", trainable_numbers=trained, dice=bundle.manifest.training.held_out_dice)
        return bundle


def finish(cohort: Cohort, *, out: Path, **options: Any) -> Bundle:
    """The bundle of a run that is one of several: finished before, begun before, or new.

    Args:
        cohort: Cases with contours.
        out: Folder of the run.
        options: As `finetune` takes them, but for `resume`.

    Raises:
        InputError, Interrupted, WorkError: as `finetune`.
    """
    if (out / "bundle" / "bundle.json").is_file():
        return Bundle.open(out / "bundle")
    return finetune(cohort, out=out, resume=(out / "config.json").is_file(), **options)


def make_plan(
    config: TrainConfig,
    base: Bundle | None,
    measured: Fingerprint,
    structures: dict[int, str],
    *,
    preset: str | None = None,
    patch: tuple[int, ...] | None = None,
) -> Plan:
    """Plan of a run.

    Args:
        config: What was asked for.
        base: Model to start from.
        measured: Of the cohort.
        structures: Of the cohort, by label value.
        preset: Another size of the network.
        patch: Another patch than the plan's own.

    Raises:
        InputError: for settings that do not fit together, the cohort or the base.
    """
    if base is not None:
        return plan_from_base(config, base.manifest, measured, structures, patch=patch)
    sized = config if preset is None else config.model_copy(update={"preset": preset})
    plan = plan_from_scratch(sized, measured, structures, patch=patch)
    if not config.deep_supervision:
        return plan
    return plan.model_copy(update={"network": with_deep_supervision(plan.network)})


def free_sizes(
    config: TrainConfig, base: Bundle | None, measured: Fingerprint, structures: dict[int, str]
) -> budget.Sizes:
    """What a budget may choose, since the user has not."""

    def larger(preset: str) -> Plan:
        return make_plan(config, base, measured, structures, preset=preset)

    def smaller(plan: Plan) -> Plan | None:
        patch = smaller_patch(plan.inference.window, plan.network)
        return None if patch is None else make_plan(config, base, measured, structures, patch=patch)

    return budget.Sizes(
        larger=larger if base is None and config.preset is None else None,
        smaller=smaller if config.patch is None else None,
    )


def make_loop(
    network: nn.Module,
    plan: Plan,
    config: TrainConfig,
    cases: Sequence[TrainingCase],
    team: Team,
    checkpoints: Path,
    log: EventLog,
) -> Loop:
    """What trains a network, on its device, by a plan."""
    # Apple's GPUs lack some of what augmentation needs.
    device = team.device if team.device.type == "cuda" else torch.device("cpu")
    vary = augmentation(
        dims=plan.network.dims,
        channels=len(plan.preprocessing.channels),
        slices=plan.inference.slices,
        kind=config.augmentation,
        invert=config.invert_contrast,
        device=device,
    )
    source = PatchSource(
        cases,
        patch=plan.inference.window,
        slices=plan.inference.slices,
        batch=config.batch,
        seed=config.seed,
        vary=vary if config.augment else None,
        mirror=Mirror.of([structure.name for structure in plan.labels]) if config.flips else None,
        device=device,
    )
    weights = None
    if plan.class_weights == "rare":
        weights = rare_weights(source.voxels_per_output(plan.network.out_channels)).to(team.device)
    loss = make_loss(config.loss, weights=weights)
    return Loop(network, source, loss, config, plan, team, checkpoints, log)


def measure_speed(
    plan: Plan,
    config: TrainConfig,
    base: Bundle | None,
    cases: Sequence[TrainingCase],
    judged: Sequence[JudgedCase],
    team: Team,
) -> Speed:
    """Time a few steps and one held-out image, with a network that is thrown away."""
    network, _ = make_network(plan, config, base)
    network.to(team.device)
    loop = make_loop(network, plan, config, cases, team, Path(), EventLog(None))
    with _computing(team):
        step_s = budget.seconds_of(loop.step, mean=team.mean)
    check_s = 0.0
    if judged:
        one = budget.seconds_of(lambda _: judge_one(network, judged[0], plan.inference), times=1, mean=team.mean)
        check_s = one * math.ceil(len(judged) / team.size)
    return Speed(step_s, check_s)


@contextlib.contextmanager
def _computing(team: Team) -> Iterator[None]:
    """Memory is used again, and random numbers that layers may draw are not the caller's."""
    devices = [team.device] if team.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), reusing_memory():
        yield


@contextlib.contextmanager
def _log(out: Path, on_event: OnEvent | None, team: Team) -> Iterator[EventLog]:
    """Events of the run, the error that ends it among them."""
    out.mkdir(parents=True, exist_ok=True)
    log = EventLog(out / "events.jsonl" if team.leads else None, on_event)
    try:
        yield log
    except Exception as error:
        with contextlib.suppress(OSError):
            log.emit("error", message=str(error))
        raise
    finally:
        log.close()


@contextlib.contextmanager
def _told_where_the_disk_is_full(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        msg = (
            f"the disk is full ({error.strerror} in {out}); what was saved before is kept. Free some space, then go on "
            "with --resume."
        )
        raise WorkError(msg) from error
