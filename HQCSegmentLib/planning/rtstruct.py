"""Writing a segmentation as DICOM RT Structure Set (PS3.3 A.19) for a planning system."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from HQCSegmentLib import __version__
from HQCSegmentLib.files import replacing
from HQCSegmentLib.imaging.dicom_reference import SeriesReference
from HQCSegmentLib.imaging.geometry import LPS_FROM_RAS, FloatArray
from HQCSegmentLib.imaging.segmentation import Segmentation
from HQCSegmentLib.imaging.structure import Structure
from HQCSegmentLib.planning.contour_sequence import Contour, encode_contours
from HQCSegmentLib.planning.contours import outlines
from HQCSegmentLib.planning.dicom_source import MANUFACTURER, SERIES_DESCRIPTION, read_header, source_series

if TYPE_CHECKING:
    from pydicom import Dataset

_COPIED = [
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "PatientAge",
    "PatientSize", "PatientWeight", "PatientIdentityRemoved", "DeidentificationMethod", "StudyInstanceUID",
    "StudyDate", "StudyTime", "StudyID", "StudyDescription", "AccessionNumber", "ReferringPhysicianName",
    "FrameOfReferenceUID", "PositionReferenceIndicator",
]  # fmt: skip
"""Patient, study and frame of reference attributes that are the original series' own."""

_REQUIRED = [
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName", "PositionReferenceIndicator",
]  # fmt: skip
"""Those of them that must be present, be it empty (type 2)."""


def write_rtstruct(path: Path, segmentation: Segmentation) -> None:
    """Write the structures as contours on the slices of the original image series, atomically.

    Every structure is listed with its name and interpreted type; one without voxels has no contours. Holes
    are keyholes. The file is Implicit VR Little Endian, in which contours may have any length, and marked as
    automatic and unapproved.

    Args:
        path: File to write, for example `RTSTRUCT.dcm`.
        segmentation: Label map in the grid of a DICOM series.

    Raises:
        InputError: if the segmentation was not made from a DICOM series or does not have its grid.
    """
    import pydicom

    series = source_series(segmentation, output="an RT Structure Set")
    dataset = _structure_set(segmentation, series)
    with replacing(Path(path)) as temporary:
        pydicom.dcmwrite(
            temporary, dataset, implicit_vr=True, little_endian=True, enforce_file_format=True, overwrite=True
        )


def _structure_set(segmentation: Segmentation, series: SeriesReference) -> Dataset:
    """Make the whole data set."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

    source = read_header(series, 0)
    now = datetime.datetime.now()
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = RTStructureSetStorage
    dataset.SOPInstanceUID = generate_uid()
    _copy_patient_and_study(source, dataset)

    dataset.Modality = "RTSTRUCT"
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = SERIES_DESCRIPTION
    dataset.OperatorsName = ""
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MANUFACTURER
    dataset.SoftwareVersions = __version__
    dataset.InstanceCreationDate = dataset.SeriesDate = dataset.StructureSetDate = now.strftime("%Y%m%d")
    dataset.InstanceCreationTime = dataset.SeriesTime = dataset.StructureSetTime = now.strftime("%H%M%S")
    dataset.StructureSetLabel = MANUFACTURER
    dataset.StructureSetDescription = "Automatic contours, research use only. Check every contour before use."
    dataset.ApprovalStatus = "UNAPPROVED"

    slices = [_image_reference(str(source.SOPClassUID), uid) for uid in series.sop_instance_uids]
    dataset.ReferencedFrameOfReferenceSequence = [_frame_of_reference(series, source, slices)]
    dataset.StructureSetROISequence = []
    dataset.ROIContourSequence = []
    dataset.RTROIObservationsSequence = []
    for structure in segmentation.structures:
        dataset.StructureSetROISequence.append(_roi(structure, series))
        dataset.RTROIObservationsSequence.append(_observation(structure))
        contour = _roi_contour(structure, segmentation, slices)
        if contour is not None:
            dataset.ROIContourSequence.append(contour)

    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return dataset


def _copy_patient_and_study(source: Dataset, dataset: Dataset) -> None:
    """Copy what identifies patient, study and frame of reference, decoded, so that UTF-8 can hold it."""
    source.decode()
    for tag in _COPIED:
        if tag in source:
            dataset[tag] = source[tag]
        elif tag in _REQUIRED:
            setattr(dataset, tag, None)


def _image_reference(sop_class_uid: str, sop_instance_uid: str) -> Dataset:
    from pydicom import Dataset

    reference = Dataset()
    reference.ReferencedSOPClassUID = sop_class_uid
    reference.ReferencedSOPInstanceUID = sop_instance_uid
    return reference


def _frame_of_reference(series: SeriesReference, source: Dataset, slices: list[Dataset]) -> Dataset:
    """Item that names the study, series and slices which the contours were made on."""
    from pydicom import Dataset

    referenced_series = Dataset()
    referenced_series.SeriesInstanceUID = series.series_instance_uid
    referenced_series.ContourImageSequence = slices
    study = Dataset()
    # Detached Study Management (retired) is what this attribute has always held and readers expect.
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = source.StudyInstanceUID
    study.RTReferencedSeriesSequence = [referenced_series]
    frame = Dataset()
    frame.FrameOfReferenceUID = series.frame_of_reference_uid
    frame.RTReferencedStudySequence = [study]
    return frame


def _roi(structure: Structure, series: SeriesReference) -> Dataset:
    from pydicom import Dataset

    roi = Dataset()
    roi.ROINumber = structure.value
    roi.ReferencedFrameOfReferenceUID = series.frame_of_reference_uid
    roi.ROIName = structure.name
    roi.ROIGenerationAlgorithm = "AUTOMATIC"
    return roi


def _observation(structure: Structure) -> Dataset:
    from pydicom import Dataset

    observation = Dataset()
    observation.ObservationNumber = structure.value
    observation.ReferencedROINumber = structure.value
    observation.RTROIInterpretedType = structure.interpreted_type
    observation.ROIInterpreter = ""
    return observation


def _roi_contour(structure: Structure, segmentation: Segmentation, images: list[Dataset]) -> Dataset | None:
    """Contours of one structure on all slices; None where it has no voxels."""
    from pydicom import DataElement, Dataset

    mask = segmentation.array == structure.value
    drawn = np.flatnonzero(mask.any(axis=(0, 1))).tolist()
    if not drawn:
        return None
    contours = (
        Contour(points, images[k].ReferencedSOPClassUID, images[k].ReferencedSOPInstanceUID)
        for k in drawn
        for points in _in_patient(outlines(mask[:, :, k]), k, segmentation.affine)
    )
    roi_contour = Dataset()
    roi_contour.ROIDisplayColor = list(structure.color)
    roi_contour.ReferencedROINumber = structure.value
    # Implicit VR does not say what kind of value an element has: these bytes are a sequence to the reader.
    roi_contour.add(DataElement("ContourSequence", "OB", encode_contours(contours)))
    return roi_contour


def _in_patient(polygons: list[FloatArray], k: int, affine: FloatArray) -> list[FloatArray]:
    """Polygons on slice `k` in LPS millimetres, (points, 3); given in voxel indices (i, j), (points, 2)."""
    vertices = np.concatenate(polygons)
    indices = np.column_stack([vertices, np.full(len(vertices), k), np.ones(len(vertices))])
    points = (indices @ (LPS_FROM_RAS @ affine).T)[:, :3]
    return np.split(points, np.cumsum([len(polygon) for polygon in polygons])[:-1])
