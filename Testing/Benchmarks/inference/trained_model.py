"""The question that benchmarks of a trained model have in common: which model, and which cases has it not seen."""

from __future__ import annotations

import argparse
from pathlib import Path


def asked(documentation: str | None, *, cases: int) -> argparse.Namespace:
    """Arguments of the command: bundle, cohort, training (names), cases and out.

    Args:
        documentation: Of the benchmark.
        cases: How many are looked at by default.
    """
    options = argparse.ArgumentParser(description=documentation, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bundle", type=Path)
    options.add_argument("cohort", type=Path)
    options.add_argument(
        "--training", required=True, type=lambda text: text.split(","), help="names of the training cases, with commas"
    )
    options.add_argument("--cases", type=int, default=cases)
    options.add_argument("--out", type=Path)
    return options.parse_args()
