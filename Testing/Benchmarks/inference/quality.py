"""What `--fast` and `--best` cost, and what they do to Dice, on cases that a model was not trained on.

    python Testing/Benchmarks/inference/quality.py BUNDLE... COHORT [--training NAME,...] [--cases 20] [--out FILE]

Prints a table of mean Dice, processor seconds and windows per case, and the ratios to the standard quality; for several
bundles, such as those of several seeds, the Dice of each and means over all. `best` is the standard one where a model
was trained without --flips.
"""

from __future__ import annotations

import time

import numpy as np
from trained_model import ask

from HQCSegmentLib.evaluation import dice_per_structure
from HQCSegmentLib.inference import SegmentConfig

QUALITIES = ("fast", "standard", "best")


def main() -> None:
    asked = ask(__doc__, cases=20, several=True)
    mirrored = all(model.bundle.manifest.training.mirrored for model in asked.models)
    qualities = QUALITIES if mirrored else QUALITIES[:2]
    structures = asked.cohort.structures
    rows: list[dict] = []
    for number, model in enumerate(asked.models):
        for place, case in enumerate(model.unseen):
            read = case.read(structures)
            if place == 0:
                # The first call of all also loads the network.
                model.bundle.segment(read.image)
            for quality in qualities:
                windows = 0

                def count(_done: int, of: int) -> None:
                    nonlocal windows
                    windows = of

                began = time.process_time()
                result = model.bundle.segment(read.image, config=SegmentConfig(quality=quality), on_progress=count)
                spent = time.process_time() - began
                found = dice_per_structure(result.array, read.label, structures)
                dice = float(np.mean([*found.values()]))
                row = {"model": number, "case": case.name, "quality": quality}
                rows.append({**row, "dice": dice, "cpu_s": spent, "windows": windows})
            asked.keep(rows)
    print(table(rows, qualities))


def table(rows: list[dict], qualities: tuple[str, ...]) -> str:
    """Mean Dice of each model, and means over all."""

    def mean(key: str, **of: object) -> float:
        return float(np.mean([row[key] for row in rows if of.items() <= row.items()]))

    models = dict.fromkeys(row["model"] for row in rows)
    lines = [
        "| quality | Dice of each model | mean Dice | CPU s | to standard | windows |",
        "|---|---|---|---|---|---|",
    ]
    for quality in qualities:
        each = " ".join(f"{mean('dice', quality=quality, model=model):.3f}" for model in models)
        cpu = mean("cpu_s", quality=quality)
        ratio = cpu / mean("cpu_s", quality="standard")
        lines.append(
            f"| {quality} | {each} | {mean('dice', quality=quality):.3f} | {cpu:.2f} | {ratio:.2f} "
            f"| {mean('windows', quality=quality):.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
