"""Synthetic patients on disk, as a planning system would export them: CT series and RT Structure Set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from HQCSegmentLib.demo.anatomy import STRUCTURE_NAMES
from HQCSegmentLib.demo.hospital import Hospital
from HQCSegmentLib.demo.phantom import PhantomPatient, phantom_patient
from HQCSegmentLib.files import replacing_folder
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.imaging.geometry import LPS_FROM_RAS, spacing
from HQCSegmentLib.imaging.segmentation import Segmentation
from HQCSegmentLib.planning.dicom_source import MANUFACTURER
from HQCSegmentLib.planning.rtstruct import write_rtstruct
from HQCSegmentLib.planning.structure_names import structure_for

if TYPE_CHECKING:
    from pydicom import Dataset

RESCALE_INTERCEPT = -1024
"""Stored value of 0 in HU, as scanners have it."""

ACQUISITION_DATE = "20240101"
"""Date of all synthetic studies; a fixed one keeps the files the same from run to run."""


def write_cohort(folder: Path, *, hospital: Hospital, seeds: Sequence[int]) -> list[Path]:
    """Write synthetic patients, one folder each; existing folders of the same name are replaced.

    Args:
        folder: Folder of the cohort.
        hospital: Where they are scanned.
        seeds: One per patient.

    Returns:
        The patients' folders, named by alias (`A01` is the first patient of hospital A).
    """
    folders = []
    for number, seed in enumerate(seeds, start=1):
        alias = f"{hospital.name}{number:02d}"
        folders.append(Path(folder) / alias)
        write_patient(folders[-1], seed=seed, hospital=hospital, alias=alias)
    return folders


def write_patient(folder: Path, *, seed: int, hospital: Hospital, alias: str) -> None:
    """Write one synthetic patient: `CT/0001.dcm` ... and `RTSTRUCT.dcm`; an existing folder is replaced.

    The CT's bytes and UIDs depend on seed, hospital and alias only; the structure set gets new UIDs and the
    present time, as every newly written one.
    """
    patient = phantom_patient(seed=seed, hospital=hospital)
    with replacing_folder(Path(folder)) as temporary:
        _write_series(temporary / "CT", patient, f"{hospital.name}-{alias}-{seed}", hospital, alias)
        series = read_series(temporary / "CT", name=alias).series
        structures = tuple(structure_for(name, value) for value, name in STRUCTURE_NAMES.items())
        segmentation = Segmentation(patient.labels, patient.affine, structures, name=alias, series=series)
        write_rtstruct(temporary / "RTSTRUCT.dcm", segmentation)


def _write_series(folder: Path, patient: PhantomPatient, key: str, hospital: Hospital, alias: str) -> None:
    """Write one CT file per slice, from the feet to the head; `key` makes the UIDs."""
    import pydicom

    folder.mkdir()
    for k in range(patient.image.shape[2]):
        dataset = _slice(patient, k, key, hospital, alias)
        pydicom.dcmwrite(
            folder / f"{k + 1:04d}.dcm",
            dataset,
            implicit_vr=False,
            little_endian=True,
            enforce_file_format=True,
        )


def _slice(patient: PhantomPatient, k: int, key: str, hospital: Hospital, alias: str) -> Dataset:
    """Make one CT Image (PS3.3 A.3)."""
    from pydicom import Dataset
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    lps = LPS_FROM_RAS @ patient.affine
    position = lps[:3, 3] + k * lps[:3, 2]
    size_i, size_j, size_k = spacing(patient.affine)

    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.SOPClassUID = CTImageStorage
    dataset.SOPInstanceUID = generate_uid(entropy_srcs=[key, "slice", str(k)])
    dataset.PatientName = f"HQC^PHANTOM {alias}"
    dataset.PatientID = f"HQC-PHANTOM-{alias}"
    dataset.PatientBirthDate = ""
    dataset.PatientSex = "O"
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[key, "study"])
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = ACQUISITION_DATE
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = "120000"
    dataset.StudyID = "1"
    dataset.StudyDescription = "Synthetic phantom"
    dataset.AccessionNumber = ""
    dataset.ReferringPhysicianName = ""

    dataset.Modality = "CT"
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[key, "series"])
    dataset.SeriesNumber = 1
    dataset.SeriesDescription = f"Synthetic phantom, hospital {hospital.name}"
    dataset.BodyPartExamined = "ABDOMEN"
    dataset.PatientPosition = "HFS"
    dataset.FrameOfReferenceUID = generate_uid(entropy_srcs=[key, "frame of reference"])
    dataset.PositionReferenceIndicator = ""
    dataset.Manufacturer = MANUFACTURER
    dataset.ManufacturerModelName = f"Phantom {hospital.name}"

    dataset.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    dataset.DerivationDescription = "Computed, not a scan of a person"
    dataset.AcquisitionNumber = 1
    dataset.InstanceNumber = k + 1
    dataset.KVP = 120
    dataset.ConvolutionKernel = hospital.kernel
    dataset.SliceThickness = size_k
    dataset.ImagePositionPatient = [round(float(value), 4) for value in position]
    dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    dataset.PixelSpacing = [size_j, size_i]

    stored = (patient.image[:, :, k].astype(np.int32) - RESCALE_INTERCEPT).astype(np.uint16)
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Columns, dataset.Rows = stored.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.HighBit = 11
    dataset.PixelRepresentation = 0
    dataset.RescaleIntercept = RESCALE_INTERCEPT
    dataset.RescaleSlope = 1
    dataset.RescaleType = "HU"
    dataset.WindowCenter = 40
    dataset.WindowWidth = 400
    # A row of pixels runs along i, so the array is stored as (j, i).
    dataset.PixelData = np.ascontiguousarray(stored.T).tobytes()

    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset
