"""The original DICOM series of a volume."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from HQCSegmentLib.errors import InputError
from HQCSegmentSlicer.steps import Steps, in_thread

INSTANCE_UIDS = "DICOM.instanceUIDs"
"""Attribute in which Slicer's DICOM module notes the slices that a volume was loaded from."""


def series_files(volume_node: slicer.vtkMRMLScalarVolumeNode) -> tuple[Path, ...]:
    """Files of the slices that a volume was loaded from, as Slicer's DICOM database has them; empty if unknown."""
    uids = (volume_node.GetAttribute(INSTANCE_UIDS) or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if not uids or database is None:
        return ()
    files = tuple(Path(database.fileForInstance(uid) or "") for uid in uids)
    return files if all(file.is_file() for file in files) else ()


def series_of_volume(volume_node: slicer.vtkMRMLScalarVolumeNode, own: Path) -> Steps[Path]:
    """Steps to a folder `own` with nothing but the slices that a volume was loaded from.

    Raises:
        InputError: if the volume was not loaded from DICOM or its files are gone.
    """
    files = series_files(volume_node)
    if not files:
        raise InputError(
            _(
                "The original DICOM series of {name} is not known: load it through Slicer's DICOM module, or give "
                "the folder of the series."
            ).format(name=volume_node.GetName())
        )
    yield from in_thread(_gather, files, own)
    return own


def _gather(files: Sequence[Path], own: Path) -> None:
    """Put files into a folder, by hard links where the disk has them."""
    own.mkdir(parents=True)
    for number, file in enumerate(files):
        copy = own / f"{number:05d}.dcm"
        try:
            os.link(file, copy)
        except OSError:
            shutil.copyfile(file, copy)
