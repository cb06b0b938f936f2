"""Structures that overlap: several label maps of one image as one structure set."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import replacing
from HQCSegmentLib.imaging import Segmentation
from HQCSegmentLib.planning.dicom_seg import write_dicom_seg
from HQCSegmentLib.planning.output import OutputFormat
from HQCSegmentLib.planning.rtstruct import write_rtstruct


def write_layers(path: Path, layers: Sequence[Segmentation], output: OutputFormat) -> None:
    """Write label maps of one DICOM series into one file, atomically.

    Args:
        path: File to write.
        layers: Label maps with the same list of structures; each structure has its voxels in one of them.
        output: `rtstruct`; or `seg`, for one label map.

    Raises:
        InputError: if the format cannot hold what is given.
    """
    if output is OutputFormat.seg:
        if len(layers) > 1:
            msg = "a DICOM SEG is written for structures that do not overlap; write an RTSTRUCT, or remove the overlap."
            raise InputError(msg)
        write_dicom_seg(path, layers[0])
    elif output is OutputFormat.rtstruct:
        _write_structure_set(path, layers)
    else:
        msg = f"label maps are converted to rtstruct or seg, not to {output.value}."
        raise InputError(msg)


def _write_structure_set(path: Path, layers: Sequence[Segmentation]) -> None:
    """The first layer's file lists every structure; the contours of the others are added to it."""
    import pydicom

    if len(layers) == 1:
        write_rtstruct(path, layers[0])
        return
    with tempfile.TemporaryDirectory(prefix="HQCSegment-") as folder:
        parts = []
        for number, layer in enumerate(layers):
            part = Path(folder) / f"{number}.dcm"
            write_rtstruct(part, layer)
            parts.append(pydicom.dcmread(part))
        whole, *others = parts
        contours = [item for part in (whole, *others) for item in part.ROIContourSequence]
        whole.ROIContourSequence = sorted(contours, key=lambda item: int(item.ReferencedROINumber))
        with replacing(path) as temporary:
            pydicom.dcmwrite(temporary, whole, enforce_file_format=True, overwrite=True)
