"""Options of `hqcsegment train`, for the command and for programs that start it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from HQCSegmentLib.cli.options import words_of
from HQCSegmentLib.training.config import TrainConfig


class TrainOptions(TrainConfig):
    """The settings of a run, and what else is chosen for it, which its config.json does not keep."""

    splits: Path | None = Field(
        default=None,
        description="JSON file of the cases to train on and to hold out, such as a run's splits.json or nnU-Net's "
        "splits_final.json (its first split)",
    )
    cache: bool = Field(
        default=True, description="keep prepared images on this computer's disk, so that further runs start faster"
    )
    tensorboard: bool = Field(
        default=False,
        title="TensorBoard",
        description="also write curves for TensorBoard into the folder tensorboard of the run; needs the package of "
        "this name",
    )

    def words(self) -> list[str]:
        """Words of the command line for what is no setting."""
        return words_of(self, leave_out=TrainConfig.model_fields)
