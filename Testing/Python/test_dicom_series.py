"""A DICOM series becomes a volume whose voxels are where the headers say, or is refused with a reason."""

import os
import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.pixels import apply_modality_lut
from pydicom.uid import JPEGLosslessSV1

import HQCSegmentLib as hqc
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import read_image
from HQCSegmentLib.imaging.dicom_series import choose_series, find_series, read_series

LPS_FROM_RAS = np.diag([-1.0, -1, 1, 1])
RANDOM = np.random.default_rng(1)
VOXELS = RANDOM.integers(-1000, 1500, (7, 5, 6)).astype(np.int16)


def rotation(axis, degrees):
    axis = np.array(axis, float) / np.linalg.norm(axis)
    cross = np.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    angle = np.radians(degrees)
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def lps_affine(direction, steps=(1.5, 2.0, 3.0), origin=(10.0, -20.0, 30.0)):
    affine = np.eye(4)
    affine[:3, :3] = np.array(direction, float) * steps
    affine[:3, 3] = origin
    return affine


DIRECTIONS = {
    "axial": np.eye(3),
    "axial, numbered from head to feet": np.diag([1, 1, -1]),
    "prone": np.diag([-1, -1, 1]),
    "coronal": np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]]).T,
    "sagittal": np.array([[0, 1, 0], [0, 0, -1], [1, 0, 0]]).T,
    "oblique": rotation((1, 2, 3), 35),
    "oblique, left-handed": rotation((1, 2, 3), 35) @ np.diag([1, 1, -1]),
}


@pytest.mark.parametrize("direction", DIRECTIONS.values(), ids=DIRECTIONS.keys())
def test_every_voxel_is_where_its_slice_says(tmp_path, write_slices, direction):
    written = lps_affine(direction)
    write_slices(tmp_path / "case", VOXELS, written)
    image = read_series(tmp_path / "case")
    positions = np.argwhere(np.ones(VOXELS.shape, bool))
    ras = positions @ (LPS_FROM_RAS @ written)[:3, :3].T + (LPS_FROM_RAS @ written)[:3, 3]
    inverse = np.linalg.inv(image.affine)
    indices = ras @ inverse[:3, :3].T + inverse[:3, 3]
    assert np.abs(indices - np.rint(indices)).max() < 1e-4
    read = image.array[tuple(np.rint(indices).astype(int).T)]
    assert np.array_equal(read, VOXELS[tuple(positions.T)])


def test_files_are_in_the_order_of_the_k_axis(tmp_path, write_slices):
    write_slices(tmp_path, VOXELS, lps_affine(DIRECTIONS["oblique, left-handed"]))
    image = read_series(tmp_path, name="case 1")
    assert image.name == "case 1"
    for k, file in enumerate(image.series.files):
        header = pydicom.dcmread(file)
        assert np.array_equal(header.pixel_array.T, image.array[:, :, k])
        expected = (LPS_FROM_RAS @ image.affine @ [0, 0, k, 1])[:3]
        assert np.allclose(header.ImagePositionPatient, expected, atol=1e-4)
        assert header.SOPInstanceUID == image.series.sop_instance_uids[k]


def test_the_rescale_slope_of_every_slice_counts(tmp_path, write_slices):
    write_slices(tmp_path, VOXELS, lps_affine(np.eye(3)), RescaleSlope=lambda k: 1 + 0.25 * k, RescaleIntercept=-3)
    image = read_series(tmp_path)
    assert np.allclose(image.array, VOXELS * (1 + 0.25 * np.arange(VOXELS.shape[2])) - 3)


def test_a_series_that_was_found_is_not_opened_again(tmp_path, write_slices, monkeypatch):
    files = write_slices(tmp_path, VOXELS, lps_affine(np.eye(3)))
    opened, dcmread = [], pydicom.dcmread

    def read(file, *arguments, **options):
        opened.append(file)
        return dcmread(file, *arguments, **options)

    monkeypatch.setattr(pydicom, "dcmread", read)
    (series,) = find_series(tmp_path)
    read_series(tmp_path, series=series)
    assert sorted(opened) == sorted(files)


def test_unless_it_was_changed(tmp_path, write_slices):
    write_slices(tmp_path, VOXELS, lps_affine(np.eye(3)))
    read_series(tmp_path)
    for file in write_slices(tmp_path, VOXELS, lps_affine(np.eye(3), steps=(1.5, 2.0, 4.0))):
        os.utime(file, ns=(0, 1))
    assert read_series(tmp_path).grid.spacing == pytest.approx((1.5, 2.0, 4.0))


def test_whole_hu_stay_whole(tmp_path, write_slices):
    write_slices(tmp_path, VOXELS, lps_affine(np.eye(3)), RescaleIntercept=-1024)
    image = read_series(tmp_path)
    assert image.array.dtype == np.int16
    assert np.array_equal(image.array, VOXELS - 1024)


def test_the_largest_series_is_read(tmp_path, write_slices):
    write_slices(tmp_path / "scout", VOXELS[:, :, :1], lps_affine(np.eye(3)))
    write_slices(tmp_path / "ct", VOXELS, lps_affine(np.eye(3)))
    (tmp_path / "notes.txt").write_text("not DICOM")
    assert [series.number_of_files for series in find_series(tmp_path)] == [6, 1]
    assert read_series(tmp_path).array.shape == VOXELS.shape


def test_two_series_of_equal_size_are_ambiguous(tmp_path, write_slices):
    write_slices(tmp_path / "a", VOXELS, lps_affine(np.eye(3)))
    write_slices(tmp_path / "b", VOXELS, lps_affine(np.eye(3)), Modality="MR")
    with pytest.raises(InputError, match="equal size"):
        read_series(tmp_path)


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(InputError, match="no DICOM image series"):
        read_series(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_series(tmp_path / "missing")


def shifted(values):
    return {"ImagePositionPatient": lambda k: values[k]}


REFUSED = {
    "not equally spaced": shifted([[0, 0, z] for z in (0, 3, 6, 12, 15, 18)]),
    "same position": shifted([[0, 0, z] for z in (0, 3, 6, 6, 9, 12)]),
    "gantry tilt": shifted([[0, 0.5 * z, z] for z in (0, 3, 6, 9, 12, 15)]),
    "different orientation": {"ImageOrientationPatient": lambda k: [1, 0, 0, 0, 1, 0] if k else [1, 0, 0, 0, 0, -1]},
    "different pixel spacing": {"PixelSpacing": lambda k: [1, 1] if k else [2, 2]},
    "frames of reference": {"FrameOfReferenceUID": lambda k: f"1.2.{k}"},
    "color": {"SamplesPerPixel": 3},
    "multi-frame": {"NumberOfFrames": 2},
    "no valid ImagePositionPatient": {"ImagePositionPatient": None},
}


@pytest.mark.parametrize(("reason", "changes"), REFUSED.items(), ids=REFUSED.keys())
def test_what_is_not_a_regular_grid_is_refused(tmp_path, write_slices, reason, changes):
    write_slices(tmp_path / "case7", VOXELS, lps_affine(np.eye(3)), **changes)
    with pytest.raises(InputError, match=f"case7: .*{reason}"):
        read_series(tmp_path / "case7")


def test_no_message_tells_who_the_patient_is(tmp_path, write_slices):
    write_slices(tmp_path / "case7", VOXELS, lps_affine(np.eye(3)), SamplesPerPixel=3)
    with pytest.raises(InputError) as caught:
        read_series(tmp_path / "case7")
    assert "Patient" not in str(caught.value)


def test_one_slice_has_its_thickness(tmp_path, write_slices):
    write_slices(tmp_path, VOXELS[:, :, :1], lps_affine(np.eye(3)))
    assert read_series(tmp_path).grid.spacing == pytest.approx((1.5, 2.0, 3.0))


@pytest.mark.data
@pytest.mark.parametrize("syntax", ["", "_j2k", "_jpeg", "_jpegls", "_rle"])
def test_compressed_series_equal_their_ground_truth(data_folder, syntax):
    folder = data_folder / "odd" / "dicom_compressed" / f"compressed{syntax}"
    image, truth = read_series(folder / "001"), read_image(folder / "001_ground_truth.nii.gz")
    change = np.linalg.inv(image.affine) @ truth.affine
    positions = np.argwhere(np.ones(truth.array.shape, bool))
    indices = np.rint(positions @ change[:3, :3].T + change[:3, 3]).astype(int)
    assert np.array_equal(image.array[tuple(indices.T)], truth.array[tuple(positions.T)])


ODD = {
    "dicom_geometry/gantrytilting/001": "gantry tilt",
    "dicom_geometry/sliceincrement/001": "not equally spaced",
    "dicom_geometry/sliceorientation/001": "different orientation",
    "dicom_geometry/notavolume/001": "same position",
    "dicom_compressed/rgb/001": "color",
}


@pytest.mark.data
@pytest.mark.parametrize(("folder", "reason"), ODD.items(), ids=ODD.keys())
def test_real_series_that_are_no_volume_are_refused(data_folder, folder, reason):
    with pytest.raises(InputError, match=reason):
        read_series(Path(data_folder) / "odd" / folder)


def rescaled_by_pydicom(dataset: pydicom.Dataset) -> np.ndarray:
    """(slice, row, column), slices along the normal."""
    if "SharedFunctionalGroupsSequence" not in dataset:
        return apply_modality_lut(dataset.pixel_array, dataset)[None]
    shared = dataset.SharedFunctionalGroupsSequence[0]
    rescale = shared.PixelValueTransformationSequence[0]
    cosines = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient)
    frames = dataset.PerFrameFunctionalGroupsSequence
    positions = np.array([one.PlanePositionSequence[0].ImagePositionPatient for one in frames])
    order = np.argsort(positions @ np.cross(cosines[:3], cosines[3:]))
    return dataset.pixel_array[order] * float(rescale.RescaleSlope) + float(rescale.RescaleIntercept)


@pytest.mark.data
@pytest.mark.parametrize("folder", ["dicom_syntax", "nifti"])
def test_every_odd_file_is_read_as_pydicom_reads_it_or_refused(data_folder, tmp_path, folder):
    """Byte orders, compressions, damaged and foreign files, each alone in a folder."""
    compared = 0
    for file in sorted((data_folder / "odd" / folder).glob("*.dcm")):
        alone = tmp_path / file.stem
        alone.mkdir()
        shutil.copy(file, alone)
        try:
            image = read_series(alone, name="case7")
        except InputError:
            continue
        dataset = pydicom.dcmread(file)
        if dataset.file_meta.TransferSyntaxUID == JPEGLosslessSV1:
            continue  # pydicom needs a plugin for it; test_compressed_series_... compares such a series
        assert np.allclose(image.array.T, rescaled_by_pydicom(dataset)), file.name
        compared += 1
    assert compared >= {"dicom_syntax": 6, "nifti": 3}[folder]


class TestSeveralSeries:
    """Of a folder with several series the one of the wanted modality is taken, then the largest; and it is said."""

    @pytest.fixture
    def folder(self, tmp_path: Path, write_slices) -> Path:
        lps = np.diag([1.0, 1.0, 2.0, 1.0])
        write_slices(tmp_path / "patient" / "ct", np.zeros((6, 5, 4), np.int16), lps)
        write_slices(tmp_path / "patient" / "scout", np.zeros((6, 5, 1), np.int16), lps)
        write_slices(tmp_path / "patient" / "mr", np.zeros((6, 5, 7), np.int16), lps, Modality="MR")
        return tmp_path / "patient"

    @pytest.mark.parametrize(("modality", "taken"), [("CT", "CT"), ("MR", "MR"), (None, "MR"), ("PT", "MR")])
    def test_the_largest_of_the_modality(self, folder: Path, modality: str | None, taken: str):
        series, note = choose_series(folder, name="patient", modality=modality)
        assert (series.modality, series.number_of_files) == (taken, {"CT": 4, "MR": 7}[taken])
        assert note.startswith(f"Of 3 image series the {taken} series of {series.number_of_files} files was taken")

    def test_a_single_one_needs_no_words(self, folder: Path):
        assert choose_series(folder / "ct", name="patient", modality="MR")[1] == ""

    def test_segmenting_says_which(self, folder: Path, tiny, tmp_path: Path):
        model = tiny.write_threshold_bundle(
            tmp_path / "model", names=("Body", "Bone"), above=(-300, 250), floor=-1000, spacing=(1, 1, 2)
        )
        for file in (folder / "ct").iterdir():
            dataset = pydicom.dcmread(file)
            pixels = dataset.pixel_array.copy()
            pixels[0] = -1000
            dataset.PixelData = pixels.tobytes()
            dataset.save_as(file)
        result = hqc.Bundle.open(model).segment(folder)
        assert result.array.shape == (6, 5, 4)
        assert "CT series of 4 files was taken" in result.warnings[0]
