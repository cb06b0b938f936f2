"""Accuracy of training methods on a few real cases, from scratch and fine-tuned at another "site".

    python Testing/Benchmarks/accuracy.py --out STUDY [--cohort NAME] [--methods qpg,full] [--cases 4] [--seeds 3]

A base model is trained on some cases of a cohort. Others are changed as another site's scanner might have taken them
(see `other_site`; with `--shift modality` more than that). Each method fine-tunes the base on a few of them, and Dice
is measured on others of that site, with several seeds that draw other training cases and other random numbers. With
`--from-scratch` there is no base model: each method trains random weights on a few cases of the cohort as it is. With
`--every N` images keep every Nth slice only, as where slices are far apart.

Cohorts (folders of --data):
- hippocampus: T1 MR, 200 cases; base 100, drawn from 40, tested on 40.
- openkbp_hn: head-and-neck CT, seven organs, 28 cases; base 10, drawn from 8 (from scratch 18), tested on 8.
- sts_gtv: CT of sarcomas, the gross tumor volume, 16 cases; base 5, drawn from 5 (from scratch 10), tested on 6.

A method may be given other settings than the defaults: `qpg:depth=4:angle_spread=0.5`. Finished parts and what was
measured of them are kept in STUDY, so that the command can be stopped and started again, and several may work in one
STUDY at different methods or seeds (`--first-seed`) once the base is there (`--base-only`). Writes STUDY/results.json
and prints the table. A run of the hippocampus takes about one minute on a core, of the others five to ten.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

import HQCSegmentLib as hqc
from HQCSegmentLib.cli.options import make
from HQCSegmentLib.evaluation import dice_per_structure
from HQCSegmentLib.files import write_json
from HQCSegmentLib.imaging import write_array

STEPS_FROM_BASE, STEPS_FROM_SCRATCH = 250, 600


@dataclass(frozen=True)
class Study:
    """How a cohort is divided, and what every run of it has in common.

    Attributes:
        base: Cases that the base model is trained on.
        pool: Cases that training cases are drawn from; from scratch those of the base too, unless these
            are twice as many as are drawn.
        test: Cases to judge by. What is left over is for tuning.
        settings: Of every run, of `TrainConfig`.
        hounsfield: Offset of the intensities to Hounsfield units; None: no CT.
    """

    base: int
    pool: int
    test: int
    settings: Mapping[str, Any] = field(default_factory=dict)
    hounsfield: int | None = None


STUDIES = {
    "hippocampus": Study(base=100, pool=40, test=40),
    "openkbp_hn": Study(base=10, pool=8, test=8, settings={"patch": (48, 48, 48)}, hounsfield=-1024),
    "sts_gtv": Study(
        base=5, pool=5, test=6, settings={"patch": (64, 64, 32), "spacing": (2.0, 2.0, 3.3)}, hounsfield=0
    ),
}


def other_scanner(array: npt.NDArray, *, shift: str, seed: int) -> npt.NDArray[np.float32]:
    """A T1 image as if it came from elsewhere.

    Scaled to [0, 1] between its 0.5th and 99.5th percentile; then "scanner": contrast inverted; "modality": intensity x
    becomes (1 - cos(3 pi x)) / 2, so that tissues that were brighter or darker than others look alike, and alike ones
    differ. Blurred by 0.7 voxels, multiplied by a smooth bias field of +-40 %, and given Gaussian noise of 0.06.
    """
    generator = np.random.default_rng(seed)
    low, high = np.percentile(array, (0.5, 99.5))
    image = np.clip((array - low) / (high - low), 0, 1)
    image = 1 - image if shift == "scanner" else (1 - np.cos(3 * np.pi * image)) / 2
    image = gaussian_filter(image, 0.7)
    bias = gaussian_filter(generator.standard_normal(array.shape), 12)
    image = image * (1 + 0.4 * bias / np.abs(bias).max())
    return (image + generator.normal(0, 0.06, array.shape)).astype(np.float32)


def cone_beam(array: npt.NDArray, *, seed: int) -> npt.NDArray[np.float32]:
    """A CT in Hounsfield units with the faults of a cone-beam CT.

    Blurred by 0.7 voxels; above air multiplied by 0.8 and lowered by 60 HU (scatter); lowered by up to 120 HU towards
    the middle of the image (cupping); Gaussian noise of 60 HU.
    """
    generator = np.random.default_rng(seed)
    image = gaussian_filter(array.astype(np.float32), 0.7)
    image = np.where(image > -900, 0.8 * image - 60, image)
    radii = [np.linspace(-1, 1, length) for length in array.shape[:2]]
    cup = np.clip(1 - radii[0][:, None] ** 2 - radii[1][None, :] ** 2, 0, 1)
    image -= 120 * cup[..., None] * (image > -900)
    return (image + generator.normal(0, 60, array.shape)).astype(np.float32)


def other_site(array: npt.NDArray, study: Study, *, shift: str, seed: int) -> npt.NDArray[np.float32]:
    """An image as another site might have taken it."""
    if study.hounsfield is None:
        return other_scanner(array, shift=shift, seed=seed)
    return cone_beam(array + study.hounsfield, seed=seed) - study.hounsfield


Changed = tuple[npt.NDArray, npt.NDArray, npt.NDArray]
"""Image, label map and affine."""


def write_changed(cohort: Any, names: Iterable[str], folder: Path, change: Callable[[Any, int], Changed]) -> None:
    """Write cases as a cohort, each as `change` makes it from the labelled case and its number."""
    for case in cohort.subset(names).cases:
        target = folder / "images" / f"{case.name}.nii.gz"
        if target.exists():
            continue
        number = int("".join(filter(str.isdigit, case.name)))
        image, label, affine = change(case.read(cohort.structures), number)
        write_array(folder / "labels" / target.name, label.astype(np.uint8), affine)
        write_array(target, image, affine)


def write_site(cohort: Any, study: Study, names: list[str], folder: Path, *, shift: str) -> None:
    """Write the changed images and their labels as a cohort."""

    def change(labelled: Any, number: int) -> Changed:
        image = other_site(labelled.image.array, study, shift=shift, seed=number)
        return image, labelled.label, labelled.image.affine

    write_changed(cohort, names, folder, change)


def write_thinned(cohort: Any, folder: Path, *, every: int) -> None:
    """Write a cohort with every so many-th slice along the third axis."""

    def change(labelled: Any, number: int) -> Changed:
        affine = labelled.image.affine @ np.diag([1, 1, every, 1])
        return labelled.image.array[..., ::every], labelled.label[..., ::every], affine

    write_changed(cohort, [case.name for case in cohort.cases], folder, change)


def measure(bundle: Any, cohort: Any, names: list[str], *, kept: Path) -> dict[str, float]:
    """Mean Dice per structure over whole images; what was measured before is read from the file `kept`."""
    if kept.exists():
        found: dict[str, float] = json.loads(kept.read_text())
        return found
    rows = []
    for case in cohort.subset(names).cases:
        labelled = case.read(cohort.structures)
        result = bundle.segment(labelled.image)
        rows.append(dice_per_structure(result.array, labelled.label, cohort.structures))
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    write_json(kept, means)
    return means


def settings_of(variant: str) -> dict[str, str]:
    """Settings of a method as it is written on the command line, `method:name=value:...`."""
    method, *settings = variant.split(":")
    return {"method": method, **dict(setting.split("=", 1) for setting in settings)}


def trained(
    site: Any, base: Any, *, settings: Mapping[str, Any], variant: str, names: list[str], seed: int, out: Path
) -> Any:
    """One run, from the base or from random weights; an existing result is used again."""
    if (out / "bundle" / "bundle.json").exists():
        return hqc.Bundle.open(out / "bundle")
    config = make(hqc.TrainConfig, {**settings, "seed": seed, **settings_of(variant)})
    return hqc.finetune(site.subset(names), base=base, config=config, out=out, resume=out.exists())


def base_model(cohort: Any, names: list[str], *, settings: Mapping[str, Any], folder: Path) -> Any:
    """The base model; an existing one is used again."""
    if (folder / "bundle" / "bundle.json").exists():
        return hqc.Bundle.open(folder / "bundle")
    config = make(hqc.TrainConfig, {**settings, "method": "full"})
    return hqc.finetune(cohort.subset(names), config=config, out=folder, resume=folder.exists())


def main() -> None:
    """Run the study."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the study")
    parser.add_argument("--cohort", default="hippocampus", choices=STUDIES)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("HQC_DATA", "../shared/data")))
    parser.add_argument("--methods", default="qpg,full", help="methods to compare")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--cases", default="4", help="training cases, such as 2,4")
    parser.add_argument(
        "--shift", default="scanner", choices=["scanner", "modality"], help="how the other site's images differ"
    )
    parser.add_argument("--every", type=int, default=1, metavar="N", help="keep every Nth slice only")
    parser.add_argument("--from-scratch", action="store_true", help="train random weights, on the cohort as it is")
    parser.add_argument(
        "--steps", type=int, help=f"steps of a run (default: {STEPS_FROM_BASE}; from scratch {STEPS_FROM_SCRATCH})"
    )
    parser.add_argument("--base-steps", type=int, default=2000, help="steps of the base model")
    parser.add_argument("--base-only", action="store_true", help="train the base model, and nothing else")
    parser.add_argument(
        "--tuning", action="store_true", help="judge on cases that are neither trained on nor tested (hippocampus: 20)"
    )
    arguments = parser.parse_args()

    study = STUDIES[arguments.cohort]
    cohort = hqc.Cohort.open(arguments.data / arguments.cohort)
    if arguments.every > 1:
        folder = arguments.out / f"every-{arguments.every}"
        write_thinned(cohort, folder, every=arguments.every)
        cohort = hqc.Cohort.open(folder)
    names = [case.name for case in cohort.cases]
    random.Random(0).shuffle(names)
    base_names = names[: study.base]
    pool = names[study.base : study.base + study.pool]
    test = names[study.base + study.pool : -study.test] if arguments.tuning else names[-study.test :]
    common = {**study.settings, "batch": 2, "held_out": 0}

    base, site = None, cohort
    if not arguments.from_scratch:
        settings = {**common, "steps": arguments.base_steps}
        base = base_model(cohort, base_names, settings=settings, folder=arguments.out / "base")
        folder = arguments.out / ("site" if arguments.shift == "scanner" else f"site-{arguments.shift}")
        write_site(cohort, study, names[study.base :], folder, shift=arguments.shift)
        site = hqc.Cohort.open(folder)
        # Spacing is the base model's from here on.
        common.pop("spacing", None)
    elif study.pool < 2 * max(map(int, arguments.cases.split(","))):
        pool = base_names + pool
        # Those of them that are not drawn are left over for tuning.
        test = names[: -study.test] if arguments.tuning else test
    common["steps"] = arguments.steps or (STEPS_FROM_SCRATCH if arguments.from_scratch else STEPS_FROM_BASE)

    kind = "scratch-" if base is None else "" if arguments.shift == "scanner" else f"{arguments.shift}-"

    judged = ", tuning" if arguments.tuning else ""

    rows: list[dict[str, Any]] = []

    def add(method: str, cases: int, seed: int | None, numbers: int, dice: dict[str, float], seconds: float) -> None:
        mean = float(np.mean(list(dice.values())))
        row = {"method": method, "cases": cases, "seed": seed, "trainable_numbers": numbers, "dice": dice}
        rows.append({**row, "mean": mean, "seconds": seconds})
        print(f"{method:30} {cases} cases, seed {seed}  {numbers:>9,} numbers  mean Dice {mean:.3f}  {seconds:.0f} s")

    if base is not None:
        full_size = base.manifest.training.network_numbers
        for words, where in (("own site", cohort), ("other site", site)):
            kept = arguments.out / f"{kind}base, {words}{judged}.json"
            add(f"base, {words}", study.base, None, full_size, measure(base, where, test, kept=kept), 0)
        if arguments.base_only:
            return
    for cases in map(int, arguments.cases.split(",")):
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            drawn = random.Random(seed).sample(pool, cases)
            for variant in arguments.methods.split(","):
                start = time.monotonic()
                out = arguments.out / f"{kind}{variant.replace(':', '-')}-{cases}-cases-seed-{seed}"
                bundle = trained(site, base, settings=common, variant=variant, names=drawn, seed=seed, out=out)
                seconds = time.monotonic() - start
                numbers = bundle.manifest.training.trainable_numbers
                kept = out / f"dice{judged}.json"
                others = [name for name in test if name not in drawn]
                add(variant, cases, seed, numbers, measure(bundle, site, others, kept=kept), seconds)

    print("\n| what is trained | cases | trainable numbers | mean Dice per seed | mean |\n|---|---|---|---|---|")
    for method, cases in dict.fromkeys((row["method"], row["cases"]) for row in rows):
        own = [row for row in rows if (row["method"], row["cases"]) == (method, cases)]
        values = [row["mean"] for row in own]
        each = " ".join(f"{value:.3f}" for value in values)
        print(f"| {method} | {cases} | {own[0]['trainable_numbers']:,} | {each} | {np.mean(values):.3f} |")
    write_json(arguments.out / "results.json", rows)


if __name__ == "__main__":
    main()
