"""What becomes of a structure that only the base model knows when it is fine-tuned on cases where it is not drawn.

    python Testing/Benchmarks/forgetting.py --out STUDY [--methods qpg,lora,full] [--cases 4] [--seeds 3]

Hippocampus (see `accuracy.py`). The base model knows its anterior and its posterior part; on the cases that it is
fine-tuned on only the anterior part is drawn, and the other is kept in the model. Each method is run with and without
`rehearse`. Prints the Dice of both parts on 40 other cases. With `--other-site` images are changed as those of another
scanner, moderately: blur, bias field and noise, and no other contrast. What is finished is kept in STUDY.
"""

from __future__ import annotations

import argparse
import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from accuracy import STEPS_FROM_BASE, STUDIES, base_model, measure, trained
from scipy.ndimage import gaussian_filter

import HQCSegmentLib as hqc
from HQCSegmentLib.imaging import write_array

DRAWN = 1
"""Label value of the part that is drawn on the cases to fine-tune on."""


def other_scanner(array: npt.NDArray, *, seed: int) -> npt.NDArray[np.float32]:
    """Blurred by 0.7 voxels, multiplied by a smooth bias field of +-40 %, with noise of 6 % of the range."""
    generator = np.random.default_rng(seed)
    low, high = np.percentile(array, (0.5, 99.5))
    image = gaussian_filter(np.clip((array - low) / (high - low), 0, 1), 0.7)
    bias = gaussian_filter(generator.standard_normal(array.shape), 12)
    return (image * (1 + 0.4 * bias / np.abs(bias).max()) + generator.normal(0, 0.06, array.shape)).astype(np.float32)


def write_site(cohort: Any, names: list[str], folder: Path, *, other: bool, drawn: set[int]) -> Any:
    """Cases as a site has them: images, and the structures that are drawn there."""
    for case in cohort.subset(names).cases:
        target = folder / "images" / f"{case.name}.nii.gz"
        if target.exists():
            continue
        labelled = case.read(cohort.structures)
        number = int("".join(filter(str.isdigit, case.name)))
        image = other_scanner(labelled.image.array, seed=number) if other else labelled.image.array
        label = np.where(np.isin(labelled.label, list(drawn)), labelled.label, 0).astype(np.uint8)
        write_array(folder / "labels" / target.name, label, labelled.image.affine)
        write_array(target, image, labelled.image.affine)
    names_of = {str(value): name for value, name in cohort.structures.items() if value in drawn}
    (folder / "labels.json").write_text(json.dumps(names_of))
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
    parser.add_argument("--other-site", action="store_true", help="images of another scanner")
    arguments = parser.parse_args()

    study = STUDIES["hippocampus"]
    cohort = hqc.Cohort.open(arguments.data / "hippocampus")
    names = [case.name for case in cohort.cases]
    random.Random(0).shuffle(names)
    pool, test = names[study.base : study.base + study.pool], names[-study.test :]
    common = {"batch": 2, "held_out": 0}
    settings = {**common, "steps": arguments.base_steps}
    base = base_model(cohort, names[: study.base], settings=settings, folder=arguments.out / "base")
    where = "other" if arguments.other_site else "own"
    every = set(cohort.structures)
    site = write_site(cohort, pool, arguments.out / f"{where}-drawn", other=arguments.other_site, drawn={DRAWN})
    judged = write_site(cohort, test, arguments.out / f"{where}-test", other=arguments.other_site, drawn=every)

    def tell(words: str, found: list[dict[str, float]]) -> None:
        parts = []
        for name in cohort.structures.values():
            values = [one[name] for one in found]
            parts.append(f"{' '.join(f'{value:.3f}' for value in values)} | {np.mean(values):.3f}")
        print(f"| {words} | {' | '.join(parts)} |", flush=True)

    print("| what is trained | drawn part, per seed | mean | kept part, per seed | mean |\n|---|---|---|---|---|")
    tell("base, not fine-tuned", [measure(base, judged, test, kept=arguments.out / f"{where}-base.json")])
    for method in arguments.methods.split(","):
        for rehearse in ("false", "true"):
            variant = f"{method}:rehearse={rehearse}"
            found = []
            for seed in range(arguments.seeds):
                drawn = random.Random(seed).sample(pool, arguments.cases)
                out = arguments.out / f"{where}-{variant.replace(':', '-')}-{arguments.cases}-cases-seed-{seed}"
                run = {**common, "steps": STEPS_FROM_BASE}
                bundle = trained(site, base, settings=run, variant=variant, names=drawn, seed=seed, out=out)
                found.append(measure(bundle, judged, test, kept=out / "dice.json"))
            tell(variant, found)


if __name__ == "__main__":
    main()
