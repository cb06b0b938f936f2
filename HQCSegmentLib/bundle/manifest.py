"""`bundle.json`: what a model is, in words and numbers. Nothing in it can run code or name a patient."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from HQCSegmentLib.bundle.postprocessing import PostProcessing
from HQCSegmentLib.cohort import Fingerprint, Preprocessing
from HQCSegmentLib.imaging import Structure
from HQCSegmentLib.networks import NetworkSpec, Slices, input_names

Checksum = Annotated[str, StringConstraints(pattern="^[0-9a-f]{64}$")]

RESEARCH_USE = "Research use only. Not a medical device; not for clinical decisions."


class Inference(BaseModel):
    """How the network is slid over an image."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: tuple[int, ...] = Field(description="voxels of a window along R, A, S (2D: R, A)")
    overlap: float = Field(default=0.5, ge=0, lt=1, description="part of a window shared with its neighbour")
    slices: Slices = Field(
        default=1, description="slices of each image that a 2D network sees, the middle one of which it labels (2.5D)"
    )


class Certainty(BaseModel):
    """How sure a network is of a structure on cases that it was not trained on, and how right it is there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cases: int = Field(ge=1, description="held-out cases, of all folds where there are folds")
    expected: float = Field(gt=0, description="mean of the Dice that the network's probabilities let expect")
    dice: float = Field(description="mean Dice")


class TrainingSummary(BaseModel):
    """How the model came about; case counts only, no case names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: str = Field(description="what was trained: qpg, full, or a control")
    cases: int = Field(description="cases trained on")
    steps: int = Field(description="optimizer steps")
    seed: int = Field(description="seed of all random draws")
    trainable_numbers: int = Field(description="numbers that were trained")
    network_numbers: int = Field(description="numbers of the whole network")
    from_base: bool = Field(description="fine-tuned from a base model, not from scratch")
    mirrored: bool = Field(default=False, description="half of the patches were mirrored left to right")
    base_weights_sha256: str | None = Field(default=None, description="SHA-256 of the base model's weights")
    held_out_dice: dict[str, float] = Field(
        default_factory=dict,
        description="mean Dice per structure on held-out cases, without post-processing; empty if none were held out",
    )
    postprocessing_gain: dict[str, float] = Field(
        default_factory=dict,
        description="what post-processing adds to a structure's mean Dice on the cases that it was chosen by (held-out "
        "cases, or those of all folds), each case judged with the steps that the others chose",
    )
    certainty: dict[str, Certainty] = Field(
        default_factory=dict, description="how far each structure's own certainty may be believed"
    )


class Manifest(BaseModel):
    """Contents of `bundle.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    software: str = Field(description="version of HQCSegment that wrote the bundle")
    notice: str = RESEARCH_USE
    network: NetworkSpec
    labels: tuple[Structure, ...] = Field(min_length=1, description="structures in order of the network's outputs")
    preprocessing: Preprocessing
    inference: Inference
    fingerprint: Fingerprint
    training: TrainingSummary
    postprocessing: dict[str, PostProcessing] = Field(
        default_factory=dict, description="what is done to structures after the network, by name"
    )
    weights_sha256: Checksum = Field(description="SHA-256 of model.safetensors")
    further_weights_sha256: tuple[Checksum, ...] = Field(
        default=(), description="of an ensemble: SHA-256 of member2.safetensors, member3.safetensors, ..."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if self.network.out_channels != len(self.labels) + 1:
            msg = f"the network has {self.network.out_channels} outputs for {len(self.labels)} structures + background"
            raise ValueError(msg)
        if len(self.inference.window) != self.network.dims:
            msg = f"the window {self.inference.window} does not fit a network of {self.network.dims} dimensions"
            raise ValueError(msg)
        if self.inference.slices > 1 and self.network.dims != 2:
            msg = f"{self.inference.slices} slices for a network of {self.network.dims} dimensions"
            raise ValueError(msg)
        if self.network.in_channels != len(self.inputs):
            there = f"{len(self.preprocessing.channels)} channels"
            if self.inference.slices > 1:
                there += f" of {self.inference.slices} slices"
            msg = f"{there} for a network that takes {self.network.in_channels}"
            raise ValueError(msg)
        return self

    def without_checksums(self) -> dict[str, Any]:
        """Fields by name, as `Bundle.write` takes them."""
        names = [name for name in type(self).model_fields if name not in ("weights_sha256", "further_weights_sha256")]
        return {name: getattr(self, name) for name in names}

    @property
    def members(self) -> int:
        """Networks whose scores are averaged; 1 unless the model is an ensemble."""
        return 1 + len(self.further_weights_sha256)

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the network's inputs are, in order: images of a patient, or slices of them."""
        return input_names(self.preprocessing.names, self.inference.slices)

    @property
    def names(self) -> dict[int, str]:
        """Structure names by label value."""
        return {structure.value: structure.name for structure in self.labels}


def monai_metadata(manifest: Manifest) -> dict[str, Any]:
    """`metadata.json` as MONAI bundles have it, for tools that look there."""
    import monai
    import numpy
    import torch

    channels = {"0": "background"} | {str(i): s.name for i, s in enumerate(manifest.labels, start=1)}
    images = manifest.preprocessing.channels
    return {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
        "meta_schema_20240725.json",
        "version": "1.0.0",
        "changelog": {"1.0.0": "written by HQCSegment"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": numpy.__version__,
        "name": "HQCSegment model",
        "task": "Segmentation for radiotherapy planning",
        "description": "Fine-tuned segmentation network.",
        "intended_use": RESEARCH_USE,
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    "format": "hounsfield" if all(one.normalization == "ct" for one in images) else "magnitude",
                    "num_channels": manifest.network.in_channels,
                    "spatial_shape": list(manifest.inference.window),
                    "dtype": "float32",
                    "is_patch_data": True,
                    "channel_def": {str(number): name for number, name in enumerate(manifest.inputs)},
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": manifest.network.out_channels,
                    "spatial_shape": list(manifest.inference.window),
                    "dtype": "float32",
                    "is_patch_data": True,
                    "channel_def": channels,
                }
            },
        },
    }
