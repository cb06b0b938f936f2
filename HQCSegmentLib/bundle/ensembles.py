"""Several models of the same structures and preparation as one bundle, whose scores are averaged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from HQCSegmentLib.bundle.bundle import Bundle
from HQCSegmentLib.bundle.manifest import Manifest
from HQCSegmentLib.errors import InputError

SAME = ("labels", "preprocessing", "inference")
"""Parts of the manifests that must be equal for scores to be averaged."""


def check_same(bundles: Sequence[Bundle]) -> None:
    """Refuse models whose scores do not mean the same.

    Raises:
        InputError: if structures, preparation or windows differ.
    """
    first = bundles[0]
    for bundle in bundles[1:]:
        for what in SAME:
            if getattr(first.manifest, what) != getattr(bundle.manifest, what):
                msg = f"{bundle.path} cannot be averaged with {first.path}: they have other {what}."
                raise InputError(msg)


def common_manifest(bundles: Sequence[Bundle], *, cases: int, held_out_dice: Mapping[str, float]) -> Manifest:
    """What models of one network, structures and preparation are together.

    Args:
        bundles: Two or more.
        cases: That the models were trained on, each counted once.
        held_out_dice: Of each structure, as the models had it on cases that they were not trained on.

    Raises:
        InputError: if the models do not belong together.
    """
    check_same(bundles)
    first = bundles[0]
    for bundle in bundles[1:]:
        if bundle.manifest.network != first.manifest.network:
            msg = f"{bundle.path} cannot be joined with {first.path}: they have other networks."
            raise InputError(msg)
    # What was chosen from a fold's few held-out cases holds for all only where all agree.
    chosen = first.manifest.postprocessing
    agreed = all(bundle.manifest.postprocessing == chosen for bundle in bundles)
    training = first.manifest.training.model_copy(update={"cases": cases, "held_out_dice": dict(held_out_dice)})
    return first.manifest.model_copy(update={"training": training, "postprocessing": chosen if agreed else {}})


def join(bundles: Sequence[Bundle], manifest: Manifest, out: Path) -> Bundle:
    """Write an ensemble.

    Args:
        bundles: Two or more, none of them an ensemble.
        manifest: Of `common_manifest`.
        out: Folder of the bundle.
    """
    first, *others = (bundle.state() for bundle in bundles)
    return Bundle.write(out, manifest=manifest.without_checksums(), state=first, further=others)
