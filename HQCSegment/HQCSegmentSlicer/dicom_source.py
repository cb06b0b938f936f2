"""The original DICOM series of a volume."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import slicer
from slicer.i18n import tr as _

from HQCSegmentLib.errors import InputError

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


def series_of_volume(volume_node: slicer.vtkMRMLScalarVolumeNode, own: Path) -> Path:
    """Folder `own` with nothing but the slices that a volume was loaded from, by hard links where the disk has them.

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
    own.mkdir(parents=True)
    for number, file in enumerate(files):
        copy = own / f"{number:05d}.dcm"
        try:
            os.link(file, copy)
        except OSError:
            shutil.copyfile(file, copy)
    return own
