"""From settings and a measured cohort to everything that a run needs, decided before anything is trained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from HQCSegmentLib.bundle import Inference, Manifest
from HQCSegmentLib.cohort import Fingerprint, Preprocessing
from HQCSegmentLib.cohort.fingerprint import Intensities
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Structure
from HQCSegmentLib.networks import NetworkSpec, Slices, input_names, specify
from HQCSegmentLib.planning.structure_names import structure_for
from HQCSegmentLib.training.config import ClassWeights, TrainConfig
from HQCSegmentLib.training.rates import choose_angle_rate, choose_learning_rate
from HQCSegmentLib.training.sizes import check_patch, fit_memory, multiples

PATCH_VOXELS = {2: 256 * 256, 3: 96**3}
"""Largest patch: fits a laptop's memory with every network of the catalogue."""

FEWEST_SLICES = 8
"""Of fewer slices a 3D network would see more padding than image: its deepest level halves them three times."""

RARE = 0.0005
"""Part of an image below which a structure counts as rare."""

USUAL_STEPS = 600
"""Steps of a run where the user asks for no number of them; fewer where they take too long (`training.budget`)."""

CLASSICAL_PART = 0.01
"""Training small layers in full was better from scratch and from a weak base, for every method (Docs/results.md)."""


class Plan(BaseModel):
    """Decided before training; written to `config.json` with the reasons."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkSpec
    labels: tuple[Structure, ...]
    preprocessing: Preprocessing
    inference: Inference
    class_weights: ClassWeights = "equal"
    steps: int
    checks: int = Field(default=10, description="how often held-out Dice is measured on the way")
    learning_rate: float = Field(description="of ordinary weights")
    angle_rate: float = Field(description="of circuit angles, radians per step")
    micro_batches: int = Field(default=1, description="parts of a step's patches, one after the other")
    classical_part: float = Field(default=0.0, description="layers of at most this part of the weights stay classical")
    reasons: tuple[str, ...] = Field(description="why, in words")
    warnings: tuple[str, ...] = Field(default=(), description="what was asked for and may fail")

    @property
    def inputs(self) -> tuple[str, ...]:
        """What the network's inputs are, in order: images of a patient, or slices of them."""
        return input_names(self.preprocessing.names, self.inference.slices)


def plan_from_scratch(
    config: TrainConfig,
    measured: Fingerprint,
    structures: dict[int, str],
    *,
    patch: tuple[int, ...] | None = None,
) -> Plan:
    """Plan of a run that starts from random weights.

    Args:
        config: What was asked for.
        measured: Of the cohort.
        structures: Of the cohort, by label value.
        patch: In place of the one that is chosen here; why is left to the caller to say.

    Raises:
        InputError: for settings that do not fit together.
    """
    preprocessing = measured.preprocessing(config.normalization)
    spacing_reason = _why_spacing(measured, preprocessing.spacing)
    if config.spacing is not None:
        preprocessing = preprocessing.model_copy(update={"spacing": config.spacing})
        spacing_reason = f"spacing {config.spacing} mm: as asked"
    dims, dims_reason = choose_dims(config, measured, preprocessing)
    slices = config.slices or 1
    network = specify(
        config.network or "unet",
        dims=dims,
        preset=config.preset or "small",
        in_channels=len(measured.channels) * slices,
        out_channels=len(structures) + 1,
        spacing=preprocessing.spacing,
    )
    reasons = [
        dims_reason,
        f"network {network.name}, {config.preset or 'small'}: "
        + (
            "as asked" if config.network and config.preset else "fits a laptop; ask for another with network and preset"
        ),
        *_why_strides(network, preprocessing.spacing),
        spacing_reason,
        *(
            f"normalization {how.normalization} of {how.name}: "
            + ("as asked" if config.normalization else _why_normalization(seen))
            for how, seen in zip(preprocessing.channels, measured.channels, strict=True)
        ),
    ]
    if patch is None:
        patch, reason = choose_patch(config, measured, preprocessing, network)
        reasons.append(reason)
    sizes = fit_memory(config, patch, network)
    class_weights, weights_reason = choose_class_weights(config, measured, structures.values())
    classical_part, part_reason = choose_classical_part(config, kept=())
    reasons += [*sizes.reasons, weights_reason, *part_reason]
    return Plan(
        network=network,
        labels=tuple(structure_for(name, value) for value, name in structures.items()),
        preprocessing=preprocessing,
        inference=Inference(window=sizes.patch, slices=slices),
        class_weights=class_weights,
        steps=config.steps or USUAL_STEPS,
        learning_rate=choose_learning_rate(config, from_base=False, in_full=classical_part > 0),
        angle_rate=choose_angle_rate(config, from_base=False),
        micro_batches=sizes.micro_batches,
        classical_part=classical_part,
        reasons=tuple(reasons),
        warnings=sizes.warnings,
    )


def _why_strides(network: NetworkSpec, spacing: tuple[float, float, float]) -> list[str]:
    usual = max(network.divisors)
    return [
        f"made {divisor} times coarser along {axis} and not {usual} times, since voxels are {length:g} mm long there"
        for axis, divisor, length in zip("RAS", network.divisors, spacing, strict=False)
        if divisor < usual
    ]


def _why_normalization(seen: Intensities) -> str:
    if not seen.hounsfield:
        return "intensities have no absolute scale"
    return "intensities are Hounsfield units" + (f" stored with an offset of {-seen.offset:.0f}" if seen.offset else "")


def choose_dims(config: TrainConfig, measured: Fingerprint, preprocessing: Preprocessing) -> tuple[Literal[2, 3], str]:
    """Slices or volumes, and why: slices where a volume has too few of them for a network that halves it."""
    if config.dims is not None:
        return config.dims, f"{config.dims}D: as asked"
    if config.slices is not None and config.slices > 1:
        return 2, f"2D: {config.slices} slices at once are asked for"
    slices = round(measured.median_extent[2] / preprocessing.spacing[2])
    if slices < FEWEST_SLICES:
        return 2, f"2D: images have {slices} slices in the median, and volumes need {FEWEST_SLICES}"
    return (
        3,
        f"3D: images have {slices} slices in the median, enough for volumes (anisotropy {measured.anisotropy:.1f})",
    )


def _why_spacing(measured: Fingerprint, spacing: tuple[float, float, float]) -> str:
    text = f"spacing {spacing} mm: median of {measured.cases} case(s)"
    if measured.coarse_axis is None or spacing[measured.coarse_axis] == round(max(measured.median_spacing), 4):
        return text
    return f"{text}, along {'RAS'[measured.coarse_axis]} that of the finest tenth, since slices are far apart"


def plan_from_base(
    config: TrainConfig,
    base: Manifest,
    measured: Fingerprint,
    structures: dict[int, str],
    *,
    patch: tuple[int, ...] | None = None,
) -> Plan:
    """Plan of a run that continues from a base model: its network, preparation and structures.

    Args:
        config: What was asked for.
        base: Of the base model.
        measured: Of the cohort.
        structures: Of the cohort, by label value.
        patch: In place of the base's or the one that was asked for; why is left to the caller to say.

    Raises:
        InputError: if the settings ask for something else than the base is, or the cohort's images are not the base's.
    """
    for name, wanted, there in (
        ("network", config.network, base.network.name),
        ("dims", config.dims, base.network.dims),
        ("spacing", config.spacing, base.preprocessing.spacing),
        ("normalization", config.normalization, base.preprocessing.channels[0].normalization),
    ):
        if wanted is not None and wanted != there:
            msg = f"the base model has {name} {there}, but {wanted} was asked for; leave {name} out to use the base's."
            raise InputError(msg)
    if config.preset is not None:
        msg = "the size of the network is the base model's; leave preset out."
        raise InputError(msg)
    if patch is None:
        patch = base.inference.window if config.patch is None else check_patch(config.patch, base.network)
    slices, slices_reasons = choose_slices(config, base)
    labels, reasons = choose_structures(base, structures, config)
    preprocessing, offset_reasons = in_stored_units(
        choose_channels(base.preprocessing, measured), base.fingerprint, measured
    )
    new = [name for name in structures.values() if name not in base.names.values()]
    class_weights, weights_reason = choose_class_weights(config, measured, new)
    drawn = set(structures.values())
    classical_part, part_reason = choose_classical_part(
        config, kept=[structure.name for structure in labels if structure.name not in drawn]
    )
    channels = {"in_channels": len(preprocessing.channels) * slices, "out_channels": len(labels) + 1}
    network = base.network.model_copy(update=channels)
    sizes = fit_memory(config, patch, network)
    return Plan(
        network=network,
        labels=labels,
        preprocessing=preprocessing,
        inference=base.inference.model_copy(update={"window": sizes.patch, "slices": slices}),
        class_weights=class_weights,
        steps=config.steps or USUAL_STEPS,
        learning_rate=choose_learning_rate(config, from_base=True, in_full=classical_part > 0),
        angle_rate=choose_angle_rate(config, from_base=True),
        micro_batches=sizes.micro_batches,
        classical_part=classical_part,
        reasons=(
            "network and preparation: the base model's",
            *slices_reasons,
            *offset_reasons,
            *reasons,
            *sizes.reasons,
            weights_reason,
            *part_reason,
        ),
        warnings=sizes.warnings,
    )


def choose_class_weights(
    config: TrainConfig, measured: Fingerprint, learned: Iterable[str]
) -> tuple[ClassWeights, str]:
    """Whether rare structures count more in the loss at first, and why: where the network has yet to find them.

    Args:
        config: What was asked for.
        measured: Of the cohort.
        learned: Names of the structures that the start weights do not know.
    """
    if config.class_weights is not None:
        return config.class_weights, f"class weights {config.class_weights}: as asked"
    rare = [name for name in learned if measured.frequencies.get(name, 1.0) < RARE]
    if not rare:
        return "equal", "class weights equal: no structure that is new to the network is rare"
    return "rare", f"class weights rare: {', '.join(rare)} fill less than {RARE:.2%} of an image"


def choose_classical_part(config: TrainConfig, *, kept: Sequence[str]) -> tuple[float, list[str]]:
    """Which small layers are trained in full, as part of the weights, and why.

    Args:
        config: What was asked for.
        kept: Structures that only the base knows; where they are not rehearsed, nothing in the loss holds them while
            the last layers change freely.
    """
    if config.method in ("full", "norms"):
        trained = "no weights of layers" if config.method == "norms" else "all weights"
        unused = f"classical part: without effect, since method {config.method} trains {trained}"
        return 0.0, [] if config.classical_part is None else [unused]
    if config.classical_part is not None:
        return config.classical_part, [f"layers of up to {config.classical_part:.1%} of the weights in full: as asked"]
    # Who names layers, or wants all weights generated, is taken at their word.
    if config.include != ("*",) or config.start == "zero":
        return 0.0, []
    if kept and not config.rehearse:
        return 0.0, [f"small layers not in full: {', '.join(kept)}, which only the base knows, would suffer"]
    return CLASSICAL_PART, [f"layers of up to {CLASSICAL_PART:.0%} of the weights are trained in full: small ones"]


def choose_structures(
    base: Manifest, structures: dict[int, str], config: TrainConfig
) -> tuple[tuple[Structure, ...], list[str]]:
    """Structures of a model that is fine-tuned, in order of the network's outputs, and the reasons.

    Args:
        base: Of the base model.
        structures: Of the cohort.
        config: Whether those that only the base knows stay, and are rehearsed.
    """
    wanted = set(structures.values())
    stay = [structure for structure in base.labels if config.keep_structures or structure.name in wanted]
    kept = [structure.name for structure in stay if structure.name not in wanted]
    dropped = [structure.name for structure in base.labels if structure not in stay]
    new = [name for name in structures.values() if name not in base.names.values()]
    # Values stay what they are; new ones come after all that the base had.
    first = max(structure.value for structure in base.labels) + 1
    added = [structure_for(name, first + number) for number, name in enumerate(new)]
    reasons = [f"structures taken over from the base model: {len(stay)}"]
    if added:
        reasons.append(f"structures that the base model does not know: {', '.join(new)}; they begin as background")
    if kept and config.rehearse:
        reasons.append(f"drawn by the base model in the training cases, so as not to be forgotten: {', '.join(kept)}")
    if dropped:
        reasons.append(f"structures of the base model that are left out: {', '.join(dropped)}")
    return (*stay, *added), reasons


def choose_slices(config: TrainConfig, base: Manifest) -> tuple[Slices, list[str]]:
    """Slices that a network that is fine-tuned sees at once, and the reasons if they are not the base model's.

    Raises:
        InputError: for more than one slice where the base is no 2D network, or a method that cannot learn to use them.
    """
    there = base.inference.slices
    if config.slices is None or config.slices == there:
        return there, []
    if base.network.dims != 2:
        msg = f"the base model has dims {base.network.dims}, and {config.slices} slices need dims 2; leave slices out."
        raise InputError(msg)
    if config.slices > there and config.method == "norms":
        msg = (
            f"method norms trains no weights that could use slices which the base model has not seen ({there} at "
            "once); leave slices out, or choose another method."
        )
        raise InputError(msg)
    reason = f"slices {config.slices} at once (base model: {there}): those that both see keep the base model's weights"
    return config.slices, [reason + (", the others begin without weight" if config.slices > there else "")]


def choose_channels(base: Preprocessing, measured: Fingerprint) -> Preprocessing:
    """Preparation of the cohort's images for a base model: its own for images of the same name, measured for new ones.

    Raises:
        InputError: if the cohort has another number of images per case, and no name says which is which.
    """
    there, wanted = measured.names, base.names
    if not set(there) & set(wanted):
        if len(there) == len(wanted):
            return base
        msg = (
            f"the base model takes {len(wanted)} image(s) per case ({', '.join(wanted)}), and the cohort has "
            f"{len(there)} ({', '.join(there)}); give images that are the same the same name in cohort.json."
        )
        raise InputError(msg)
    known = {channel.name: channel for channel in base.channels}
    new = {channel.name: channel for channel in measured.preprocessing().channels}
    return base.model_copy(update={"channels": tuple(known.get(name, new[name]) for name in there)})


def in_stored_units(
    preparation: Preprocessing, base: Fingerprint, measured: Fingerprint
) -> tuple[Preprocessing, list[str]]:
    """A base model's preparation of CT for images that are stored with another offset to Hounsfield units, and why.

    Args:
        preparation: As `choose_channels` gives it, so that its channels are in the order of the cohort's.
        base: Of the images that the base model was trained on.
        measured: Of the cohort.
    """
    known = {seen.name: seen for seen in base.channels}
    channels, reasons = [], []
    for channel, own in zip(preparation.channels, measured.channels, strict=True):
        there = known.get(channel.name, own)
        shift = there.offset - own.offset
        if channel.normalization == "ct" and there.hounsfield and own.hounsfield and shift:
            limits = {"low": channel.low + shift, "high": channel.high + shift, "mean": channel.mean + shift}
            channel = channel.model_copy(update=limits)
            reasons.append(
                f"normalization of {channel.name}: the base model's, moved by {shift:+.0f}, as CT is stored here"
            )
        channels.append(channel)
    return preparation.model_copy(update={"channels": tuple(channels)}), reasons


def choose_patch(
    config: TrainConfig, measured: Fingerprint, preprocessing: Preprocessing, network: NetworkSpec
) -> tuple[tuple[int, ...], str]:
    """Patch and the reason for it: the median image, in multiples of the network's divisor, within PATCH_VOXELS."""
    if config.patch is not None:
        return check_patch(config.patch, network), f"patch {config.patch}: as asked"
    divisors = network.divisors
    sides = [
        max(1, extent / spacing) for extent, spacing in zip(measured.median_extent, preprocessing.spacing, strict=True)
    ][: network.dims]
    budget = PATCH_VOXELS[network.dims]

    def fitting() -> tuple[int, ...]:
        return tuple(math.ceil(side / divisor) * divisor for side, divisor in zip(sides, divisors, strict=True))

    # Shrink the longest side first: it has most to spare.
    while math.prod(fitting()) > budget:
        longest = max(range(len(sides)), key=lambda axis: sides[axis])
        sides[longest] -= divisors[longest]
    window = fitting()
    if all(side <= divisor for side, divisor in zip(window, divisors, strict=True)):
        # Normalisation needs more than one voxel at the network's deepest level.
        window = (2 * divisors[0], *window[1:])
    return window, f"patch {window}: the median image in multiples of {multiples(network)}, at most {budget} voxels"
