"""Training and judging all models of a comparison; finished ones are kept, so that it can be stopped and continued."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from HQCSegmentLib.bundle import Bundle
from HQCSegmentLib.cohort import Cohort, Split
from HQCSegmentLib.comparison.design import design
from HQCSegmentLib.comparison.report import write_report
from HQCSegmentLib.comparison.results import Comparison, Result
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.evaluation import dice_per_structure
from HQCSegmentLib.files import write_json, write_text
from HQCSegmentLib.training import TrainConfig
from HQCSegmentLib.training.events import Event, OnEvent
from HQCSegmentLib.training.plan import USUAL_STEPS
from HQCSegmentLib.training.run import finish

SETTINGS, RESULTS, TABLE = "comparison.json", "results.json", "results.csv"


def compare(
    cohort: Cohort,
    *,
    methods: Mapping[str, TrainConfig],
    patients: Sequence[int],
    out: str | Path,
    seeds: int = 3,
    base: Bundle | str | Path | None = None,
    test_patients: int | None = None,
    on_event: OnEvent | None = None,
    cache: bool = True,
) -> Comparison:
    """Train the same cases with several methods and judge all models by the same other cases.

    Args:
        cohort: Cases with contours.
        methods: Settings of each method by the name it is shown with; the others are compared with the first.
        patients: Numbers of patients to train on.
        out: Folder: `runs/`, `comparison.json` (what was asked for), `results.json`, `results.csv`, `report.html`. A
            comparison in it is gone on with: finished models are used again, more methods, patients and seeds may be
            added.
        seeds: How often patients are drawn and models trained anew.
        base: Model to start from; None: random weights.
        test_patients: Patients that judge; None: about three of ten.
        on_event: Called with the events of the runs, with `run` and `runs` added, and with `compared` after each.
        cache: Keep prepared images on disk.

    Raises:
        InputError: if there are too few patients, or `out` holds another comparison.
    """
    out = Path(out)
    plan = design(cohort.cases, patients=patients, seeds=seeds, test_patients=test_patients)
    if base is not None and not isinstance(base, Bundle):
        base = Bundle.open(base)
    runs = [(name, number, seed, names) for number, seed, names in plan.draws() for name in methods]
    _begin(out, cohort, base, methods, test=plan.test)
    results: list[Result] = []
    for place, (name, number, seed, names) in enumerate(runs, start=1):
        result = _result(
            cohort,
            config=settings_of_run(methods[name], seed=seed, steps=USUAL_STEPS),
            base=base,
            split=Split(training=names, held_out=()),
            test=plan.test,
            folder=out / "runs" / f"{_folder_name(name)}-{number}-seed-{seed}",
            named=(name, number),
            on_event=_of_run(on_event, place, len(runs)),
            cache=cache,
        )
        results.append(result)
        found = Comparison(plan.test, tuple(results))
        _write(out, found)
        if on_event is not None:
            on_event({"event": "compared", **asdict(result), "mean_dice": result.mean, "run": place, "runs": len(runs)})
    write_report(out / "report.html", found, structures=tuple(cohort.structures.values()))
    return found


def settings_of_run(config: TrainConfig, *, seed: int, steps: int) -> TrainConfig:
    """Settings of one model; the usual steps where the method has neither steps nor a budget."""
    own: dict[str, Any] = {"seed": seed, "held_out": None, "folds": None, "after_folds": "all"}
    if config.steps is None and config.budget is None:
        own["steps"] = steps
    return config.model_copy(update=own)


def _result(
    cohort: Cohort,
    *,
    config: TrainConfig,
    base: Bundle | None,
    split: Split,
    test: Sequence[str],
    folder: Path,
    named: tuple[str, int],
    on_event: OnEvent | None,
    cache: bool,
) -> Result:
    """One model: judged before, trained before, begun before, or new."""
    kept = folder / "result.json"
    if kept.is_file():
        return Result(**json.loads(kept.read_text(encoding="utf-8")))
    start = time.monotonic()
    bundle = finish(cohort, base=base, config=config, out=folder, on_event=on_event, parts=split, cache=cache)
    seconds = round(time.monotonic() - start, 1)
    dice: dict[str, dict[str, float]] = {}
    for case in cohort.subset(test).cases:
        labelled = case.read(cohort.structures)
        found = {structure.name: structure.value for structure in bundle.manifest.labels}
        predicted = bundle.segment(labelled.image, device=config.device).array
        for value in labelled.known:
            name = cohort.structures[value]
            own = dice_per_structure(predicted == found[name], labelled.label == value, {1: name})
            dice.setdefault(name, {})[case.name] = own[name]
    if not dice:
        msg = "none of the judging cases has a drawn structure; take more patients to judge by."
        raise InputError(msg)
    method, patients = named
    result = Result(method, patients, config.seed, bundle.manifest.training.trainable_numbers, seconds, dice)
    write_json(kept, asdict(result))
    return result


def _begin(
    out: Path, cohort: Cohort, base: Bundle | None, methods: Mapping[str, TrainConfig], *, test: Sequence[str]
) -> None:
    """Write what is compared; refuse to mix it with another comparison.

    Raises:
        InputError: if `out` is a file, or holds a comparison with another base, other judges or other settings.
    """
    if out.exists() and not out.is_dir():
        msg = f"{out} is a file; choose a folder for the comparison."
        raise InputError(msg)
    settings: dict[str, Any] = {
        "base_weights_sha256": None if base is None else base.manifest.weights_sha256,
        "structures": list(cohort.structures.values()),
        "test": list(test),
    }
    asked = {name: config.model_dump(mode="json", exclude={"seed"}) for name, config in methods.items()}
    path = out / SETTINGS
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
            known = dict(before.pop("methods"))
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            msg = f"{path} is damaged; choose another folder for the comparison."
            raise InputError(msg) from error
        differing = [key for key in settings if before.get(key) != settings[key]]
        differing += [f"method {name}" for name in asked if known.get(name, asked[name]) != asked[name]]
        if differing:
            msg = f"{out} holds another comparison ({', '.join(differing)} differ); choose another folder."
            raise InputError(msg)
        asked = {**known, **asked}
    elif out.exists() and any(out.iterdir()):
        msg = f"{out} is not empty and holds no comparison; choose another folder."
        raise InputError(msg)
    write_json(path, {**settings, "methods": asked})


def _of_run(on_event: OnEvent | None, place: int, runs: int) -> OnEvent | None:
    """Events of a run say which one it is; its end is not the end of the comparison."""
    if on_event is None:
        return None

    def tell(event: Event) -> None:
        if event["event"] not in ("done", "warning"):
            on_event({**event, "run": place, "runs": runs})

    return tell


def _folder_name(method: str) -> str:
    return method.replace(":", "-").replace("*", "_").replace("/", "_")


def _write(out: Path, found: Comparison) -> None:
    """All results as JSON, and one line for every model, structure and judging case as CSV."""
    write_json(
        out / RESULTS,
        {
            "results": [{**asdict(result), "mean_dice": result.mean} for result in found.results],
            "summary": [{**asdict(row), "verdict": row.verdict} for row in found.summary()],
        },
    )
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["method", "patients", "seed", "trainable_numbers", "case", "structure", "dice"])
    for result in found.results:
        for name, values in result.dice.items():
            for case, dice in values.items():
                row = [result.method, result.patients, result.seed, result.trainable_numbers, case, name, f"{dice:.5f}"]
                writer.writerow(row)
    write_text(out / TABLE, table.getvalue())
