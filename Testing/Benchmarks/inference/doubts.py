"""Whether a model's doubts are right, on cases that it was not trained on: correlation with Dice, and shifted inputs.

    python Testing/Benchmarks/inference/doubts.py BUNDLE COHORT --training NAME,... --cases 40 [--out doubts.json]

For every case the expected Dice and the agreement of mirrored images are set beside the true Dice (Spearman's rank
correlation over cases and structures). Then each case is shifted: flipped along an axis, cut in half, its intensities
inverted, or, for a CT, moved by 1024. A shift counts as flagged where the result has a sentence that the case as it is
does not have; the cases as they are tell how often a sentence comes without need.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from scipy.stats import spearmanr

import HQCSegmentLib as hqc
from HQCSegmentLib.cohort import fingerprint
from HQCSegmentLib.evaluation.metrics import dice
from HQCSegmentLib.inference import SegmentConfig


def shifts(array: np.ndarray, *, hounsfield: bool) -> dict[str, np.ndarray]:
    """The same image as it should not be; arrays have axes (i, j, k)."""
    names = "first", "second", "third"
    found = {f"flipped along the {name} axis": np.flip(array, axis) for axis, name in enumerate(names)}
    for axis, name in enumerate(names):
        keep = [slice(None)] * 3
        keep[axis] = slice(0, array.shape[axis] // 2)
        found[f"half along the {name} axis"] = array[tuple(keep)]
    found["intensities inverted"] = float(array.max()) + float(array.min()) - array.astype(np.float32)
    if hounsfield:
        found["1024 too high"] = array + 1024
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("bundle", type=Path)
    options.add_argument("cohort", type=Path)
    options.add_argument("--training", required=True, help="names of the training cases, with commas")
    options.add_argument("--cases", type=int, default=40)
    options.add_argument("--out", type=Path)
    asked = options.parse_args()
    cohort = hqc.Cohort.open(asked.cohort)
    training = asked.training.split(",")
    bundle = hqc.Bundle.open(asked.bundle)
    if not bundle.manifest.fingerprint.structures:
        # A bundle of an earlier version: its training cases are measured now.
        cases = [case.read(cohort.structures) for case in cohort.cases if case.name in training]
        measured = fingerprint(cases, channels=cohort.channels, structures=cohort.structures)
        manifest = bundle.manifest.model_copy(update={"fingerprint": measured})
        bundle = hqc.Bundle(bundle.path, manifest)
    hounsfield = bundle.manifest.fingerprint.channels[0].hounsfield
    rows, flagged, alarms = [], {}, []
    unseen = [case for case in cohort.cases if case.name not in training][: asked.cases]
    for case in unseen:
        read = case.read(cohort.structures)
        best = bundle.segment(read.image, config=SegmentConfig(quality="best"))
        plain = bundle.segment(read.image)
        own = set(plain.warnings)
        alarms.append(bool(own))
        for structure in bundle.manifest.labels:
            rows.append(
                {
                    "case": case.name, "structure": structure.name,
                    "dice": dice(plain.mask(structure.name), read.label == structure.value),
                    "dice_best": dice(best.mask(structure.name), read.label == structure.value),
                    "confidence": plain.confidence[structure.name],
                    "agreement": best.agreement.get(structure.name),
                }
            )  # fmt: skip
        for name, array in shifts(read.image.array, hounsfield=hounsfield).items():
            result = bundle.segment(hqc.Image(array, read.image.affine))
            # Numbers in a sentence differ; what counts is a sentence about something else.
            known = {sentence.split()[0] for sentence in own}
            new = [one for one in result.warnings if one not in own and one.split()[0] not in known]
            flagged.setdefault(name, []).append(bool(result.warnings) and (bool(new) or not own))
    result = {
        "cases": len(unseen),
        "mean_dice": float(np.mean([row["dice"] for row in rows])),
        "mean_dice_best": float(np.mean([row["dice_best"] for row in rows])),
        "spearman_confidence": float(spearmanr(*_columns(rows, "confidence")).statistic),
        "spearman_agreement": float(spearmanr(*_columns(rows, "agreement")).statistic)
        if all(row["agreement"] is not None for row in rows)
        else None,
        "mean_confidence": float(np.mean([row["confidence"] for row in rows])),
        "flagged_as_they_are": float(np.mean(alarms)),
        "flagged": {name: float(np.mean(values)) for name, values in flagged.items()},
    }
    print(json.dumps(result, indent=2))
    if asked.out:
        asked.out.write_text(json.dumps({**result, "rows": rows}, indent=2))


def _columns(rows: list[dict], name: str) -> tuple[list[float], list[float]]:
    return [row[name] for row in rows], [row["dice"] for row in rows]


if __name__ == "__main__":
    main()
