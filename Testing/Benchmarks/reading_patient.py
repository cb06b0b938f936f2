"""A patient to measure reading with: a large CT series and a structure set whose true voxels are known.

Structures are ellipsoids and tubes, so their outline on a slice is an ellipse that can be written as finely as a
planning system does, and a voxel's centre is inside or outside by a formula. Every fourth has a hole, which is written
in turn as a second contour (to be combined by exclusive or) and as a keyhole.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from HQCSegmentLib.imaging import Segmentation, Structure
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.planning.contour_sequence import Contour, encode_contours
from HQCSegmentLib.planning.rtstruct import write_rtstruct

PIXEL_MM, SLICE_MM = 0.9765625, 2.5
ORIGIN_LPS = (-250.0, -250.0, -300.0)
POINTS = 180
"""Vertices of one contour; planning systems write between 50 and 400."""

HOLE = 0.4
"""Size of a hole in parts of the structure that it is in."""


@dataclass(frozen=True)
class Ellipsoid:
    """A structure; `centre` and `radii` in voxels along i, j, k."""

    name: str
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    hole: str = ""

    def voxels(self, shape: tuple[int, int, int]) -> npt.NDArray[np.bool_]:
        """Mask (i, j, k) of the voxels whose centres are inside."""
        i, j, k = (
            ((np.arange(size) - centre) / radius) ** 2
            for size, centre, radius in zip(shape, self.centre, self.radii, strict=True)
        )
        left = 1 - k
        plane = i[:, None] + j[None, :]
        inside = plane[:, :, None] < left
        return inside & ~(plane[:, :, None] < HOLE**2 * left) if self.hole else inside

    def contours(self, k: int) -> list[npt.NDArray[np.float64]]:
        """Vertices (points, 2) in voxels along i, j of the contours on slice k."""
        left = 1 - ((k - self.centre[2]) / self.radii[2]) ** 2
        if left <= 0.01:
            return []
        angles = np.linspace(0, 2 * np.pi, POINTS, endpoint=False)
        circle = np.column_stack([np.cos(angles), np.sin(angles)])
        # As much outside the curve as inside, so that the polygon has the curve's area.
        size = np.sqrt(left) / np.sqrt(np.sinc(2 / POINTS))
        outer = self.centre[:2] + circle * self.radii[:2] * size
        inner = self.centre[:2] + circle * self.radii[:2] * size * HOLE
        if self.hole == "xor":
            return [outer, inner]
        if self.hole == "keyhole":
            return [np.concatenate([outer, outer[:1], inner[:1], inner[:0:-1], inner[:1]])]
        return [outer]


def ellipsoids(number: int, shape: tuple[int, int, int], *, seed: int = 0) -> list[Ellipsoid]:
    """Structures from the size of a lens to that of a body, at places drawn by seed."""
    random = np.random.default_rng(seed)
    size = np.array(shape, float)
    drawn = [Ellipsoid("BODY", tuple(size * 0.5 - 0.37), tuple(size * (0.42, 0.3, 0.6)))]
    for one in range(1, number):
        radii = size * random.uniform(0.02, 0.16, 3)
        centre = radii + random.uniform(0, 1, 3) * (size - 1 - 2 * radii)
        hole = ("xor", "keyhole")[one // 4 % 2] if one % 4 == 0 else ""
        drawn.append(Ellipsoid(f"Structure_{one:02d}", tuple(centre), tuple(radii), hole))
    return drawn


def write_patient(folder: Path, *, shape: tuple[int, int, int], structures: list[Ellipsoid], seed: int = 0) -> None:
    """Write `CT/0000.dcm` ... and `RTSTRUCT.dcm`."""
    write_ct(folder / "CT", shape=shape, structures=structures, seed=seed)
    image = read_series(folder / "CT", name="benchmark")
    listed = tuple(Structure(value=value, name=one.name) for value, one in enumerate(structures, start=1))
    empty = Segmentation(np.zeros(shape, np.uint8), image.affine, listed, name="benchmark", series=image.series)
    write_rtstruct(folder / "RTSTRUCT.dcm", empty)
    dataset = pydicom.dcmread(folder / "RTSTRUCT.dcm")
    assert image.series is not None
    dataset.ROIContourSequence = []
    for value, one in enumerate(structures, start=1):
        contours = [
            Contour(_in_patient(polygon, k), CTImageStorage, image.series.sop_instance_uids[k])
            for k in range(shape[2])
            for polygon in one.contours(k)
        ]
        item = pydicom.Dataset()
        item.ReferencedROINumber = value
        item.ROIDisplayColor = [255, 255, 0]
        item.add(pydicom.DataElement("ContourSequence", "OB", encode_contours(contours)))
        dataset.ROIContourSequence.append(item)
    dataset.save_as(folder / "RTSTRUCT.dcm")


def write_ct(folder: Path, *, shape: tuple[int, int, int], structures: list[Ellipsoid], seed: int) -> None:
    """Write one CT file a slice: noise, and each structure a little brighter than the air around."""
    random = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    array = np.full(shape, -1000, np.int16)
    for value, one in enumerate(structures):
        array[one.voxels(shape)] = 10 * value
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    for k in range(shape[2]):
        dataset = pydicom.Dataset()
        dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, generate_uid()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, series, frame
        dataset.Modality, dataset.PatientName, dataset.PatientID = "CT", "Benchmark", "0"
        dataset.PatientBirthDate = dataset.PatientSex = dataset.StudyID = dataset.AccessionNumber = ""
        dataset.StudyDate, dataset.StudyTime, dataset.ReferringPhysicianName = "20240101", "120000", ""
        dataset.SeriesNumber, dataset.InstanceNumber = 1, k + 1
        dataset.ImagePositionPatient = [*ORIGIN_LPS[:2], ORIGIN_LPS[2] + k * SLICE_MM]
        dataset.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
        dataset.PixelSpacing, dataset.SliceThickness = [PIXEL_MM, PIXEL_MM], SLICE_MM
        dataset.Columns, dataset.Rows = shape[:2]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 16, 15, 1
        dataset.RescaleSlope, dataset.RescaleIntercept = 1, 0
        noise = random.normal(0, 20, shape[:2]).astype(np.int16)
        dataset.PixelData = np.ascontiguousarray((array[:, :, k] + noise).T).tobytes()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.save_as(folder / f"{k:04d}.dcm", enforce_file_format=True)


def _in_patient(polygon: npt.NDArray[np.float64], k: int) -> npt.NDArray[np.float64]:
    """Vertices in LPS millimetres, (points, 3), of a polygon in voxels (points, 2) on slice k."""
    points = np.column_stack([polygon, np.full(len(polygon), k)])
    return points * (PIXEL_MM, PIXEL_MM, SLICE_MM) + ORIGIN_LPS
