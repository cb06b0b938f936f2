"""What the values of label maps mean: a file `labels.json`, {"1": "Liver", ...}, in the folder of the label maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import read_json, write_json

NAMES_FILE = "labels.json"
"""Beside label maps: names of their values."""


def read_value_names(path: Path) -> dict[int, str]:
    """Names by value from a file; background (0) is left out.

    Raises:
        InputError: if it cannot be read or is no such file.
    """
    return value_names(read_json(path), path)


def value_names(content: Any, path: Path) -> dict[int, str]:
    """Names by value from the content of a file; background (0) is left out.

    Args:
        content: Of the JSON file.
        path: The file, for the message.

    Raises:
        InputError: if it is no table of names by whole numbers.
    """
    try:
        names = {int(value): str(name) for value, name in content.items()}
    except (AttributeError, TypeError, ValueError) as error:
        msg = f'{path} must be like {{"1": "Liver", "2": "Kidney_L"}}.'
        raise InputError(msg) from error
    names.pop(0, None)
    return names


def joined_value_names(folder: Path, names: Mapping[int, str]) -> dict[int, str]:
    """Names that a folder's file has when label maps with these are added, in order of value.

    Raises:
        InputError: if a value already stands for something else there.
    """
    path = folder / NAMES_FILE
    there = read_value_names(path) if path.is_file() else {}
    for value, name in names.items():
        if there.get(value, name) != name:
            msg = (
                f"{folder} holds label maps in which {value} is {there[value]}, not {name} ({NAMES_FILE}); write the "
                "results of another model to a folder of their own."
            )
            raise InputError(msg)
    return dict(sorted({**there, **names}.items()))


def save_value_names(folder: Path, names: Mapping[int, str]) -> None:
    """Write names beside label maps; those that are there already are kept.

    Raises:
        InputError: as `joined_value_names`.
    """
    write_json(folder / NAMES_FILE, {str(value): name for value, name in joined_value_names(folder, names).items()})
