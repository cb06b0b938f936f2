"""Which cases train and which judge, decided before anything is trained."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from HQCSegmentLib.cohort import Case
from HQCSegmentLib.errors import InputError

TEST_PART = 0.3
"""Of the patients, where the user gives no number."""


@dataclass(frozen=True)
class Design:
    """Division of a cohort.

    Attributes:
        test: Cases that judge every model and train none.
        training: Cases to train on, by number of patients and seed: the same for every method, so that methods are
            compared in pairs. Draws of one seed contain each other, so that more patients are the same ones and others.
    """

    test: tuple[str, ...]
    training: dict[tuple[int, int], tuple[str, ...]]

    def draws(self) -> Iterator[tuple[int, int, tuple[str, ...]]]:
        """(patients, seed, names of the training cases), few patients first."""
        for (patients, seed), names in sorted(self.training.items()):
            yield patients, seed, names


def design(
    cases: Sequence[Case], *, patients: Sequence[int], seeds: int, test_patients: int | None = None, seed: int = 0
) -> Design:
    """Draw the judging patients once and the training patients for every seed.

    Args:
        cases: The cohort's cases.
        patients: Numbers of patients to train on.
        seeds: How often each number is drawn anew.
        test_patients: Patients that judge; None: three of ten, or as many fewer as leave enough to train on.
        seed: Of the draw of the judging patients, which is the same for all.

    Raises:
        InputError: for numbers below one, or if too few patients would be left to train on.
    """
    if not patients or min(patients) < 1 or seeds < 1:
        msg = f"cases {','.join(map(str, patients))} and {seeds} seed(s) are not possible; give whole numbers from 1."
        raise InputError(msg)
    there = sorted({case.patient for case in cases})
    most = max(patients)
    if test_patients is None:
        test_patients = max(1, min(round(TEST_PART * len(there)), len(there) - most))
    if test_patients < 1 or most + test_patients > len(there):
        msg = (
            f"the cohort has {len(there)} patient(s), so training on {most} and judging by {test_patients} other(s) is "
            f"not possible; train on fewer, or add patients."
        )
        raise InputError(msg)
    judges = set(random.Random(seed).sample(there, test_patients))
    pool = [patient for patient in there if patient not in judges]

    def drawn(number: int, of_seed: int) -> tuple[str, ...]:
        chosen = set(random.Random(of_seed).sample(pool, len(pool))[:number])
        return tuple(case.name for case in cases if case.patient in chosen)

    return Design(
        test=tuple(case.name for case in cases if case.patient in judges),
        training={(number, one): drawn(number, one) for number in patients for one in range(seeds)},
    )
