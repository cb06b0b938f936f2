"""From the cases of a cohort to what a run trains on and judges by."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from HQCSegmentLib.cohort import LabelledCase, Prepared
from HQCSegmentLib.cohort.cache import Cache
from HQCSegmentLib.cohort.fingerprint import Intensities
from HQCSegmentLib.imaging import Image, Structure
from HQCSegmentLib.inference.body import body_box
from HQCSegmentLib.inference.windows import Box
from HQCSegmentLib.training.patches import TrainingCase
from HQCSegmentLib.training.plan import Plan


@dataclass(frozen=True, eq=False)
class JudgedCase:
    """A held-out case: prepared once, before the run is written, so that an unusable image is found then.

    Attributes:
        name: Alias of the case.
        image: As it came.
        prepared: What the network sees.
        reference: Output indices on the image's own grid, (i, j, k).
        known: Names of the drawn structures by output index.
        within: Part of the prepared grid that is segmented, as `segment` takes it.
    """

    name: str
    image: Image
    prepared: Prepared
    reference: np.ndarray
    known: dict[int, str]
    within: Box | None


def output_indices(structures: dict[int, str], labels: Sequence[Structure]) -> dict[int, int]:
    """Network output (1, 2, ...) of each label value of the cohort; structures are matched by name."""
    position = {structure.name: index for index, structure in enumerate(labels, start=1)}
    return {value: position[name] for value, name in structures.items()}


def relabel(label: np.ndarray, outputs: dict[int, int]) -> np.ndarray:
    """Label map with the network's output indices in place of the cohort's values."""
    table = np.zeros(max([int(label.max(initial=0)), *outputs]) + 1, np.uint16)
    for value, index in outputs.items():
        table[value] = index
    return table[label]


def make_training_case(case: LabelledCase, plan: Plan, outputs: dict[int, int], cache: Cache) -> TrainingCase:
    """Prepare one case for training."""
    prepared = cache.prepare(case.image, plan.preprocessing)
    known = np.zeros(plan.network.out_channels, bool)
    known[[0, *(outputs[value] for value in case.known)]] = True
    return TrainingCase.make(prepared.array, cache.prepare_label(relabel(case.label, outputs), prepared), known)


def make_judged_case(
    case: LabelledCase, plan: Plan, seen: Intensities, outputs: dict[int, int], cache: Cache
) -> JudgedCase:
    """Prepare one held-out case; `seen`: intensities of the first channel in training."""
    known = {outputs[value]: plan.labels[outputs[value] - 1].name for value in case.known}
    prepared = cache.prepare(case.image, plan.preprocessing)
    within = body_box(case.image, seen, spacing=plan.preprocessing.spacing)
    return JudgedCase(case.image.name, case.image, prepared, relabel(case.label, outputs), known, within)


def content_hash(case: LabelledCase) -> str:
    """SHA-256 of the voxels, the geometry and the contours of a case; nothing of a name or header."""
    digest = hashlib.sha256()
    for array in (*case.image.channels, np.asarray(case.image.affine, np.float64), case.label):
        digest.update(f"{array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    digest.update(repr(sorted(case.known)).encode())
    return digest.hexdigest()
