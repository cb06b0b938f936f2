"""Settings of segmenting."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Quality = Literal["fast", "standard", "best"]


class SegmentConfig(BaseModel):
    """How an image is segmented; the defaults are what the model was judged with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Literal["torch", "onnx", "openvino"] = Field(
        default="torch", description="program that computes the network; onnx and openvino use the CPU"
    )
    quality: Quality = Field(
        default="standard",
        description="fast: windows overlap less; best: the image is looked at mirrored too, where the model was "
        "trained so (train --flips) and structures allow it",
    )
    contours: Literal["label", "probability"] = Field(
        default="label",
        description="how an RTSTRUCT is traced: around the voxels of the label map, or between the voxels, where the "
        "network finds a structure and the next one equally probable",
    )
    postprocessing: bool = Field(
        default=True,
        title="Post-processing",
        description="do the post-processing that the model was given in training",
    )
