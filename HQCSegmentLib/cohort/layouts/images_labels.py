"""Folders `images/` and `labels/` with equal file names, and optionally `labels.json` {value: name}.

Several images of a case are numbered as nnU-Net numbers them (`case_0000`, `case_0001`), or are volumes of one file.
"""

from __future__ import annotations

from pathlib import Path

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.layouts.found import (
    Found,
    by_channel,
    channel_names,
    images_in,
    matching_labels,
    numbered_case,
    usual_volumes,
    values_found,
)
from HQCSegmentLib.cohort.value_names import NAMES_FILE, read_value_names
from HQCSegmentLib.imaging.image_files import image_stem

DESCRIPTION = "folders images/ and labels/ with equal file names (and labels.json: {value: name})"


def find(path: Path) -> Found | None:
    """Cases and structures, or None if the folder is laid out in another way."""
    images, labels = path / "images", path / "labels"
    if not images.is_dir() or not labels.is_dir():
        return None
    files = images_in(images)
    numbered = by_channel(files, labels)
    if numbered is not None:
        number = 1 + max(channel for channels in numbered.values() for channel in channels)
        label_of = matching_labels(labels, numbered)
        cases = [numbered_case(stem, numbered[stem], label_of[stem], channels=number) for stem in numbered]
    else:
        number = usual_volumes(files)
        label_of = matching_labels(labels, [image_stem(image) for image in files])
        cases = [
            Case(name=stem, image=image, label=label_of[stem], patient=stem, volumes=number)
            for stem, image in ((image_stem(image), image) for image in files)
        ]
    names = path / NAMES_FILE
    structures = read_value_names(names) if names.is_file() else values_found(cases)
    return Found("images/ and labels/", cases, structures, channels=channel_names(number))
