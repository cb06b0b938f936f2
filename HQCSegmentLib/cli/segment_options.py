"""Options of `hqcsegment segment`, for the command and for programs that start it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from HQCSegmentLib.cli.options import words_of
from HQCSegmentLib.devices import DeviceName
from HQCSegmentLib.inference.config import SegmentConfig

FLAGS_OF_THEIR_OWN = ("quality", "postprocessing")
"""Fields that the command has as --fast, --best and --no-post-processing."""


class SegmentOptions(SegmentConfig):
    """How an image is segmented, by which models, and where to compute."""

    device: DeviceName = Field(default="auto", description="where to compute")
    ensemble: tuple[Path, ...] = Field(
        default=(),
        description="further models whose scores are averaged with the model's, such as those of other folds; each one "
        "takes its time",
    )

    def words(self) -> list[str]:
        """Words of the command line; none for what is left at its default."""
        words = [] if self.quality == "standard" else [f"--{self.quality}"]
        words += words_of(self, leave_out=FLAGS_OF_THEIR_OWN)
        return words if self.postprocessing else [*words, "--no-post-processing"]
