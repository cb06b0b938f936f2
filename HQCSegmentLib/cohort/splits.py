"""Dividing a cohort into cases to train on and cases to judge by: drawn, in folds, or as listed by the user."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.errors import InputError, few
from HQCSegmentLib.files import read_json

HELD_OUT_PART = 0.2


class Split(BaseModel):
    """Case names; no patient is on both sides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training: tuple[str, ...] = Field(description="cases that are trained on")
    held_out: tuple[str, ...] = Field(description="cases that Dice is measured on, never trained on")
    listed: bool = Field(default=False, description="whether the user listed the cases; else they were drawn by seed")


def split(cases: Sequence[Case], *, held_out: int | None, seed: int) -> Split:
    """Hold out whole patients, drawn by seed.

    Args:
        cases: The cohort's cases.
        held_out: Number of patients to hold out; None: a fifth of them, at least one, and none of a single one.
        seed: Of the draw.

    Raises:
        InputError: if nothing would be left to train on, or the number is negative.
    """
    patients = sorted({case.patient for case in cases})
    if held_out is None:
        held_out = 0 if len(patients) == 1 else max(1, round(HELD_OUT_PART * len(patients)))
    if held_out < 0:
        msg = f"{held_out} patients cannot be held out of {len(patients)}; give 0 or more."
        raise InputError(msg)
    if held_out >= len(patients):
        msg = f"{held_out} patients cannot be held out of {len(patients)}: none would be left to train on."
        raise InputError(msg)
    return _holding_out(cases, set(random.Random(seed).sample(patients, held_out)))


def folds(cases: Sequence[Case], *, number: int, seed: int) -> list[Split]:
    """Divide a cohort so that every case is held out once, with all cases of its patient.

    Args:
        cases: The cohort's cases.
        number: Number of folds; of fewer patients each is held out alone (leave-one-out).
        seed: Of the draw.

    Returns:
        One split a fold; fold sizes differ by one patient at most. None for a single patient.

    Raises:
        InputError: for fewer than two folds.
    """
    if number < 2:
        msg = f"{number} fold(s) are too few; give 2 or more, or leave folds out."
        raise InputError(msg)
    patients = sorted({case.patient for case in cases})
    if len(patients) < 2:
        return []
    random.Random(seed).shuffle(patients)
    number = min(number, len(patients))
    return [_holding_out(cases, set(patients[first::number])) for first in range(number)]


def listed(cases: Sequence[Case], *, training: Sequence[str], held_out: Sequence[str], where: str) -> Split:
    """A split as the user lists it; cases on neither list are not used.

    Args:
        cases: The cohort's cases.
        training: Names of the cases to train on.
        held_out: Names of the cases to judge by.
        where: What lists them, for the messages.

    Raises:
        InputError: if a name is not in the cohort or on both lists, a patient is on both sides, or nothing is left to
            train on.
    """
    patient = {case.name: case.patient for case in cases}
    for name in (*training, *held_out):
        if name not in patient:
            msg = f"{where} lists the case {name!r}, which is not in the cohort; it has {few(sorted(patient))}."
            raise InputError(msg)
    if not training:
        msg = f"{where} lists no case to train on."
        raise InputError(msg)
    trained_patients = {patient[name] for name in training}
    for name in held_out:
        if patient[name] in trained_patients:
            msg = (
                f"{where} holds out the case {name!r}, but trains on a case of the same patient; put all cases of a "
                "patient on one side."
            )
            raise InputError(msg)
    return Split(training=tuple(training), held_out=tuple(held_out), listed=True)


def read_splits(path: Path, cases: Sequence[Case]) -> list[Split]:
    """Splits of a JSON file: `splits.json` of a run, or a list of `{"train": [...], "val": [...]}` as nnU-Net has it.

    Raises:
        InputError: if the file cannot be read, is of another form, or a split does not fit the cohort (see `listed`).
    """
    content = read_json(Path(path))
    result = []
    for one in content if isinstance(content, list) else [content]:
        training, held_out = _names(one, "training", "train"), _names(one, "held_out", "val")
        if training is None or held_out is None:
            form = '{"training": [...], "held_out": [...]}'
            msg = f"{path} must hold {form} with the names of cases, or a list of these."
            raise InputError(msg)
        result.append(listed(cases, training=training, held_out=held_out, where=str(path)))
    if not result:
        msg = f"{path} lists no split."
        raise InputError(msg)
    return result


def _names(one: Any, *keys: str) -> list[str] | None:
    """The list of names under one of the keys; None where there is none."""
    found = next((one[key] for key in keys if key in one), None) if isinstance(one, dict) else None
    is_names = isinstance(found, list) and all(isinstance(name, str) for name in found)
    return found if is_names else None


def _holding_out(cases: Sequence[Case], patients: set[str]) -> Split:
    return Split(
        training=tuple(case.name for case in cases if case.patient not in patients),
        held_out=tuple(case.name for case in cases if case.patient in patients),
    )
