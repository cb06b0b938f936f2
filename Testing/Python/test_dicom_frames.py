"""Enhanced multi-frame images become the volume that their functional groups tell, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from dicom_segs import write_segmentation
from pydicom.uid import EnhancedCTImageStorage, EnhancedMRImageStorage, EnhancedPETImageStorage, RLELossless

from HQCSegmentLib.cohort import Cohort
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging.dicom_series import choose_series, find_series, read_series
from HQCSegmentLib.planning.dicom_source import require_series

LPS_FROM_RAS = np.diag([-1.0, -1, 1, 1])
AFFINE_LPS = np.array([[0.8, 0, 0, -12], [0, 1.2, 0, 7], [0, 0, 3, -40], [0, 0, 0, 1]])
RANDOM = np.random.default_rng(3)
VOXELS = RANDOM.integers(0, 1500, (9, 7, 6)).astype(np.int16)
"""Stored values, (i, j, k)."""

ORDER = [3, 0, 5, 1, 4, 2]
"""Slice of each frame: frames need not be in the order of positions."""


def frame(k: int, *, shared: bool, slope: float, intercept: float) -> pydicom.Dataset:
    """Functional groups of the frame on slice k; what is the same for all may be left to the shared ones."""
    group = pydicom.Dataset()
    place = pydicom.Dataset()
    place.ImagePositionPatient = [float(one) for one in AFFINE_LPS[:3, 3] + k * AFFINE_LPS[:3, 2]]
    group.PlanePositionSequence = [place]
    rescale = pydicom.Dataset()
    rescale.RescaleSlope, rescale.RescaleIntercept, rescale.RescaleType = slope, intercept, "US"
    group.PixelValueTransformationSequence = [rescale]
    if not shared:
        group.update(same_for_all())
    return group


def same_for_all() -> pydicom.Dataset:
    group = pydicom.Dataset()
    turn, measures = pydicom.Dataset(), pydicom.Dataset()
    turn.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    measures.PixelSpacing, measures.SliceThickness = [1.2, 0.8], 3
    group.PlaneOrientationSequence, group.PixelMeasuresSequence = [turn], [measures]
    return group


@pytest.fixture
def write_enhanced(tmp_path: Path, write_slices: Callable[..., list[Path]]) -> Callable[..., Path]:
    """Write VOXELS as one multi-frame file in `patient/`, from the header of a single-frame one."""

    def write(
        *,
        kind: str = EnhancedCTImageStorage,
        modality: str = "CT",
        shared: bool = True,
        rescale: Callable[[int], tuple[float, float]] = lambda _: (1, -1024),
        name: str = "enhanced",
        **changes: object,
    ) -> Path:
        (single,) = write_slices(tmp_path / "single", VOXELS[:, :, :1], AFFINE_LPS)
        dataset = pydicom.dcmread(single)
        for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
            delattr(dataset, tag)
        del dataset.RescaleSlope, dataset.RescaleIntercept
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = kind
        dataset.Modality, dataset.NumberOfFrames = modality, len(ORDER)
        dataset.SharedFunctionalGroupsSequence = [same_for_all()] if shared else [pydicom.Dataset()]
        dataset.PerFrameFunctionalGroupsSequence = [
            frame(k, shared=shared, slope=rescale(k)[0], intercept=rescale(k)[1]) for k in ORDER
        ]
        dataset.PixelData = np.ascontiguousarray(VOXELS[:, :, ORDER].T).tobytes()
        for tag, value in changes.items():
            setattr(dataset, tag, value)
        file = tmp_path / "patient" / f"{name}.dcm"
        file.parent.mkdir(exist_ok=True)
        dataset.save_as(file)
        return file

    return write


@pytest.mark.parametrize("shared", [True, False], ids=["shared groups", "groups of every frame"])
@pytest.mark.parametrize(
    ("kind", "modality"),
    [(EnhancedCTImageStorage, "CT"), (EnhancedMRImageStorage, "MR"), (EnhancedPETImageStorage, "PT")],
)
def test_frames_are_sorted_by_position_and_rescaled(write_enhanced: Callable, kind: str, modality: str, shared: bool):
    file = write_enhanced(kind=kind, modality=modality, shared=shared)
    image = read_series(file.parent)
    assert np.array_equal(image.array, VOXELS - 1024)
    assert image.array.dtype == np.int16
    assert np.allclose(LPS_FROM_RAS @ image.affine, AFFINE_LPS)
    assert image.series.files == (file,) * 6
    assert len(set(image.series.sop_instance_uids)) == 1


def test_the_slope_of_every_frame_counts(write_enhanced: Callable):
    file = write_enhanced(modality="PT", kind=EnhancedPETImageStorage, rescale=lambda k: (1 + 0.25 * k, -3))
    array = read_series(file.parent).array
    assert np.allclose(array, VOXELS * (1 + 0.25 * np.arange(6)) - 3)
    assert array.dtype == np.float32


def test_compressed_frames(write_enhanced: Callable):
    file = write_enhanced()
    dataset = pydicom.dcmread(file)
    dataset.compress(RLELossless)
    dataset.save_as(file)
    assert np.array_equal(read_series(file.parent).array, VOXELS - 1024)


def test_slices_are_counted_and_not_files(write_enhanced: Callable, write_slices: Callable):
    file = write_enhanced()
    write_slices(file.parent / "scout", VOXELS[:, :, :2], AFFINE_LPS)
    assert [one.number_of_slices for one in find_series(file.parent)] == [6, 2]
    chosen, _ = choose_series(file.parent, name="case")
    assert chosen.number_of_files == 1


def test_two_volumes_in_one_file_are_refused(write_enhanced: Callable):
    # Phases, echoes: every place is there twice.
    twice = [frame(k // 2, shared=True, slope=1, intercept=0) for k in range(6)]
    file = write_enhanced(PerFrameFunctionalGroupsSequence=twice)
    with pytest.raises(InputError, match=r"same position \(frame 1 of enhanced\.dcm and frame 2 of enhanced\.dcm\)"):
        read_series(file.parent)


@pytest.mark.parametrize(
    "changes", [{"PerFrameFunctionalGroupsSequence": []}, {"NumberOfFrames": 7}], ids=["no groups", "too few"]
)
def test_frames_without_a_place_are_refused(write_enhanced: Callable, changes: dict):
    file = write_enhanced(**changes)
    with pytest.raises(InputError, match="does not say of every frame where it lies; export") as caught:
        read_series(file.parent)
    assert caught.value.code == "multi-frame"


def test_contours_on_an_enhanced_image_are_read(write_enhanced: Callable):
    file = write_enhanced()
    source = pydicom.dcmread(file)
    mask = np.zeros(VOXELS.shape, bool)
    mask[2:6, 1:5, 2:4] = True
    positions = [highdicom.PlanePositionSequence("PATIENT", AFFINE_LPS[:3, 3] + k * AFFINE_LPS[:3, 2]) for k in (2, 3)]
    write_segmentation(file.with_name("seg.dcm"), [source], mask[:, :, 2:4].T, ["Liver"], plane_positions=positions)
    cohort = Cohort.open(file.parent.parent)
    (case,) = cohort.cases
    read = case.read(cohort.structures)
    assert cohort.structures == {1: "Liver"}
    assert np.array_equal(read.label > 0, mask)


def test_nothing_that_would_refer_to_single_frames_is_written(write_enhanced: Callable):
    image = read_series(write_enhanced().parent)
    with pytest.raises(InputError, match="RTSTRUCT is not written on multi-frame images"):
        require_series(image.series, name="case", output="RTSTRUCT")
