"""From a cohort to a bundle."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

import HQCSegmentLib
from HQCSegmentLib import qpg
from HQCSegmentLib.bundle import Bundle, TrainingSummary
from HQCSegmentLib.cohort import (
    Cohort,
    Fingerprint,
    LabelledCase,
    Prepared,
    Split,
    fingerprint,
    split,
)
from HQCSegmentLib.cohort.cache import Cache
from HQCSegmentLib.devices import choose_device
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.evaluation.metrics import dice_per_structure
from HQCSegmentLib.evaluation.training_report import write_training_report
from HQCSegmentLib.files import write_json
from HQCSegmentLib.imaging import Structure
from HQCSegmentLib.inference import winning_outputs
from HQCSegmentLib.training.augmentation import augmentation
from HQCSegmentLib.training.config import TrainConfig
from HQCSegmentLib.training.events import EventLog, OnEvent
from HQCSegmentLib.training.loop import Loop
from HQCSegmentLib.training.patches import PatchSource, TrainingCase
from HQCSegmentLib.training.plan import Plan, plan_from_base, plan_from_scratch

NOTHING_HELD_OUT = (
    "no case is held out, so this run cannot tell how good the model is; judge it on other patients before it is used."
)

METHODS_WITHOUT_UPDATES = ("full", "norms")
"""Methods that leave no matrix of updates whose rank could be told."""


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
) -> Bundle:
    """Train a network on a cohort, from a base model or from random weights.

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

    Returns:
        The bundle in `out/bundle`.

    Raises:
        InputError: if something of the input is wrong.
        Interrupted: after Ctrl-C; the state is saved.
    """
    config = config or TrainConfig()
    out = Path(out)
    if config.folds is not None and parts is None:
        from HQCSegmentLib.training.cross_validation import cross_validate

        return cross_validate(cohort, base=base, config=config, out=out, on_event=on_event, resume=resume, cache=cache)
    device = choose_device(config.device)
    if base is not None and not isinstance(base, Bundle):
        base = Bundle.open(base)
    if out.exists() and not out.is_dir():
        msg = f"{out} is a file; choose a folder for the run."
        raise InputError(msg)
    if (out / "config.json").exists() and not resume:
        msg = f"{out} already holds a run; continue it with --resume, or choose another folder."
        raise InputError(msg)
    if parts is None:
        parts = split(cohort.cases, held_out=config.held_out, seed=config.seed)
    used = cohort.subset((*parts.training, *parts.held_out))
    read = {case.name: case.read(cohort.structures) for case in used.cases}
    training, held_out = ([read[name] for name in names] for names in (parts.training, parts.held_out))
    measured = fingerprint(training)
    plan = (
        plan_from_scratch(config, measured, cohort.structures)
        if base is None
        else plan_from_base(config, base.manifest, cohort.structures)
    )
    outputs = output_indices(cohort.structures, plan.labels)
    kept = Cache.open() if cache else Cache(None)
    cases = [make_training_case(case, plan, outputs, kept) for case in training]
    judged = [make_judged_case(case, plan, outputs, kept) for case in held_out]

    network, method = make_network(plan, config, base)

    settings = run_settings(config, plan, measured, base)
    if resume:
        check_same_settings(out, settings, parts)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "config.json", settings)
    write_json(out / "splits.json", parts.model_dump(mode="json"))
    log = EventLog(out / "events.jsonl", on_event)
    try:
        base_weights = None if base is None else base.manifest.weights_sha256
        trained = qpg.trainable_numbers(network)
        network.to(device)
        run = _Run(plan, config, parts, measured, base_weights, trained, method, network, out, log)
        if not parts.held_out and config.folds is None:
            log.emit("warning", message=NOTHING_HELD_OUT)
        if kept.folder is not None:
            log.emit("cache", found=kept.found, made=kept.made, bytes=kept.size())
        log.emit("started", cases=len(cases), held_out=len(held_out), trainable_numbers=trained, steps=plan.steps)
        source = PatchSource(
            cases,
            patch=plan.inference.window,
            batch=config.batch,
            seed=config.seed,
            vary=augmentation(dims=plan.network.dims) if config.augment else None,
        )
        loop = Loop(network, source, config, plan.learning_rate, plan.steps, device, out / "checkpoints", log)
        loop.run(resume=resume, on_checkpoint=lambda step: run.at_checkpoint(judged, step))
        bundle = run.finish(judged)
        log.emit("done", bundle="bundle", trainable_numbers=trained, dice=bundle.manifest.training.held_out_dice)
        return bundle
    except Exception as error:
        log.emit("error", message=str(error))
        raise
    finally:
        log.close()


@dataclass(frozen=True, eq=False)
class _JudgedCase:
    """A held-out case: prepared once, before the run is written, so that an unusable image is found then.

    Attributes:
        prepared: What the network sees.
        reference: Output indices on the image's own grid, (i, j, k).
        known: Names of the drawn structures by output index.
    """

    prepared: Prepared
    reference: np.ndarray
    known: dict[int, str]


@dataclass
class _Run:
    """What is known of a run while it goes on."""

    plan: Plan
    config: TrainConfig
    parts: Split
    measured: Fingerprint
    base_weights: str | None
    trained: int
    method: qpg.MethodConfig | None
    network: nn.Module
    out: Path
    log: EventLog

    def at_checkpoint(self, cases: Sequence[_JudgedCase], step: int) -> None:
        """Ranks of the updates, and Dice; the last step's is left to `finish`, which measures the merged network."""
        if self.config.method not in METHODS_WITHOUT_UPDATES:
            ranks = {name: vars(rank) for name, rank in qpg.update_ranks(self.network).items()}
            self.log.emit("ranks", step=step, layers=ranks)
        if step < self.plan.steps:
            self.measure(cases, step)

    def measure(self, cases: Sequence[_JudgedCase], step: int) -> dict[str, float]:
        """Mean Dice per structure on whole held-out images; also an event."""
        if not cases:
            return {}
        scores: dict[str, list[float]] = {}
        for case in cases:
            for name, value in self.dice_of(case).items():
                scores.setdefault(name, []).append(value)
        dice = {name: round(float(np.mean(values)), 5) for name, values in scores.items()}
        self.log.emit("held-out", step=step, dice=dice, mean_dice=round(float(np.mean([*dice.values()])), 5))
        return dice

    def dice_of(self, case: _JudgedCase) -> dict[str, float]:
        """Dice of each drawn structure of one case."""
        winner = winning_outputs(
            self.network,
            case.prepared,
            window=self.plan.inference.window,
            overlap=self.plan.inference.overlap,
        )
        return dice_per_structure(winner, case.reference, case.known)

    def finish(self, held_out: Sequence[_JudgedCase]) -> Bundle:
        """Merge what the method generates, write bundle and report."""
        adapter = None
        if self.config.method != "full":
            adapter = qpg.adapter_state(self.network)
            qpg.merge(self.network)
        dice = self.measure(held_out, self.plan.steps)
        numbers = sum(parameter.numel() for parameter in self.network.parameters())
        summary = TrainingSummary(
            method=self.config.method,
            cases=len(self.parts.training),
            steps=self.plan.steps,
            seed=self.config.seed,
            trainable_numbers=self.trained,
            network_numbers=numbers,
            from_base=self.base_weights is not None,
            base_weights_sha256=self.base_weights,
            held_out_dice=dice,
        )
        manifest = {
            "software": HQCSegmentLib.__version__,
            "network": self.plan.network,
            "labels": self.plan.labels,
            "preprocessing": self.plan.preprocessing,
            "inference": self.plan.inference,
            "fingerprint": self.measured,
            "training": summary,
        }
        bundle = Bundle.write(
            self.out / "bundle",
            manifest=manifest,
            state=self.network.state_dict(),
            adapter=adapter,
            adapter_config=None if self.method is None else qpg.config_to_json(self.method),
        )
        write_training_report(self.out, bundle.manifest)
        return bundle


def make_network(plan: Plan, config: TrainConfig, base: Bundle | None) -> tuple[nn.Module, qpg.MethodConfig | None]:
    """The network to train, with the updates of the chosen method in it, and that method; None: all weights.

    Raises:
        InputError: if the settings of the method do not fit together or choose no layer.
    """
    network = plan.network.build_seeded(config.seed) if base is None else base.build()
    if config.method == "full":
        return network, None
    try:
        method = qpg.method_config(config.method, like=config.qpg(from_base=base is not None), network=network)
        if isinstance(method, qpg.LoRAConfig) and config.rank is not None:
            method = replace(method, rank=config.rank)
        return qpg.inject(network, method), method
    except qpg.QPGError as error:
        msg = f"method {config.method}: {error}."
        raise InputError(msg) from error


def output_indices(structures: dict[int, str], labels: Sequence[Structure]) -> dict[int, int]:
    """Network output (1, 2, ...) of each label value of the cohort; structures are matched by name."""
    position = {structure.name: index for index, structure in enumerate(labels, start=1)}
    return {value: position[name] for value, name in structures.items()}


def relabel(label: np.ndarray, outputs: dict[int, int]) -> np.ndarray:
    """Label map with the network's output indices in place of the cohort's values."""
    table = np.zeros(max([int(label.max(initial=0)), *outputs]) + 1, np.uint16)
    for value, index in outputs.items():
        table[value] = index
    return table[label]


def make_training_case(case: LabelledCase, plan: Plan, outputs: dict[int, int], cache: Cache) -> TrainingCase:
    """Prepare one case for training."""
    prepared = cache.prepare(case.image, plan.preprocessing)
    known = np.zeros(plan.network.out_channels, bool)
    known[[0, *(outputs[value] for value in case.known)]] = True
    return TrainingCase.make(prepared.array, cache.prepare_label(relabel(case.label, outputs), prepared), known)


def make_judged_case(case: LabelledCase, plan: Plan, outputs: dict[int, int], cache: Cache) -> _JudgedCase:
    """Prepare one held-out case."""
    known = {outputs[value]: plan.labels[outputs[value] - 1].name for value in case.known}
    return _JudgedCase(cache.prepare(case.image, plan.preprocessing), relabel(case.label, outputs), known)


def run_settings(config: TrainConfig, plan: Plan, measured: Fingerprint, base: Bundle | None) -> dict[str, Any]:
    """Contents of `config.json`: all that is needed to do the run again."""
    return {
        "software": HQCSegmentLib.__version__,
        "config": config.model_dump(mode="json"),
        "plan": plan.model_dump(mode="json"),
        "fingerprint": measured.model_dump(mode="json"),
        "base_weights_sha256": None if base is None else base.manifest.weights_sha256,
    }


def check_same_settings(out: Path, settings: dict[str, Any], parts: Split) -> None:
    """Refuse to continue a run with other settings, another base or other cases.

    Raises:
        InputError: if `out` holds no run, one with other settings or cases, or one that cannot be read.
    """
    path = out / "config.json"
    if not path.is_file():
        msg = f"{out} holds no run to resume."
        raise InputError(msg)
    before, cases = (_read_object(file) for file in (path, out / "splits.json"))
    for key in ("config", "plan", "base_weights_sha256"):
        if before.get(key) != json.loads(json.dumps(settings[key])):
            msg = f"{out} holds a run with other settings ({key} differs); resume it with the same ones."
            raise InputError(msg)
    if (cases.get("training"), cases.get("held_out")) != (list(parts.training), list(parts.held_out)):
        msg = f"{out} holds a run with other cases; resume it with the same cohort."
        raise InputError(msg)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        msg = f"{path} is damaged or missing, so the run cannot be resumed; choose another folder for a new run."
        raise InputError(msg)
    return content
