"""What a run writes down of itself before it trains, and whether a run can go on from there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import HQCSegmentLib
from HQCSegmentLib.bundle import Bundle
from HQCSegmentLib.cohort import Fingerprint, Split
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import write_json
from HQCSegmentLib.training.config import TrainConfig
from HQCSegmentLib.training.plan import Plan

CONTENTS = "checkpoints/cases.json"
"""Of the folder of a run: what its cases hold, by hash."""


def run_settings(config: TrainConfig, plan: Plan, measured: Fingerprint, base: Bundle | None) -> dict[str, Any]:
    """Contents of `config.json`: all that is needed to do the run again."""
    return {
        "software": HQCSegmentLib.__version__,
        "config": config.model_dump(mode="json"),
        "plan": plan.model_dump(mode="json"),
        "fingerprint": measured.model_dump(mode="json"),
        "base_weights_sha256": None if base is None else base.manifest.weights_sha256,
    }


def write_record(out: Path, settings: dict[str, Any], parts: Split, contents: Mapping[str, str]) -> None:
    """Write what a run is; `config.json` comes last, so that where it is, all is.

    Args:
        out: Folder of the run.
        settings: Of `run_settings`.
        parts: Cases to train on and to judge by.
        contents: Hash of every case's voxels and contours, by name; not among what is passed on.
    """
    write_json(out / CONTENTS, dict(contents))
    write_json(out / "splits.json", parts.model_dump(mode="json"))
    write_json(out / "config.json", settings)


def check_same_run(out: Path, settings: dict[str, Any], parts: Split, contents: Mapping[str, str]) -> None:
    """Refuse to continue a run with other settings, another base, other cases, or cases that have changed.

    Raises:
        InputError: if `out` holds no run, one with other settings or cases, or one that cannot be read.
    """
    path = out / "config.json"
    if not path.is_file():
        msg = f"{out} holds no run to resume."
        raise InputError(msg)
    before, cases, hashes = (_read_object(file) for file in (path, out / "splits.json", out / CONTENTS))
    for key in ("config", "plan", "base_weights_sha256"):
        if before.get(key) != json.loads(json.dumps(settings[key])):
            msg = f"{out} holds a run with other settings ({key} differs); resume it with the same ones."
            raise InputError(msg)
    if (cases.get("training"), cases.get("held_out")) != (list(parts.training), list(parts.held_out)):
        msg = f"{out} holds a run with other cases; resume it with the same cohort."
        raise InputError(msg)
    changed = sorted(name for name, content in contents.items() if hashes.get(name) != content)
    if changed:
        msg = (
            f"the image or contours of {', '.join(changed)} have changed since the run in {out} was begun; bring the "
            "files back, or choose another folder for a new run."
        )
        raise InputError(msg)


def recorded_plan(out: Path) -> Plan:
    """Plan of a run that was begun: what was measured for it is not measured again.

    Raises:
        InputError: if `out` holds no run, or one that cannot be read.
    """
    if not (out / "config.json").is_file():
        msg = f"{out} holds no run to resume."
        raise InputError(msg)
    try:
        return Plan.model_validate(_read_object(out / "config.json").get("plan"))
    except ValidationError as error:
        msg = f"{out / 'config.json'} holds no plan of a run; choose another folder for a new run."
        raise InputError(msg) from error


def _read_object(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        content = None
    if not isinstance(content, dict):
        msg = f"{path} is damaged or missing, so the run cannot be resumed; choose another folder for a new run."
        raise InputError(msg)
    return content
