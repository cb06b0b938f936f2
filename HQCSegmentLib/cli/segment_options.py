"""Options of `hqcsegment segment`, for programs that start the command."""

from __future__ import annotations

from pydantic import Field

from HQCSegmentLib.devices import DeviceName
from HQCSegmentLib.inference.config import SegmentConfig


class SegmentOptions(SegmentConfig):
    """How an image is segmented, and where to compute."""

    device: DeviceName = Field(default="auto", description="where to compute")

    def words(self) -> list[str]:
        """Words of the command line; none for what is left at its default."""
        words = [] if self.quality == "standard" else [f"--{self.quality}"]
        for name in ("engine", "device"):
            if name in self.model_fields_set:
                words += [f"--{name}", getattr(self, name)]
        return words if self.postprocessing else [*words, "--no-post-processing"]
