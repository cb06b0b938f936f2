"""nnU-Net raw data sets and the Medical Segmentation Decathlon: imagesTr/, labelsTr/, dataset.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.layouts.found import Found, images_in, matching_labels, read_json
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.image_files import image_stem

IGNORE = "ignore"
"""Name that nnU-Net gives to the value of voxels that nobody has looked at; it is no structure."""

DESCRIPTION = "nnU-Net raw or Medical Segmentation Decathlon (imagesTr/, labelsTr/, dataset.json)"


def find(path: Path) -> Found | None:
    """Cases and structures, or None if the folder is laid out in another way."""
    description = path / "dataset.json"
    images, labels = path / "imagesTr", path / "labelsTr"
    if not (description.is_file() and images.is_dir() and labels.is_dir()):
        return None
    content = read_json(description)
    if not isinstance(content, dict):
        msg = f"{description} must hold a JSON object with the key `labels`."
        raise InputError(msg)
    # nnU-Net numbers the channels of a case in the file name, the Decathlon does not.
    channels = content.get("channel_names") or content.get("modality") or {"0": "image"}
    if not isinstance(channels, dict):
        msg = f'{description}: `channel_names` must be like {{"0": "CT"}}, got {channels!r}.'
        raise InputError(msg)
    if len(channels) > 1:
        msg = f"{path} has {len(channels)} images per case; one is supported so far."
        raise InputError(msg)
    files = images_in(images)
    numbered = "channel_names" in content or all(image_stem(image).endswith("_0000") for image in files)
    stems = [(image_stem(image).removesuffix("_0000") if numbered else image_stem(image), image) for image in files]
    label_of = matching_labels(labels, [stem for stem, _ in stems])
    cases = [Case(name=stem, image=image, label=label_of[stem], patient=stem) for stem, image in stems]
    structures = _structures(content.get("labels"), description)
    _refuse_ignored(structures, description)
    return Found("nnU-Net raw or Decathlon", cases, structures)


def _structures(labels: Any, path: Path) -> dict[int, str]:
    """{name: value} as nnU-Net has it or {value: name} as the Decathlon has it."""
    if isinstance(labels, dict) and labels:
        if all(isinstance(value, int) for value in labels.values()):
            structures = {value: str(name) for name, value in labels.items() if value != 0}
            if len(structures) < sum(value != 0 for value in labels.values()):
                msg = f"{path}: two structures in `labels` have the same value, got {labels!r}."
                raise InputError(msg)
            return structures
        if all(str(value).isdigit() for value in labels):
            return {int(value): str(name) for value, name in labels.items() if int(value) != 0}
    msg = f"{path}: `labels` must name a whole number for every structure (no regions), got {labels!r}."
    raise InputError(msg)


def _refuse_ignored(structures: dict[int, str], path: Path) -> None:
    """Refuse labels of voxels to be ignored: training would take them for a structure or for background."""
    for value, name in structures.items():
        if name.lower() == IGNORE:
            msg = (
                f"{path}: the label {name!r} (value {value}) marks voxels to be left out of training, which is not "
                "supported so far; label these voxels in all label maps, or leave out the cases that have some, and "
                f"remove {name!r} from `labels`."
            )
            raise InputError(msg)
