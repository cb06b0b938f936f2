"""nnU-Net raw data sets and the Medical Segmentation Decathlon: imagesTr/, labelsTr/, dataset.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.layouts.found import Found, by_channel, images_in, matching_labels, numbered_case
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import read_json
from HQCSegmentLib.imaging.image_files import image_stem

IGNORE = "ignore"
"""Name that nnU-Net gives to the value of voxels that nobody has looked at; it is no structure."""

DESCRIPTION = "nnU-Net raw or Medical Segmentation Decathlon (imagesTr/, labelsTr/, dataset.json)"


def find(path: Path) -> Found | None:
    """Cases and structures, or None if the folder is laid out in another way.

    Raises:
        InputError: if `dataset.json` is not as it should be, or does not fit the files.
    """
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
    if not isinstance(channels, dict) or not all(str(number).isdigit() and name for number, name in channels.items()):
        msg = f'{description}: `channel_names` must be like {{"0": "CT"}}, got {channels!r}.'
        raise InputError(msg)
    files = images_in(images)
    numbered = by_channel(files, labels)
    if numbered is not None:
        _check_channels(numbered, len(channels), description)
        label_of = matching_labels(labels, numbered)
        cases = [numbered_case(stem, numbered[stem], label_of[stem], channels=len(channels)) for stem in numbered]
    else:
        label_of = matching_labels(labels, [image_stem(image) for image in files])
        cases = [
            Case(name=stem, image=image, label=label_of[stem], patient=stem, volumes=len(channels))
            for stem, image in ((image_stem(image), image) for image in files)
        ]
    structures = _structures(content.get("labels"), description)
    _refuse_ignored(structures, description)
    names = tuple(str(name) for _, name in sorted(channels.items(), key=lambda item: int(item[0])))
    return Found("nnU-Net raw or Decathlon", cases, structures, channels=names)


def _check_channels(cases: Mapping[str, Mapping[int, Path]], number: int, description: Path) -> None:
    """Refuse images of channels that the description does not name."""
    for name, channels in cases.items():
        if max(channels) >= number:
            msg = (
                f"case {name}: {channels[max(channels)].name} is channel {max(channels)}, but {description} names "
                f"{number} channel(s), numbered from 0."
            )
            raise InputError(msg)


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
