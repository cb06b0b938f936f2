"""A cohort that trains in seconds, a bright ball and a brighter cube in noise; and a model that needs no training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import HQCSegmentLib as hqc
from HQCSegmentLib.bundle import Bundle
from HQCSegmentLib.cohort import Fingerprint
from HQCSegmentLib.imaging import write_array
from HQCSegmentLib.networks import NetworkSpec

NAMES = {1: "Ball", 2: "Cube"}
SETTINGS = {"patch": (16, 16, 16), "augment": False, "device": "cpu"}


INTENSITIES = (0, 60, 120)
"""Of the background, the ball and the cube."""


def tiny_patient(seed: int, *, intensities: tuple[float, ...] = INTENSITIES) -> tuple[np.ndarray, np.ndarray]:
    """Image and label map, (24, 24, 24)."""
    random = np.random.default_rng(seed)
    places = np.stack(np.meshgrid(*[np.arange(24)] * 3, indexing="ij"), -1)
    label = np.zeros((24, 24, 24), np.uint8)
    label[np.linalg.norm(places - random.integers(7, 10, 3), axis=-1) < 5] = 1
    corner = random.integers(14, 17, 3)
    label[tuple(slice(c, c + 6) for c in corner)] = 2
    image = random.normal(0, 10, label.shape) + np.array(intensities)[label]
    return image.astype(np.float32), label


def write_tiny_cohort(
    folder: Path,
    *,
    patients: int = 4,
    intensities: tuple[float, ...] = INTENSITIES,
    spacing: tuple[float, float, float] = (1.0, 1.0, 2.0),
) -> Path:
    """images/, labels/ and labels.json."""
    affine = np.diag([*spacing, 1.0])
    for seed in range(patients):
        image, label = tiny_patient(seed, intensities=intensities)
        write_array(folder / "images" / f"patient{seed}.nii.gz", image, affine)
        write_array(folder / "labels" / f"patient{seed}.nii.gz", label, affine)
    (folder / "labels.json").write_text(json.dumps(NAMES))
    return folder


def train_all_weights(cohort: Path, out: Path) -> Bundle:
    """A run that learns these patients: all weights from scratch, one patient held out."""
    config = hqc.TrainConfig(method="full", steps=60, learning_rate=5e-3, held_out=1, **SETTINGS)
    return hqc.finetune(hqc.Cohort.open(cohort), config=config, out=out)


def write_threshold_bundle(
    folder: Path,
    *,
    names: tuple[str, str],
    above: tuple[float, float],
    floor: float,
    spacing: tuple[float, float, float],
) -> Path:
    """A model of the first structure above one intensity and the second above a higher one.

    It is a stock UNet with weights set by hand: for an intensity of x above `floor` its scores are 0, x - a and
    2 x - a - b, with the two thresholds a and b.
    """
    network = NetworkSpec(
        name="unet",
        dims=3,
        in_channels=1,
        out_channels=3,
        arguments={
            "channels": [2, 2], "strides": [1], "kernel_size": 1, "up_kernel_size": 1,
            "num_res_units": 0, "norm": "batch", "act": "relu",
        },
    )  # fmt: skip
    built = network.build()
    low, high = (value - floor for value in above)
    first, _, last = (module for module in built.modules() if type(module).__name__.startswith("Conv") and
                      isinstance(getattr(module, "weight", None), torch.Tensor))  # fmt: skip
    with torch.no_grad():
        for parameter in (first.weight, first.bias, last.weight, last.bias):
            parameter.zero_()
        # What is not negative passes the rectifier unchanged.
        first.weight[0] = 1
        last.weight[0, 1], last.weight[0, 2] = 1, 2
        last.bias[1], last.bias[2] = -low, -low - high
    measured = {"cases": 1, "median_spacing": spacing, "median_extent": (100, 100, 100), "hounsfield": True}
    inside = {"foreground_low": 0, "foreground_high": 1, "foreground_mean": 0, "foreground_deviation": 1}
    manifest = {
        "software": "0",
        "network": network,
        "labels": [{"value": value, "name": name} for value, name in enumerate(names, start=1)],
        "preprocessing": {
            "spacing": spacing, "normalization": "ct", "low": floor, "high": floor + 4000, "mean": floor, "deviation": 1
        },
        "inference": {"window": (32, 32, 32), "overlap": 0.25},
        "fingerprint": Fingerprint(**measured, **inside),
        "training": {
            "method": "full", "cases": 1, "steps": 1, "seed": 0, "trainable_numbers": 0, "network_numbers": 0,
            "from_base": False,
        },
    }  # fmt: skip
    return Bundle.write(folder, manifest=manifest, state=built.state_dict()).path


def stop_after(step: int) -> Callable[[dict[str, Any]], None]:
    """Ctrl-C when this step of a run is done, for `on_event`."""

    def stop(event: dict[str, Any]) -> None:
        if event["event"] == "progress" and event["step"] == step:
            raise KeyboardInterrupt

    return stop
