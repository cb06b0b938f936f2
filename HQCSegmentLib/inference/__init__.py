"""The classical model at work: from an image to a label map in its own geometry.

`SegmentConfig` is read by the panel of 3D Slicer, so this package loads torch only when something else is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from HQCSegmentLib.inference.config import SegmentConfig

if TYPE_CHECKING:
    from HQCSegmentLib.inference.inputs import modality_of, open_image
    from HQCSegmentLib.inference.segmenting import segment, winning_outputs
    from HQCSegmentLib.inference.sliding_window import predict

__all__ = ["SegmentConfig", "modality_of", "open_image", "predict", "segment", "winning_outputs"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    from HQCSegmentLib.inference.inputs import modality_of, open_image
    from HQCSegmentLib.inference.segmenting import segment, winning_outputs
    from HQCSegmentLib.inference.sliding_window import predict

    found = {one.__name__: one for one in (modality_of, open_image, segment, winning_outputs, predict)}
    globals().update(found)
    return found[name]
