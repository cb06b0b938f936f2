"""What `--fast` and `--best` cost, and what they do to Dice, on cases that a model was not trained on.

    python Testing/Benchmarks/inference/quality.py BUNDLE COHORT --training NAME,... [--cases 20] [--out quality.json]

Prints a table of mean Dice, processor seconds and windows per case, and the ratios to the standard quality. `best` is
the standard one where the model was trained without --flips.
"""

from __future__ import annotations

import json
import time

import numpy as np
from trained_model import asked

import HQCSegmentLib as hqc
from HQCSegmentLib.evaluation import dice_per_structure
from HQCSegmentLib.inference import SegmentConfig

QUALITIES = ("standard", "fast", "best")

KEYS = ("dice", "cpu_s", "windows")


def main() -> None:
    options = asked(__doc__, cases=20)
    cohort, bundle = hqc.Cohort.open(options.cohort), hqc.Bundle.open(options.bundle)
    qualities = QUALITIES if bundle.manifest.training.mirrored else QUALITIES[:2]
    rows: list[dict] = []
    for case in [case for case in cohort.cases if case.name not in options.training][: options.cases]:
        read = case.read(cohort.structures)
        if not rows:
            # The first call of all also loads the network.
            bundle.segment(read.image)
        for quality in qualities:
            windows = 0

            def count(_done: int, of: int) -> None:
                nonlocal windows
                windows = of

            began = time.process_time()
            result = bundle.segment(read.image, config=SegmentConfig(quality=quality), on_progress=count)
            spent = time.process_time() - began
            found = dice_per_structure(result.array, read.label, cohort.structures)
            rows.append(
                {
                    "case": case.name,
                    "quality": quality,
                    "dice": float(np.mean([*found.values()])),
                    "cpu_s": spent,
                    "windows": windows,
                }
            )
        if options.out:
            options.out.write_text(json.dumps(rows, indent=2))
    print(table(rows, qualities))


def table(rows: list[dict], qualities: tuple[str, ...]) -> str:
    """Means over the cases."""
    lines = ["| quality | mean Dice | CPU s | to standard | windows |", "|---|---|---|---|---|"]
    means = {
        quality: [float(np.mean([row[key] for row in rows if row["quality"] == quality])) for key in KEYS]
        for quality in qualities
    }
    for quality, (value, cpu, windows) in means.items():
        lines.append(f"| {quality} | {value:.3f} | {cpu:.2f} | {cpu / means['standard'][1]:.2f} | {windows:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
