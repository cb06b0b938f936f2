"""From scores on the prepared grid to a label map in the image's own geometry."""

from __future__ import annotations

from HQCSegmentLib.cohort.restoring.restore import LabelMap, restore, restore_planes

__all__ = ["LabelMap", "restore", "restore_planes"]
