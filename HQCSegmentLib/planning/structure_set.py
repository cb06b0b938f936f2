"""The data set of an RT Structure Set: a new one, or an existing one that regions are added to."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from HQCSegmentLib import __version__
from HQCSegmentLib.cohort.rtstruct import open_structure_set
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_reference import SeriesReference
from HQCSegmentLib.imaging.structure import Code, Structure
from HQCSegmentLib.naming import LONGEST, fma_code, short_name
from HQCSegmentLib.planning.dicom_source import MANUFACTURER, SERIES_DESCRIPTION, read_header

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

GENERATED_BY = f"{MANUFACTURER} {__version__}, research use only"
"""ROI Generation Description (3006,0038) of every region."""

LONGEST_NAME = 64
"""Characters of an ROI Name (value representation LO)."""


@dataclass(frozen=True, eq=False)
class NewRoi:
    """A region to be added.

    Attributes:
        structure: Its name, type and color.
        contours: Value of its Contour Sequence in Implicit VR Little Endian; empty where it has no voxels.
    """

    structure: Structure
    contours: bytes

    def add_to(self, dataset: Dataset, series: SeriesReference) -> None:
        """Add it to the three sequences of a structure set, with the next free number and a name of its own."""
        from pydicom import DataElement, Dataset

        rois = dataset.StructureSetROISequence
        number = _free([int(roi.ROINumber) for roi in rois], self.structure.value)
        name = _unique(self.structure.name, {str(roi.ROIName) for roi in rois})
        roi = Dataset()
        roi.ROINumber = number
        roi.ReferencedFrameOfReferenceUID = series.frame_of_reference_uid
        roi.ROIName = name
        roi.ROIGenerationAlgorithm = "AUTOMATIC"
        roi.ROIGenerationDescription = GENERATED_BY
        rois.append(roi)

        observations = dataset.RTROIObservationsSequence
        observation = Dataset()
        observation.ObservationNumber = _free([int(one.ObservationNumber) for one in observations], number)
        observation.ReferencedROINumber = number
        taken = {str(one.get("ROIObservationLabel") or "") for one in observations}
        observation.ROIObservationLabel = short_name(name, taken=taken)
        observation.RTROIInterpretedType = self.structure.interpreted_type
        observation.ROIInterpreter = ""
        code = fma_code(self.structure)
        if code is not None:
            observation.RTROIIdentificationCodeSequence = [_code_item(code)]
        observations.append(observation)

        if self.contours:
            contour = Dataset()
            contour.ROIDisplayColor = list(self.structure.color)
            contour.ReferencedROINumber = number
            # Implicit VR does not say what kind of value an element has: these bytes are a sequence to the reader.
            contour.add(DataElement("ContourSequence", "OB", self.contours))
            dataset.ROIContourSequence.append(contour)


def new_structure_set(series: SeriesReference) -> tuple[Dataset, str]:
    """Make a structure set without regions.

    Args:
        series: Images that contours will be drawn on.

    Returns:
        The data set, and the SOP Class UID of the images.
    """
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage

    source = read_header(series, 0)
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = RTStructureSetStorage
    _copy_patient_and_study(source, dataset)
    dataset.Modality = "RTSTRUCT"
    dataset.SeriesNumber = 1
    dataset.OperatorsName = ""
    dataset.StructureSetLabel = MANUFACTURER
    _mark_as_ours(dataset)
    dataset.ReferencedFrameOfReferenceSequence = [
        _frame_of_reference(series, str(source.StudyInstanceUID), str(source.SOPClassUID))
    ]
    dataset.StructureSetROISequence = []
    dataset.ROIContourSequence = []
    dataset.RTROIObservationsSequence = []
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return dataset, str(source.SOPClassUID)


def existing_structure_set(path: Path, series: SeriesReference, *, name: str) -> tuple[Dataset, str]:
    """Read a structure set as a new object of a new series, with all of its regions.

    An approval does not hold for what is added, so the new object is unapproved.

    Args:
        path: RT Structure Set file.
        series: Images that further contours will be drawn on.
        name: Of the case, for messages.

    Returns:
        The data set, and the SOP Class UID of the images.

    Raises:
        InputError: if it is no structure set of the patient and frame of reference of the images.
    """
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ImplicitVRLittleEndian

    source = read_header(series, 0)
    dataset = open_structure_set(path)
    if str(dataset.get("PatientID") or "") != str(source.get("PatientID") or ""):
        msg = f"{name}: the structure set {path.name} and the images have different Patient IDs; nothing was added."
        raise InputError(msg)
    frames = dataset.get("ReferencedFrameOfReferenceSequence") or []
    frame = next((one for one in frames if one.get("FrameOfReferenceUID") == series.frame_of_reference_uid), None)
    if frame is None:
        msg = (
            f"{name}: the structure set {path.name} belongs to another frame of reference than the images, so the "
            "contours would lie elsewhere; choose the one that was drawn on these images."
        )
        raise InputError(msg)
    _decode(dataset)
    _refer_to(frame, series, str(source.StudyInstanceUID), str(source.SOPClassUID))
    for sequence in ("StructureSetROISequence", "ROIContourSequence", "RTROIObservationsSequence"):
        if dataset.get(sequence) is None:
            setattr(dataset, sequence, [])
    _mark_as_ours(dataset)
    _complete(dataset)
    for approval in ("ReviewDate", "ReviewTime", "ReviewerName"):
        if approval in dataset:
            del dataset[approval]
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return dataset, str(source.SOPClassUID)


def _mark_as_ours(dataset: Dataset) -> None:
    """A new object of a new series of this software, unapproved and for research."""
    from pydicom.uid import generate_uid

    now = datetime.datetime.now()
    dataset.SOPInstanceUID = generate_uid()
    dataset.SeriesInstanceUID = generate_uid()
    dataset.SeriesDescription = SERIES_DESCRIPTION
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = MANUFACTURER
    dataset.SoftwareVersions = __version__
    dataset.InstanceCreationDate = dataset.SeriesDate = dataset.StructureSetDate = now.strftime("%Y%m%d")
    dataset.InstanceCreationTime = dataset.SeriesTime = dataset.StructureSetTime = now.strftime("%H%M%S")
    dataset.StructureSetDescription = "Automatic contours, research use only. Check every contour before use."
    dataset.ApprovalStatus = "UNAPPROVED"


def _copy_patient_and_study(source: Dataset, dataset: Dataset) -> None:
    """Copy what identifies patient, study and frame of reference, decoded, so that UTF-8 can hold it."""
    source.decode()
    for tag in _COPIED:
        if tag in source:
            dataset[tag] = source[tag]
        elif tag in _REQUIRED:
            setattr(dataset, tag, None)


def _complete(dataset: Dataset) -> None:
    """Make up for what the standard asks for and some systems leave out: a strict reader would refuse the result."""
    for tag in (*_REQUIRED, "OperatorsName"):
        if tag not in dataset:
            setattr(dataset, tag, None)
    for tag in ("StudyID", "AccessionNumber"):
        if dataset.get(tag):
            dataset[tag].value = str(dataset[tag].value)[:LONGEST]


def _decode(dataset: Dataset) -> None:
    """Make all text UTF-8, so that names added later can be written; reading all contours is saved where it can be."""
    if (dataset.get("SpecificCharacterSet") or "") not in ("", "ISO_IR 6", "ISO_IR 192"):
        dataset.decode()
    dataset.SpecificCharacterSet = "ISO_IR 192"


def _frame_of_reference(series: SeriesReference, study_uid: str, image_class: str) -> Dataset:
    """Item that names the study, series and slices which the contours were made on."""
    from pydicom import Dataset

    frame = Dataset()
    frame.FrameOfReferenceUID = series.frame_of_reference_uid
    _refer_to(frame, series, study_uid, image_class)
    return frame


def _refer_to(frame: Dataset, series: SeriesReference, study_uid: str, image_class: str) -> None:
    """Make a frame of reference name the study, series and slices, where it does not yet."""
    from pydicom import Dataset

    if frame.get("RTReferencedStudySequence") is None:
        frame.RTReferencedStudySequence = []
    studies = frame.RTReferencedStudySequence
    study = next((one for one in studies if one.get("ReferencedSOPInstanceUID") == study_uid), None)
    if study is None:
        study = Dataset()
        # Detached Study Management (retired) is what this attribute has always held and readers expect.
        study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
        study.ReferencedSOPInstanceUID = study_uid
        study.RTReferencedSeriesSequence = []
        studies.append(study)
    listed = study.RTReferencedSeriesSequence
    known = next((one for one in listed if one.get("SeriesInstanceUID") == series.series_instance_uid), None)
    if known is None:
        known = Dataset()
        known.SeriesInstanceUID = series.series_instance_uid
        known.ContourImageSequence = []
        listed.append(known)
    there = {str(one.get("ReferencedSOPInstanceUID")) for one in known.ContourImageSequence}
    for uid in series.sop_instance_uids:
        if uid not in there:
            image = Dataset()
            image.ReferencedSOPClassUID = image_class
            image.ReferencedSOPInstanceUID = uid
            known.ContourImageSequence.append(image)


def _code_item(code: Code) -> Dataset:
    """Item of a code sequence (PS3.3 8.8)."""
    from pydicom import Dataset

    item = Dataset()
    item.CodeValue = code.value
    item.CodingSchemeDesignator = code.scheme
    item.CodeMeaning = code.meaning
    return item


def _free(taken: list[int], wanted: int) -> int:
    return wanted if wanted not in taken else max(taken) + 1


def _unique(name: str, taken: set[str]) -> str:
    """The name, shortened to what the attribute takes, with a number where it is taken."""
    if name[:LONGEST_NAME] not in taken:
        return name[:LONGEST_NAME]
    number = 2
    while f"{name[: LONGEST_NAME - 4]}_{number}" in taken:
        number += 1
    return f"{name[: LONGEST_NAME - 4]}_{number}"
