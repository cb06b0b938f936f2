"""Settings of a training run. The command's options and the panel's fields are made from this model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, model_validator

from HQCSegmentLib.devices import DeviceName
from HQCSegmentLib.networks.catalogue import NetworkName, Preset
from HQCSegmentLib.networks.slices import Slices
from HQCSegmentLib.normalization import Normalization
from HQCSegmentLib.qpg import QPGConfig
from HQCSegmentLib.qpg.config import MAX_DEPTH, AnsatzName, Channel, Coordinates, Readout, Start

ANGLE_SPREAD_FROM_BASE, ANGLE_SPREAD_FROM_SCRATCH = 0.5, 0.2
"""In radians. Around smaller angles circuits change more of the weights, in nearly as many directions: from scratch
circuits of depth 2 are as good around them as deeper ones (Docs/results.md)."""

Length = Annotated[float, Field(gt=0, allow_inf_nan=False)]
"""In mm."""

Method = Literal["qpg", "full", "lora", "frozen", "noentangle", "randommap", "norms"]
Loss = Literal["dice_ce", "dice_focal", "tversky"]
ClassWeights = Literal["equal", "rare"]
Schedule = Literal["cosine", "onecycle", "constant"]
Precision = Literal["float32", "bfloat16", "float16"]
Augmentation = Literal["usual", "strong"]
AfterFolds = Literal["all", "ensemble", "average"]
Budget = Literal["15min", "1h", "overnight"]

BUDGET_SECONDS: dict[Budget, float] = {"15min": 15 * 60, "1h": 3600, "overnight": 10 * 3600}


class TrainConfig(BaseModel):
    """What to train and how; a value of null is found from the cohort or taken from the base model."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method = Field(
        default="qpg",
        description="qpg: circuits generate the weight updates; full: all weights are trained; controls: lora: "
        "low-rank updates; randommap: a random map in place of circuits; noentangle: circuits without entanglement; "
        "frozen: random circuits that are not trained; norms: only biases and normalisation",
    )
    network: NetworkName | None = Field(default=None, description="network to train (default: the base's, or unet)")
    preset: Preset | None = Field(default=None, description="size of the network (default: small)")
    dims: Literal[2, 3] | None = Field(
        default=None,
        description="2: slice by slice; 3: volumes (default: the base's; else 3, or 2 for images of few slices)",
    )
    slices: Slices | None = Field(
        default=None,
        description="slices that a 2D network sees at once of each image, at the working spacing along S, to label the "
        "middle one (2.5D; default: the base's, or 1; more than 1 imply dims 2)",
    )
    depth: int = Field(default=2, ge=1, le=MAX_DEPTH, description="layers of rotations in every circuit")
    readout: Readout = Field(default="signed", description="how Born probabilities become values")
    ansatz: AnsatzName = Field(default="ry_cnot_ring", description="circuit family and entanglement")
    coordinates: Coordinates = Field(
        default="flat",
        description="where generated values land; flat: weight by weight; walsh: as patterns of signs over all weights "
        "of a channel; register: by input-channel and spatial bits; singular: along the start weights' singular "
        "directions",
    )
    channel: Channel = Field(default="filter", description="what owns a circuit: an output filter, or each kernel")
    angle_spread: float | None = Field(
        default=None,
        ge=0,
        le=10,
        description="deviation in radians of random angles that circuits start around, 0 being the uniform state "
        f"(default: {ANGLE_SPREAD_FROM_BASE} from a base, {ANGLE_SPREAD_FROM_SCRATCH} from scratch)",
    )
    start: Start = Field(
        default="weights",
        description="weights: circuits change the weights that training starts from; zero: they generate all of them "
        "(pure generation)",
    )
    depth_pattern: dict[str, Annotated[int, Field(ge=1, le=MAX_DEPTH)]] = Field(
        default={}, description="other depths by name pattern of the layer, such as model.0*=1; the first that fits"
    )
    include: tuple[str, ...] = Field(
        default=("*",), description="name patterns of the layers that the method changes; the others stay classical"
    )
    exclude: tuple[str, ...] = Field(default=(), description="name patterns of layers that stay classical")
    classical_part: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="layers of at most this part of the weights stay classical (default: 0.01, or 0 where structures "
        "are kept without being rehearsed, and with include or start zero)",
    )
    rank: int | None = Field(
        default=None, ge=1, description="rank of lora (default: as many trained numbers as qpg, or nearest to it)"
    )
    keep_structures: bool = Field(
        default=True, description="keep the base model's structures that the cohort does not have"
    )
    rehearse: bool = Field(
        default=True,
        description="let the base model draw these in the training cases first, so that training does not forget them",
    )
    steps: int | None = Field(
        default=None,
        ge=1,
        description="optimizer steps (default: 600, or as many as fit into 15 minutes)",
    )
    budget: Budget | None = Field(
        default=None,
        description="time that the run may take on this computer: steps, the patch, and from scratch the size of the "
        "network, are set from measured step times (overnight: 10 hours)",
    )
    batch: int = Field(default=2, ge=1, description="patches per step")
    micro_batches: int | None = Field(
        default=None,
        ge=1,
        description="parts of a step's patches that go through the network one after the other, to save memory; "
        "weights are generated once for all of them (default: as few as fit into the device's memory)",
    )
    patch: tuple[PositiveInt, ...] | None = Field(
        default=None, description="voxels of a patch along R, A, S (default: the base's, or found from the cohort)"
    )
    spacing: tuple[Length, Length, Length] | None = Field(
        default=None,
        description="working spacing in mm along R, A, S (default: the base's, or found from the cohort)",
    )
    normalization: Normalization | None = Field(
        default=None,
        description="ct: intensities clipped and scaled alike in all images; zscore: each image by its own mean and "
        "deviation (default: ct where the images are CT)",
    )
    held_out: int | None = Field(
        default=None,
        ge=0,
        description="patients to hold out and measure Dice on (default: a fifth, at least 1)",
    )
    learning_rate: float | None = Field(
        default=None,
        gt=0,
        description="learning rate of ordinary weights (default: 0.003 from a base and for lora, 0.001 for full from "
        "scratch, else 0.01; from a base 0.01 where no layers are trained in full)",
    )
    angle_rate: float | None = Field(
        default=None,
        gt=0,
        description="learning rate of circuit angles, radians per step (default: 0.02 from a base, 0.04 from scratch)",
    )
    scale_rate: float = Field(default=1e-2, gt=0, description="learning rate of circuit scales and shifts")
    factor_rate: float = Field(
        default=1e-2, gt=0, description="learning rate of low-rank factors, random maps and the mapped readout"
    )
    weight_decay: float = Field(default=1e-5, ge=0, description="weight decay of ordinary weights")
    angle_decay: float = Field(default=0.0, ge=0, description="weight decay of angles towards the start weights")
    loss: Loss = Field(
        default="dice_ce",
        description="dice_ce: Dice + cross-entropy; dice_focal: Dice + focal loss, for hard voxels; tversky: misses "
        "cost more than false voxels, for tiny structures",
    )
    class_weights: ClassWeights | None = Field(
        default=None,
        description="rare: structures of few voxels count more in the loss at first, so that they are found at all, "
        "and as much as others later; equal: all alike (default: rare where the network has yet to learn a structure "
        "that fills less than 0.05 % of an image)",
    )
    deep_supervision: bool = Field(
        default=False, description="also judge the network's outputs of less depth in the loss (unetpp, dynunet)"
    )
    schedule: Schedule = Field(
        default="cosine",
        description="of the learning rates; cosine: short warm-up, then down to zero; onecycle: a third up, then down; "
        "constant: after a short warm-up",
    )
    gradient_norm: float = Field(
        default=12.0, ge=0, description="longer gradients are scaled down to this norm, as nnU-Net does (0: never)"
    )
    average: float = Field(
        default=0.0, ge=0, lt=1, description="decay of a running average of the weights, which is then kept (0: none)"
    )
    patience: int | None = Field(
        default=None,
        ge=1,
        description="stop when held-out Dice has not risen for so many of its ten checks, and keep the best state "
        "(default: train to the last step and keep it)",
    )
    precision: Precision = Field(default="float32", description="of the network's layers; weights stay float32")
    augment: bool = Field(default=True, description="vary training patches randomly")
    augmentation: Augmentation = Field(
        default="usual", description="strong: also bending, bias fields and low resolution, for more varied images"
    )
    flips: bool = Field(
        default=False, description="exchange left and right in half of the patches, and structures of the two sides"
    )
    invert_contrast: bool = Field(
        default=False, description="turn bright into dark now and then, for a model of several MR sequences"
    )
    seed: int = Field(default=0, ge=0, description="of all random draws")
    device: DeviceName = Field(default="auto", description="where to compute")
    folds: int | None = Field(
        default=None,
        ge=2,
        description="hold out every patient once, in so many runs, then train on all: cross-validation, or "
        "leave-one-out with as many folds as patients (default: none)",
    )
    after_folds: AfterFolds = Field(
        default="all",
        description="the model of a run with folds; all: trained on all patients in a last run; ensemble: the models "
        "of the folds, whose scores are averaged; average: the base with the mean of what the folds have trained",
    )

    @model_validator(mode="after")
    def _consistent(self) -> TrainConfig:
        if self.budget is not None and self.steps is not None:
            msg = "a budget sets the steps; give --budget or --steps, not both"
            raise ValueError(msg)
        if self.dims == 3 and self.slices is not None and self.slices > 1:
            msg = f"{self.slices} slices are for a 2D network, and dims is 3; leave out one of the two"
            raise ValueError(msg)
        if self.after_folds != "all" and self.folds is None:
            msg = "without folds there is nothing to put together; give --folds, too"
            raise ValueError(msg)
        return self

    def qpg(self, *, from_base: bool) -> QPGConfig:
        """The circuits' part of the settings; which small layers stay classical is for the plan to say."""
        usual = ANGLE_SPREAD_FROM_BASE if from_base else ANGLE_SPREAD_FROM_SCRATCH
        return QPGConfig(
            depth=self.depth,
            readout=self.readout,
            ansatz=self.ansatz,
            coordinates=self.coordinates,
            channel=self.channel,
            angle_spread=usual if self.angle_spread is None else self.angle_spread,
            start=self.start,
            depth_pattern=self.depth_pattern,
            include=self.include,
            exclude=self.exclude,
            seed=self.seed,
        )
