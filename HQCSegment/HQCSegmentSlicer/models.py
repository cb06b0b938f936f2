"""What a model folder says of itself, read without its weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slicer.i18n import tr as _

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Structure

BUNDLE_FILE = "bundle.json"


def is_bundle(folder: Path) -> bool:
    """Whether a folder looks like a model."""
    return (folder / BUNDLE_FILE).is_file()


def structures_of_bundle(bundle: Path) -> tuple[Structure, ...]:
    """Structures that a bundle segments, in order of label value.

    Raises:
        InputError: if the folder is not a bundle or its list of labels is not valid.
    """
    try:
        labels = [Structure.model_validate(label) for label in _description(bundle)["labels"]]
        if not labels:
            raise ValueError("no labels")
    except OSError as error:
        raise InputError(_("{folder} is not a bundle: it has no bundle.json.").format(folder=bundle)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            _("{folder} is not a valid bundle: bundle.json has no valid list of labels.").format(folder=bundle)
        ) from error
    return tuple(sorted(labels, key=lambda structure: structure.value))


def held_out_dice(bundle: Path) -> dict[str, float]:
    """Dice per structure on the patients that were held out in training; empty where none were."""
    try:
        dice = _description(bundle)["training"]["held_out_dice"]
        return {str(name): float(value) for name, value in dice.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _description(bundle: Path) -> dict[str, Any]:
    return json.loads((bundle / BUNDLE_FILE).read_text(encoding="utf-8"))
