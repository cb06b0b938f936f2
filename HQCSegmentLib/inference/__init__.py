"""The classical model at work: from an image to a label map in its own geometry.

`SegmentConfig` is read by the panel of 3D Slicer, so this package loads torch only when something else is used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from HQCSegmentLib.inference.config import SegmentConfig

if TYPE_CHECKING:
    from HQCSegmentLib.inference.inputs import modality_of, open_image
    from HQCSegmentLib.inference.segment import segment, winning_outputs
    from HQCSegmentLib.inference.sliding_window import predict

__all__ = ["SegmentConfig", "modality_of", "open_image", "predict", "segment", "winning_outputs"]

_MODULES = {
    "modality_of": "inputs",
    "open_image": "inputs",
    "segment": "segment",
    "winning_outputs": "segment",
    "predict": "sliding_window",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    found = getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
    globals()[name] = found  # in place of the module `segment`, which the import has put there
    return found
