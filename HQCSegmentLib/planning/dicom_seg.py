"""Writing a segmentation as DICOM Segmentation object (PS3.3 A.51)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from HQCSegmentLib import __version__
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import replacing
from HQCSegmentLib.imaging.segmentation import Segmentation
from HQCSegmentLib.imaging.structure import Code, Structure, Terminology
from HQCSegmentLib.planning.dicom_source import MANUFACTURER, SERIES_DESCRIPTION, read_header, source_series

if TYPE_CHECKING:
    import highdicom

GENERIC_TERMINOLOGY = Terminology(
    category=Code(scheme="SCT", value="85756007", meaning="Tissue"),
    type=Code(scheme="SCT", value="85756007", meaning="Tissue"),
)
"""Codes of a structure whose own are not known: Slicer's and dcmqi's generic tissue."""


SegmentationType = Literal["binary", "labelmap"]
"""binary: a bit for each segment, which every reader takes; labelmap: a number for each voxel (Supplement 243, 2024),
smaller and faster with many segments."""


def write_dicom_seg(path: Path, segmentation: Segmentation, *, kind: SegmentationType = "binary") -> None:
    """Write the structures as one DICOM SEG on the grid of the original series, atomically.

    Segments are numbered from 1 in the order of the structures, as DICOM demands; the label is the name of
    the structure. A structure without voxels has a segment without frames.

    Args:
        path: File to write, for example `SEG.dcm`.
        segmentation: Label map in the grid of a DICOM series.
        kind: How the voxels are stored.

    Raises:
        InputError: if the segmentation was not made from a DICOM series, does not have its grid, or is empty.
    """
    import highdicom
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    series = source_series(segmentation, output="a DICOM SEG")
    values = [structure.value for structure in segmentation.structures]
    segment_numbers = np.zeros(max([*values, int(segmentation.array.max())]) + 1, np.uint16)
    segment_numbers[values] = np.arange(1, len(values) + 1)
    # (i, j, k) is (column, row, frame).
    frames = segment_numbers[segmentation.array].transpose(2, 1, 0)
    if not frames.any():
        msg = f"{segmentation.name}: no structure has any voxel; an empty DICOM SEG cannot be written."
        raise InputError(msg)
    dataset = highdicom.seg.Segmentation(
        source_images=[read_header(series, k) for k in range(len(series.files))],
        pixel_array=np.ascontiguousarray(frames),
        segmentation_type=highdicom.seg.SegmentationTypeValues(kind.upper()),
        segment_descriptions=[
            _description(structure, number) for number, structure in enumerate(segmentation.structures, start=1)
        ],
        series_instance_uid=generate_uid(),
        series_number=2,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=MANUFACTURER,
        software_versions=__version__,
        device_serial_number=__version__,
        content_label="SEGMENTATION",
        content_description=SERIES_DESCRIPTION,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        series_description=SERIES_DESCRIPTION,
    )
    with replacing(Path(path)) as temporary:
        dataset.save_as(temporary)


def _description(structure: Structure, number: int) -> highdicom.seg.SegmentDescription:
    """Segment description with codes, color and the algorithm."""
    import highdicom
    from pydicom.sr.codedict import codes

    terminology = structure.terminology or GENERIC_TERMINOLOGY
    description = highdicom.seg.SegmentDescription(
        segment_number=number,
        segment_label=structure.name,
        segmented_property_category=_concept(terminology.category),
        segmented_property_type=_concept(terminology.type),
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=highdicom.AlgorithmIdentificationSequence(
            name=MANUFACTURER, family=codes.DCM.ArtificialIntelligence, version=__version__
        ),
        display_color=highdicom.color.CIELabColor.from_rgb(*structure.color),
    )
    if terminology.modifier is not None:
        property_type = description.SegmentedPropertyTypeCodeSequence[0]
        property_type.SegmentedPropertyTypeModifierCodeSequence = [_concept(terminology.modifier)]
    return description


def _concept(code: Code) -> highdicom.sr.CodedConcept:
    import highdicom

    return highdicom.sr.CodedConcept(value=code.value, scheme_designator=code.scheme, meaning=code.meaning)
