"""Whether a model's doubts are right: on cases that it was not trained on, as they are and changed.

    python Testing/Benchmarks/inference/doubts.py BUNDLE COHORT [--training NAME,...] [--cases 40] [--out FILE]
                                                  [--calibrate NAME,...]

Every case is segmented as it is and with each change: flipped along an axis, cut in half, intensities inverted, another
contrast (see `accuracy.other_scanner`; of a CT: cone beam), or a CT 1024 or 100 HU too high. The label map is changed
alike, so Dice is known for all. A model without held-out cases is calibrated on the cases of `--calibrate`, which are
not judged then, or else on its training cases. A change counts as doubted where the result has a sentence that is not
there for the case as it is; sentences of the cases as they are are false alarms, unless their Dice is low (that a
structure is weak in this model is said of every case, and not counted). Prints a table and Spearman's rank correlation
of confidence and Dice over structures.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from trained_model import ask

import HQCSegmentLib as hqc
from HQCSegmentLib.bundle import Certainty
from HQCSegmentLib.cohort import fingerprint
from HQCSegmentLib.evaluation.metrics import dice
from HQCSegmentLib.inference import SegmentConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from accuracy import cone_beam, other_scanner

AS_IT_IS = "as it is"

OF_THE_MODEL = "is weak in this model"
"""Part of a sentence that is said of every case."""

Change = Callable[[NDArray], NDArray]


def flipped(axis: int) -> Change:
    """Back to front along an axis of (i, j, k)."""
    return lambda array: np.flip(array, axis)


def halved(axis: int) -> Change:
    """The first half along an axis."""
    return lambda array: array[(*[slice(None)] * axis, slice(0, array.shape[axis] // 2))]


def changes_of_place() -> dict[str, Change]:
    """What is done to image and label map alike."""
    names = "first", "second", "third"
    return {
        **{f"flipped along the {name} axis": flipped(axis) for axis, name in enumerate(names)},
        **{f"half along the {name} axis": halved(axis) for axis, name in enumerate(names)},
    }


def changes_of_intensity(offset: float | None) -> dict[str, Change]:
    """What is done to the image alone; `offset` of a CT to HU, None for others."""
    inverted = {
        "intensities inverted": lambda array: float(array.max()) + float(array.min()) - array.astype(np.float32)
    }
    if offset is None:
        return {
            **inverted,
            "other scanner": lambda array: other_scanner(array, shift="scanner", seed=0),
            "other contrast": lambda array: other_scanner(array, shift="modality", seed=0),
            "noise": lambda array: array + np.random.default_rng(0).normal(0, 0.5 * array.std(), array.shape),
        }
    return {
        **inverted,
        "cone beam": lambda array: cone_beam(array + offset, seed=0) - offset,
        "100 HU too high": lambda array: array + 100,
        "1024 HU too high": lambda array: array + 1024,
    }


def main() -> None:
    asked = ask(__doc__, cases=40, calibrates=True)
    cohort, (model,) = asked.cohort, asked.models
    bundle = model.bundle
    if not bundle.manifest.fingerprint.channels[0].profiles:
        # A bundle of an earlier version: its training cases are measured now.
        cases = [case.read(cohort.structures) for case in model.seen]
        measured = fingerprint(cases, channels=cohort.channels, structures=cohort.structures)
        bundle = hqc.Bundle(bundle.path, bundle.manifest.model_copy(update={"fingerprint": measured}))
    if model.calibrating or not bundle.manifest.training.certainty:
        cases = [case.read(cohort.structures) for case in model.calibrating or model.seen]
        bundle = calibrated(bundle, cases)
    seen = bundle.manifest.fingerprint.channels[0]
    same = {AS_IT_IS: lambda array: array}
    of_place = same | changes_of_place()
    of_image = of_place | changes_of_intensity(seen.offset if seen.hounsfield else None)
    values = {name: value for value, name in cohort.structures.items()}
    rows: list[dict] = []
    for case in model.unseen:
        read = case.read(cohort.structures)
        own: set[str] = set()
        for change, change_image in of_image.items():
            result = bundle.segment(hqc.Image(change_image(read.image.array), read.image.affine))
            label = of_place.get(change, same[AS_IT_IS])(read.label)
            # What counts is a sentence about something else, not the same one with other numbers.
            told = [sentence for sentence in result.warnings if OF_THE_MODEL not in sentence]
            about = {re.sub(r"[-\d.]+", "#", sentence) for sentence in told}
            own = about if change == AS_IT_IS else own
            for structure in bundle.manifest.labels:
                reference = label == values[structure.name]
                rows.append(
                    {
                        "case": case.name,
                        "change": change,
                        "structure": structure.name,
                        "dice": dice(result.mask(structure.name), reference) if reference.any() else None,
                        "confidence": result.confidence[structure.name],
                        "doubted": bool(about if change == AS_IT_IS else about - own),
                        "warnings": list(result.warnings),
                    }
                )
        asked.keep(rows)
    print(table(rows, [*of_image]))


def calibrated(bundle: hqc.Bundle, cases: list) -> hqc.Bundle:
    """With the certainty of the model on these cases; on its own training cases it is too good."""
    pairs: dict[str, list[tuple[float, float]]] = {}
    for case in cases:
        result = bundle.segment(case.image, config=SegmentConfig(postprocessing=False))
        for structure in bundle.manifest.labels:
            value = dice(result.mask(structure.name), case.label == structure.value)
            pairs.setdefault(structure.name, []).append((result.confidence[structure.name], value))
    means = {name: np.mean(found, axis=0) for name, found in pairs.items()}
    certainty = {
        name: Certainty(cases=len(cases), expected=expected, dice=value)
        for name, (expected, value) in means.items()
        if expected > 0
    }
    training = bundle.manifest.training.model_copy(update={"certainty": certainty})
    return hqc.Bundle(bundle.path, bundle.manifest.model_copy(update={"training": training}))


def table(rows: list[dict], changes: list[str]) -> str:
    """Mean Dice, confidence and part of the cases doubted for each change, and rank correlations."""
    lines = ["| cases | mean Dice | mean confidence | doubted |", "|---|---|---|---|"]
    for change in changes:
        own = [row for row in rows if row["change"] == change]
        measured = [row["dice"] for row in own if row["dice"] is not None]
        doubted = {row["case"]: row["doubted"] for row in own}
        lines.append(
            f"| {change} | {np.mean(measured):.2f} | {np.mean([row['confidence'] for row in own]):.2f} "
            f"| {100 * np.mean([*doubted.values()]):.0f} % |"
        )
    for name, chosen in (("as they are", [AS_IT_IS]), ("with all changes", changes)):
        pairs = [(r["confidence"], r["dice"]) for r in rows if r["change"] in chosen and r["dice"] is not None]
        rank = float(spearmanr(*zip(*pairs, strict=True)).statistic)
        lines.append(f"\nRank correlation of confidence and Dice over {len(pairs)} structures {name}: {rank:.2f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
