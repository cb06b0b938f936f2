"""How a MONAI bundle prepares images, in our terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from HQCSegmentLib.bundle.importing.expressions import NotPlain, resolve
from HQCSegmentLib.cohort.preprocessing import IMAGE_PERCENTILES
from HQCSegmentLib.errors import InputError

HARMLESS = {
    "LoadImage", "EnsureChannelFirst", "AddChannel", "EnsureType", "ToTensor", "CastToType", "Orientation", "Spacing",
    "ScaleIntensityRange", "NormalizeIntensity", "CropForeground", "SelectItems", "DeleteItems", "ToDevice",
    "CopyItems",
}  # fmt: skip
"""Transforms that are understood, or change no voxel that the network sees."""

CLIPPING = "ClipIntensityPercentiles"


@dataclass(frozen=True)
class Preparation:
    """Preparation of images.

    Attributes:
        spacing: Along R, A, S in mm.
        intensities: Fields of `Preprocessing` for one image.
        overlap: Of windows.
        notes: Sentences on what is not exactly as the bundle has it.
    """

    spacing: tuple[float, float, float]
    intensities: dict[str, Any]
    overlap: float = 0.5
    notes: list[str] = field(default_factory=list)


def recognise(
    config: dict[str, Any], spacing: tuple[float, ...] | None, intensities: tuple[float, float] | str | None
) -> Preparation:
    """Read the preparation from a bundle's inference configuration.

    Args:
        config: Of the bundle.
        spacing: What the user says instead; None: as the bundle has it.
        intensities: (low, high) that become 0 and 1, or "zscore", instead of what the bundle has.

    Raises:
        InputError: for what has to be asked for, or cannot be done.
    """
    transforms = _transforms(config)
    _check_orientation(transforms)
    _check_outputs(config)
    if spacing is None:
        spacing = _spacing(transforms)
    notes = [] if intensities is None else ["Intensities are prepared as given, not as the bundle has it."]
    if intensities is None:
        found, notes = _intensities(transforms)
    elif intensities == "zscore":
        found = {"normalization": "zscore"}
    else:
        found = range_as_ct(float(intensities[0]), float(intensities[1]))
    try:
        overlap = resolve(config, config.get("inferer", {}).get("overlap", 0.5))
    except NotPlain:
        overlap = 0.5
    is_part = isinstance(overlap, int | float) and 0 <= overlap < 1
    return Preparation((spacing[0], spacing[1], spacing[2]), found, float(overlap) if is_part else 0.5, notes)


def range_as_ct(low: float, high: float, *, to_low: float = 0.0, to_high: float = 1.0) -> dict[str, Any]:
    """Clipping to [low, high] and mapping to [to_low, to_high], as a mean and deviation: fields of `Channel`.

    Raises:
        InputError: if one of the ranges is empty or runs downwards.
    """
    if not (high > low and to_high > to_low):
        msg = f"intensities from {low:g} to {high:g} cannot be mapped to {to_low:g} to {to_high:g}."
        raise InputError(msg)
    deviation = (high - low) / (to_high - to_low)
    return {
        "normalization": "ct", "low": low, "high": high, "mean": low - to_low * deviation, "deviation": deviation,
    }  # fmt: skip


def _transforms(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Transforms of images by class name without its ending; those of labels are left out."""
    for key in ("preprocessing", "preprocessing_transforms"):
        listed = config.get(key)
        if isinstance(listed, dict):
            listed = listed.get("transforms")
        if isinstance(listed, list):
            break
    else:
        return {}
    found = {}
    for one in listed:
        if not isinstance(one, dict) or one.get("_disabled_") is True:
            continue
        name = str(one.get("_target_", "")).rpartition(".")[2]
        plain = {}
        for key, value in one.items():
            try:
                plain[key] = resolve(config, value)
            except NotPlain:
                plain[key] = None
        found[name.removesuffix("d").removesuffix("D").removesuffix("ict")] = plain
    return found


def _check_orientation(transforms: dict[str, dict[str, Any]]) -> None:
    axes = transforms.get("Orientation", {}).get("axcodes", "RAS")
    if axes != "RAS":
        msg = f"the bundle turns images to {axes}; only RAS can be imported."
        raise InputError(msg)


def _check_outputs(config: dict[str, Any]) -> None:
    """Refuse networks whose outputs are not one structure or background for each voxel."""
    listed = config.get("postprocessing", {})
    listed = listed.get("transforms", []) if isinstance(listed, dict) else []
    for one in listed if isinstance(listed, list) else []:
        if isinstance(one, dict) and one.get("sigmoid") is True:
            msg = "the bundle's structures may overlap (its outputs go through a sigmoid); that cannot be imported."
            raise InputError(msg)


def _spacing(transforms: dict[str, dict[str, Any]]) -> tuple[float, ...]:
    sides = transforms.get("Spacing", {}).get("pixdim")
    if isinstance(sides, int | float):
        sides = [sides] * 3
    if not isinstance(sides, list) or len(sides) != 3 or not all(isinstance(s, int | float) and s > 0 for s in sides):
        msg = "the bundle does not say at which spacing its network works; give it with --spacing, such as 1.5,1.5,2."
        raise InputError(msg)
    return tuple(float(side) for side in sides)


def _intensities(transforms: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], list[str]]:
    ask = "give --intensities LOW,HIGH (mapped to 0 and 1) or --intensities zscore"
    scaled, normalised = transforms.get("ScaleIntensityRange"), transforms.get("NormalizeIntensity")
    clipped = transforms.get(CLIPPING, {})
    # As our own export has it.
    as_here = scaled is None and (clipped.get("lower"), clipped.get("upper")) == IMAGE_PERCENTILES
    unknown = sorted(set(transforms) - HARMLESS - ({CLIPPING} if as_here else set()))
    if unknown:
        msg = f"the bundle prepares images with {', '.join(unknown)}, which has no like here; {ask} if that comes near."
        raise InputError(msg)
    if scaled is not None and normalised is None:
        edges = [scaled.get(key) for key in ("a_min", "a_max", "b_min", "b_max")]
        edges = [edge if edge is not None else default for edge, default in zip(edges, (None, None, 0, 1), strict=True)]
        if scaled.get("clip") is True and all(isinstance(edge, int | float) for edge in edges):
            low, high, to_low, to_high = (float(edge) for edge in edges)  # type: ignore[arg-type]
            return range_as_ct(low, high, to_low=to_low, to_high=to_high), []
    if normalised is not None and scaled is None and not normalised.get("nonzero"):
        note = (
            "Images are normalised each by its own mean and deviation, after clipping of the brightest and darkest "
            "0.5 % of voxels, which the bundle does not do."
        )
        return {"normalization": "zscore"}, [] if as_here else [note]
    msg = f"how the bundle prepares intensities has no like here; {ask} if that comes near."
    raise InputError(msg)
