"""A cohort that trains in seconds: a bright ball and a brighter cube in noise."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from HQCSegmentLib.imaging import write_array

NAMES = {1: "Ball", 2: "Cube"}
SETTINGS = {"patch": (16, 16, 16), "augment": False, "device": "cpu"}


def tiny_patient(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and label map, (24, 24, 24)."""
    random = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), -1)
    label = np.zeros((24, 24, 24), np.uint8)
    label[np.linalg.norm(places - random.integers(7, 10, 3), axis=-1) < 5] = 1
    corner = random.integers(14, 17, 3)
    label[tuple(slice(c, c + 6) for c in corner)] = 2
    image = random.normal(0, 10, label.shape) + np.array([0, 60, 120])[label]
    return image.astype(np.float32), label


def write_tiny_cohort(folder: Path, *, patients: int = 4) -> Path:
    """images/, labels/ and labels.json."""
    for seed in range(patients):
        image, label = tiny_patient(seed)
        write_array(folder / "images" / f"patient{seed}.nii.gz", image, np.diag([1.0, 1.0, 2.0, 1.0]))
        write_array(folder / "labels" / f"patient{seed}.nii.gz", label, np.diag([1.0, 1.0, 2.0, 1.0]))
    (folder / "labels.json").write_text(json.dumps(NAMES))
    return folder
