"""Small DICOM SEG for tests, by highdicom and not by what is tested."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import highdicom
import numpy as np
import pydicom
from pydicom.sr.codedict import codes


def write_segmentation(
    path: Path, sources: Sequence[pydicom.Dataset], pixels: np.ndarray, labels: Sequence[str], **options: object
) -> Path:
    """Write a DICOM SEG.

    Args:
        path: The file.
        sources: Images that it refers to.
        pixels: As highdicom takes them: (frames, rows, columns) or, of several segments, (..., segments).
        labels: Of the segments.
        options: Of `highdicom.seg.Segmentation`, in place of BINARY and of what is needed only to be there.
    """
    descriptions = [
        highdicom.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=codes.SCT.Tissue,
            segmented_property_type=codes.SCT.Tissue,
            algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, label in enumerate(labels, start=1)
    ]
    given = {
        "segmentation_type": "BINARY",
        "series_instance_uid": highdicom.UID(),
        "series_number": 2,
        "sop_instance_uid": highdicom.UID(),
        "instance_number": 1,
        "manufacturer": "Test",
        "manufacturer_model_name": "Test",
        "software_versions": "1",
        "device_serial_number": "1",
    } | options
    numbers = pixels.astype(np.uint8) if pixels.dtype == bool else pixels
    dataset = highdicom.seg.Segmentation(
        source_images=list(sources),
        pixel_array=np.ascontiguousarray(numbers),
        segment_descriptions=descriptions,
        **given,
    )
    dataset.save_as(path)
    return path
