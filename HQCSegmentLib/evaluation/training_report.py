"""`report.html` of a training run: one file, to be read from the top by somebody who has to decide."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from HQCSegmentLib.bundle import Manifest
from HQCSegmentLib.bundle.model_card import describe_postprocessing
from HQCSegmentLib.evaluation.base_gain import BaseGain
from HQCSegmentLib.evaluation.held_out import read_held_out
from HQCSegmentLib.evaluation.pictures import data_url, learning_curve, rank_curves
from HQCSegmentLib.evaluation.templates import render
from HQCSegmentLib.evaluation.verdict import judge_model
from HQCSegmentLib.files import write_text

VERSIONS = ("torch", "monai", "pennylane", "numpy")


def write_training_report(run: Path, manifest: Manifest) -> None:
    """Write `report.html` from the events, the held-out cases (of the folds, where there are any) and the bundle."""
    events = read_events(run / "events.jsonl")
    ranks = sorted({event["step"]: event["layers"] for event in events if event["event"] == "ranks"}.items())
    settings = json.loads((run / "config.json").read_text(encoding="utf-8"))
    cases = read_held_out(run)
    folds = len({folder for _, folder in cases}) if cases and cases[0][1].parent != run else 0
    verdict = judge_model(
        [(case.case, case.dice, case.surface_dice) for case, _ in cases],
        folds=folds,
        labels=list(manifest.names.values()),
    )
    pictures = [(case, _picture(folder / case.picture)) for case, folder in cases]
    scored = [pair for pair in cases if pair[0].dice]
    worst, where = min(scored, key=lambda pair: min(pair[0].dice.values())) if scored else (None, None)
    fold_events = read_fold_events(run) if folds else {}
    gain = BaseGain.of([*fold_events.values()] or [events])
    html = render(
        "training.html.j2",
        manifest=manifest,
        verdict=verdict,
        base=gain.before if gain else {},
        worst=worst,
        worst_picture=_picture(where / worst.weakest_picture) if worst and where else None,
        cases=pictures,
        folds=[(f"fold {number}", _course(found)) for number, found in fold_events.items()],
        outlook=next((event["message"] for event in reversed(events) if event["event"] == "outlook"), ""),
        postprocessing=describe_postprocessing(manifest),
        warnings=list(dict.fromkeys(event["message"] for event in events if event["event"] == "warning")),
        curve=_course(events) if any(event["event"] == "progress" for event in events) else None,
        reasons=settings["plan"]["reasons"],
        settings=json.dumps(settings["config"], indent=2, ensure_ascii=False),
        versions=_versions(),
        ranks=ranks[-1][1] if ranks else {},
        rank_curves=data_url(rank_curves(ranks)) if ranks else None,
    )
    write_text(run / "report.html", html)


def _course(events: Sequence[dict[str, Any]]) -> str:
    """Loss and held-out Dice as a picture; of a resumed run, which repeats steps, the later events count."""
    losses = {event["step"]: event["loss"] for event in events if event["event"] == "progress"}
    told = {event["step"]: event["dice"] for event in events if event["event"] == "held-out"}
    return data_url(learning_curve(sorted(losses), [losses[step] for step in sorted(losses)], sorted(told.items())))


def _picture(path: Path) -> str | None:
    return data_url(path.read_bytes()) if path.is_file() else None


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {"Python": platform.python_version(), **{name: version(name) for name in VERSIONS}}


def read_events(path: Path) -> list[dict[str, Any]]:
    """Events of a run; a line cut off by a crash is left out. None where no run was begun."""
    events: list[dict[str, Any]] = []
    if not path.is_file():
        return events
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return events


def read_fold_events(run: Path) -> dict[int, list[dict[str, Any]]]:
    """Events of every fold of a run, by its number; empty for a run without folds."""
    found = {path.parent.name.removeprefix("fold"): path for path in run.glob("fold*/events.jsonl")}
    return {int(number): read_events(found[number]) for number in sorted(filter(str.isdecimal, found), key=int)}
