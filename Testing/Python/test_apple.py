"""Apple's MPS device, as far as it can be tried without one."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_training_and_contouring_ask_for_nothing_that_apples_device_lacks():
    # In a process of its own: the stand-in changes PyTorch for good.
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "Testing/Apple", "-p", "no:cacheprovider"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-5000:]
