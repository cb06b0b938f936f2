"""Folders `images/` and `labels/` with equal file names, and optionally `labels.json` {value: name}."""

from __future__ import annotations

from pathlib import Path

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.cohort.layouts.found import Found, images_in, matching_labels, read_json, values_found
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.image_files import image_stem

DESCRIPTION = "folders images/ and labels/ with equal file names (and labels.json: {value: name})"


def find(path: Path) -> Found | None:
    """Cases and structures, or None if the folder is laid out in another way."""
    images, labels = path / "images", path / "labels"
    if not images.is_dir() or not labels.is_dir():
        return None
    stems = [(image_stem(image), image) for image in images_in(images)]
    label_of = matching_labels(labels, [stem for stem, _ in stems])
    cases = [Case(name=stem, image=image, label=label_of[stem], patient=stem) for stem, image in stems]
    names = path / "labels.json"
    structures = _structures(names) if names.is_file() else values_found(cases)
    return Found("images/ and labels/", cases, structures)


def _structures(path: Path) -> dict[int, str]:
    content = read_json(path)
    try:
        structures = {int(value): str(name) for value, name in content.items()}
    except (AttributeError, TypeError, ValueError) as error:
        msg = f'{path} must be like {{"1": "Liver", "2": "Kidney_L"}}.'
        raise InputError(msg) from error
    structures.pop(0, None)
    return structures
