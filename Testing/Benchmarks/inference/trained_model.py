"""Models and the cases that they were not trained on, as the benchmarks of this folder are asked for them."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import HQCSegmentLib as hqc


@dataclass(frozen=True)
class Model:
    """A model and the cases of a cohort.

    Attributes:
        bundle: The model.
        seen: Cases that it was trained on, or judged by in training.
        calibrating: Unseen cases that the model is to be calibrated on.
        unseen: Others, as many as were asked for.
    """

    bundle: hqc.Bundle
    seen: list[Any]
    calibrating: list[Any]
    unseen: list[Any]


@dataclass(frozen=True)
class Asked:
    """What the command line asks for.

    Attributes:
        models: One, or several of the same structures.
        cohort: That they were trained on.
        out: File for all single results, or None.
    """

    models: list[Model]
    cohort: hqc.Cohort
    out: Path | None

    def keep(self, rows: list[dict[str, Any]]) -> None:
        """Write the single results so far."""
        if self.out:
            self.out.write_text(json.dumps(rows, indent=2))


def ask(description: str, *, cases: int, several: bool = False, calibrates: bool = False) -> Asked:
    """Read the command line: BUNDLE COHORT [--training NAME,...] [--cases N] [--out FILE].

    Args:
        description: Of the program.
        cases: Unseen cases by default.
        several: Whether there may be more bundles than one.
        calibrates: Whether there is `--calibrate NAME,...`.
    """
    options = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bundles", type=Path, nargs="+" if several else 1, metavar="BUNDLE")
    options.add_argument("cohort", type=Path, metavar="COHORT")
    options.add_argument("--training", help="names of the training cases, with commas (default: of the bundle's run)")
    if calibrates:
        options.add_argument("--calibrate", default="", help="unseen cases to calibrate on, with commas")
    options.add_argument("--cases", type=int, default=cases, help=f"unseen cases (default: {cases})")
    options.add_argument("--out", type=Path, help="JSON file of all single results")
    asked = options.parse_args()
    cohort = hqc.Cohort.open(asked.cohort)
    models = []
    for path in asked.bundles:
        names = asked.training.split(",") if asked.training else _cases_of_run(path.resolve().parent)
        apart = asked.calibrate.split(",") if calibrates else []
        seen = [case for case in cohort.cases if case.name in names]
        calibrating = [case for case in cohort.cases if case.name in apart and case.name not in names]
        unseen = [case for case in cohort.cases if case.name not in (*names, *apart)]
        models.append(Model(hqc.Bundle.open(path), seen, calibrating, unseen[: asked.cases]))
    return Asked(models, cohort, asked.out)


def _cases_of_run(run: Path) -> list[str]:
    splits = json.loads((run / "splits.json").read_text())
    return [*splits["training"], *splits["held_out"]]
