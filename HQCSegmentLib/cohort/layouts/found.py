"""What a layout finds in a folder."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.preprocessing import ONLY_CHANNEL
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Source
from HQCSegmentLib.imaging.image_files import image_stem, image_suffix, number_of_volumes


@dataclass(frozen=True)
class Found:
    """Cases and structure names of a folder.

    Attributes:
        layout: How the folder is laid out, in words.
        cases: In any order.
        structures: Names as the files have them, by label value.
        channels: What the images of a case are.
        notes: Sentences on what was chosen where there was a choice.
    """

    layout: str
    cases: list[Case]
    structures: dict[int, str]
    notes: tuple[str, ...] = ()
    channels: tuple[str, ...] = (ONLY_CHANNEL,)


LOOKED_AT = 20
"""Image files that are looked at for the number of volumes."""


def images_in(folder: Path) -> list[Path]:
    """Image files of a folder in order of name; hidden files are left out."""
    return sorted(
        path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".") and image_suffix(path)
    )


def by_channel(images: Sequence[Path], labels: Path) -> dict[str, dict[int, Path]] | None:
    """Images of each case by number of the channel, as nnU-Net names them: case_0000.nii.gz, case_0001.nii.gz.

    A name without such a number is a case of one channel. None where label maps are named after images, number and all,
    or where no image has the number 0: then the number is a part of the case's name.

    Raises:
        InputError: if there are two files for one channel of a case.
    """
    matches = {image: re.fullmatch(r"(.+)_(\d{4})", image_stem(image)) for image in images}
    numbered = {match[0] for match in matches.values() if match}
    if not any(stem.endswith("_0000") for stem in numbered) or numbered.intersection(
        map(image_stem, images_in(labels))
    ):
        return None
    cases: dict[str, dict[int, Path]] = {}
    for image, match in matches.items():
        name, number = (match[1], int(match[2])) if match else (image_stem(image), 0)
        channels = cases.setdefault(name, {})
        if number in channels:
            msg = f"case {name}: {channels[number].name} and {image.name} are the same channel; keep one of them."
            raise InputError(msg)
        channels[number] = image
    return cases


def usual_volumes(images: Sequence[Path]) -> int:
    """How many volumes most image files hold; of equals the fewest."""
    some = images[:: max(1, len(images) // LOOKED_AT)]
    count = Counter(number_of_volumes(image) for image in some)
    return max(sorted(count), key=lambda number: count[number], default=1)


def numbered_case(name: str, files: Mapping[int, Path], label: Path, *, channels: int) -> Case:
    """Case of images that are numbered by channel; a missing one is noticed when the case is read."""
    some = next(iter(files.values()))
    first, *others = (
        files.get(number, some.with_name(f"{name}_{number:04d}{image_suffix(some)}")) for number in range(channels)
    )
    return Case(name, first, label, patient=name, others=tuple(Source(other) for other in others))


def channel_names(number: int) -> tuple[str, ...]:
    """Names for channels that nobody has named."""
    return (ONLY_CHANNEL,) if number == 1 else tuple(f"{ONLY_CHANNEL}_{one}" for one in range(number))


def matching_labels(folder: Path, stems: Iterable[str]) -> dict[str, Path]:
    """For each stem the image file of `folder` with it; the most likely name where there is none.

    Raises:
        InputError: if there are several for one stem.
    """
    there: dict[str, list[Path]] = {}
    for path in images_in(folder):
        there.setdefault(image_stem(path), []).append(path)
    found = {}
    for stem in stems:
        matches = there.get(stem, [folder / f"{stem}.nii.gz"])
        if len(matches) > 1:
            names = ", ".join(path.name for path in matches)
            msg = f"case {stem}: {folder} holds more than one label map ({names}); keep one of them."
            raise InputError(msg)
        found[stem] = matches[0]
    return found


def in_order_of_value(names: Iterable[str]) -> dict[int, str]:
    """Give names values from 1 on, in alphabetical order but targets last.

    Where structures overlap the larger value wins, and a tumor lies in its organ.
    """
    ordered = sorted(set(names), key=lambda name: (name.upper().startswith(("GTV", "CTV", "PTV")), name))
    return dict(enumerate(ordered, start=1))


def values_found(cases: Iterable[Case]) -> dict[int, str]:
    """Names for all values that occur in the label maps, where no list of names is given."""
    values: set[int] = set()
    for case in cases:
        if case.label.is_file():
            values.update(case.label_values())
    return {value: f"structure_{value}" for value in sorted(values)}
