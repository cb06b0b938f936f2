"""Small CT series for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_slices(folder: Path, array: np.ndarray, lps: np.ndarray, **changes: object) -> list[Path]:
    """Write an int16 array (i, j, k) with an LPS affine as a CT series, one file per slice in any order."""
    import pydicom
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

    folder.mkdir(parents=True, exist_ok=True)
    steps = np.linalg.norm(lps[:3, :3], axis=0)
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    files = []
    for k in range(array.shape[2]):
        dataset = pydicom.Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
        dataset.FrameOfReferenceUID = frame
        dataset.Modality = "CT"
        dataset.PatientName, dataset.PatientID, dataset.PatientSex = "Test^Patient", "42", "O"
        dataset.PatientBirthDate = dataset.StudyID = dataset.AccessionNumber = ""
        dataset.StudyDate, dataset.StudyTime, dataset.ReferringPhysicianName = "20240101", "120000", ""
        dataset.PositionReferenceIndicator = ""
        dataset.SeriesNumber = 1
        # Instance numbers say nothing about positions.
        dataset.InstanceNumber = (7 * k) % array.shape[2] + 1
        dataset.ImagePositionPatient = [round(float(v), 6) for v in lps[:3, 3] + k * lps[:3, 2]]
        cosines = (lps[:3, :2] / steps[:2]).T.ravel()
        dataset.ImageOrientationPatient = [round(float(v), 9) for v in cosines]
        dataset.PixelSpacing = [round(float(steps[1]), 6), round(float(steps[0]), 6)]
        dataset.SliceThickness = round(float(steps[2]), 6)
        dataset.Columns, dataset.Rows = array.shape[:2]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
        dataset.PixelRepresentation = 1
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        for tag, value in changes.items():
            setattr(dataset, tag, value(k) if callable(value) else value)
        dataset.PixelData = np.ascontiguousarray(array[:, :, k].astype(np.int16).T).tobytes()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        files.append(folder / f"{(5 * k) % 97:03d}.dcm")
        pydicom.dcmwrite(files[-1], dataset, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return files
