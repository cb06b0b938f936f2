"""What the tests on the stand-in for Apple's MPS device share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from apple_stand_in import apple_device
from tiny import train_all_weights, write_tiny_cohort


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
    train_all_weights(tiny_cohort, out)
    return out / "bundle"
