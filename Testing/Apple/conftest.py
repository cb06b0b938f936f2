"""What the tests on the stand-in for Apple's MPS device share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from apple_stand_in import apple_device
from tiny import SETTINGS, write_tiny_cohort

import HQCSegmentLib as hqc


@pytest.fixture
def apple() -> Iterator[torch.device]:
    """The stand-in."""
    with apple_device() as device:
        yield device


@pytest.fixture(scope="session")
def tiny_cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a cohort of four tiny patients."""
    return write_tiny_cohort(tmp_path_factory.mktemp("tiny") / "cohort")


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory, tiny_cohort: Path) -> Path:
    """Folder of a model that knows these patients, trained on the CPU."""
    out = tmp_path_factory.mktemp("tiny-run") / "run"
    config = hqc.TrainConfig(method="full", steps=60, learning_rate=5e-3, held_out=1, **SETTINGS)
    hqc.finetune(hqc.Cohort.open(tiny_cohort), config=config, out=out)
    return out / "bundle"
