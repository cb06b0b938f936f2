"""How intensities are made comparable; apart from where it is done, so that settings are read without loading that."""

from __future__ import annotations

from typing import Literal

Normalization = Literal["ct", "zscore"]
"""ct: clipped and scaled alike in all images; zscore: each image by its own mean and deviation."""
