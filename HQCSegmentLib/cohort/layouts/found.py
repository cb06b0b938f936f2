"""What a layout finds in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from HQCSegmentLib.cohort.case import Case
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.image_files import image_stem, image_suffix


@dataclass(frozen=True)
class Found:
    """Cases and structure names of a folder.

    Attributes:
        layout: How the folder is laid out, in words.
        cases: In any order.
        structures: Names as the files have them, by label value.
        notes: Sentences on what was chosen where there was a choice.
    """

    layout: str
    cases: list[Case]
    structures: dict[int, str]
    notes: tuple[str, ...] = ()


def images_in(folder: Path) -> list[Path]:
    """Image files of a folder in order of name; hidden files are left out."""
    return sorted(
        path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".") and image_suffix(path)
    )


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


def read_json(path: Path) -> Any:
    """JSON of a file.

    Raises:
        InputError: if it is not valid JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        msg = f"{path} cannot be read as JSON: {error}."
        raise InputError(msg) from error
