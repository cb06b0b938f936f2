"""Tests that need an NVIDIA GPU, for `python -m pytest Testing/Cuda`; the usual tests do not collect them.

Without a GPU they fail: whoever calls them wants to know whether a GPU works.
"""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(autouse=True)
def gpu() -> torch.device:
    """The first GPU, with nothing in its cache."""
    if not torch.cuda.is_available():
        pytest.fail("PyTorch sees no NVIDIA GPU on this computer.")
    torch.cuda.empty_cache()
    return torch.device("cuda", 0)
