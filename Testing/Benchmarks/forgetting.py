"""What becomes of a structure that only the base model knows when it is fine-tuned on cases where it is not drawn.

    python Testing/Benchmarks/forgetting.py --out STUDY [--methods qpg,lora,full] [--cases 4] [--seeds 3]

Hippocampus (see `accuracy.py`). The base model knows its anterior and its posterior part; on the cases that it is
fine-tuned on only the anterior part is drawn, and the other is kept in the model. Each method is run with and without
`rehearse`. Prints the Dice of both parts on 40 other cases. What is finished is kept in STUDY.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
from accuracy import STEPS_FROM_BASE, STUDIES, Changed, base_model, measure, trained, write_changed

import HQCSegmentLib as hqc

DRAWN = 1
"""Label value of the part that is drawn on the cases to fine-tune on."""


def write_drawn(cohort: Any, names: list[str], folder: Path) -> Any:
    """Cases of which only the structure `DRAWN` is drawn."""

    def change(labelled: Any, number: int) -> Changed:
        label = np.where(labelled.label == DRAWN, labelled.label, 0)
        return labelled.image.array, label, labelled.image.affine

    write_changed(cohort, names, folder, change)
    (folder / "labels.json").write_text(json.dumps({str(DRAWN): cohort.structures[DRAWN]}))
    return hqc.Cohort.open(folder)


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the study")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HQC_DATA", "../shared/data")))
    parser.add_argument("--methods", default="qpg,lora,full", help="methods to compare, as of accuracy.py")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--cases", type=int, default=4, help="training cases")
    parser.add_argument("--base-steps", type=int, default=600, help="steps of the base model")
    arguments = parser.parse_args()

    study = STUDIES["hippocampus"]
    cohort = hqc.Cohort.open(arguments.data / "hippocampus")
    names = [case.name for case in cohort.cases]
    random.Random(0).shuffle(names)
    pool, test = names[study.base : study.base + study.pool], names[-study.test :]
    common = {"batch": 2, "held_out": 0}
    settings = {**common, "steps": arguments.base_steps}
    base = base_model(cohort, names[: study.base], settings=settings, folder=arguments.out / "base")
    site = write_drawn(cohort, pool, arguments.out / "drawn")

    def tell(words: str, found: list[dict[str, float]]) -> None:
        parts = []
        for name in cohort.structures.values():
            values = [one[name] for one in found]
            parts.append(f"{' '.join(f'{value:.3f}' for value in values)} | {np.mean(values):.3f}")
        print(f"| {words} | {' | '.join(parts)} |", flush=True)

    print("| what is trained | drawn part, per seed | mean | kept part, per seed | mean |\n|---|---|---|---|---|")
    tell("base, not fine-tuned", [measure(base, cohort, test, kept=arguments.out / "base.json")])
    for method in arguments.methods.split(","):
        for rehearse in ("false", "true"):
            variant = f"{method}:rehearse={rehearse}"
            found = []
            for seed in range(arguments.seeds):
                drawn = random.Random(seed).sample(pool, arguments.cases)
                out = arguments.out / f"{variant.replace(':', '-')}-{arguments.cases}-cases-seed-{seed}"
                run = {**common, "steps": STEPS_FROM_BASE}
                bundle = trained(site, base, settings=run, variant=variant, names=drawn, seed=seed, out=out)
                found.append(measure(bundle, cohort, test, kept=out / "dice.json"))
            tell(variant, found)


if __name__ == "__main__":
    main()
