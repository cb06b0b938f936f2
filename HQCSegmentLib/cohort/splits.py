"""Dividing a cohort into cases to train on and cases to judge by."""

from __future__ import annotations

import random
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.errors import InputError

HELD_OUT_PART = 0.2


class Split(BaseModel):
    """Case names; no patient is on both sides."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    training: tuple[str, ...] = Field(description="cases that are trained on")
    held_out: tuple[str, ...] = Field(description="cases that Dice is measured on, never trained on")


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
    drawn = set(random.Random(seed).sample(patients, held_out))
    return Split(
        training=tuple(case.name for case in cases if case.patient not in drawn),
        held_out=tuple(case.name for case in cases if case.patient in drawn),
    )
