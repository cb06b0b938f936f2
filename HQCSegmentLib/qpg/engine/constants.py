"""Constant tensors, made once for every device."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=512)
@torch.inference_mode(mode=False)  # kept, and later saved for backward passes
def index_tensor(places: tuple[int, ...], device: torch.device) -> Tensor:
    """Tensor of whole numbers."""
    return torch.tensor(places, device=device)
