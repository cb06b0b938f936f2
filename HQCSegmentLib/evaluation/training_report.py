"""`report.html` of a training run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from HQCSegmentLib.bundle import Manifest
from HQCSegmentLib.evaluation.pictures import data_url, learning_curve, rank_curves
from HQCSegmentLib.evaluation.templates import render
from HQCSegmentLib.files import write_text


def write_training_report(run: Path, manifest: Manifest) -> None:
    """Write `report.html` from the events and the bundle of a finished run."""
    events = read_events(run / "events.jsonl")
    # A resumed run repeats the steps after its last checkpoint; the later event counts.
    losses = {event["step"]: event["loss"] for event in events if event["event"] == "progress"}
    held_out = {event["step"]: event["dice"] for event in events if event["event"] == "held-out"}
    curve = learning_curve(sorted(losses), [losses[step] for step in sorted(losses)], sorted(held_out.items()))
    ranks = sorted({event["step"]: event["layers"] for event in events if event["event"] == "ranks"}.items())
    plan = json.loads((run / "config.json").read_text(encoding="utf-8"))["plan"]
    html = render(
        "training.html.j2",
        manifest=manifest,
        curve=data_url(curve),
        reasons=plan["reasons"],
        ranks=ranks[-1][1] if ranks else {},
        rank_curves=data_url(rank_curves(ranks)) if ranks else None,
    )
    write_text(run / "report.html", html)


def read_events(path: Path) -> list[dict[str, Any]]:
    """Events of a run; a line cut off by a crash is left out."""
    events = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return events
