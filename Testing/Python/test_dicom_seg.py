"""DICOM SEG: valid, with codes, and the same voxels when read back."""

import json
import subprocess
import sys
from pathlib import Path

import highdicom
import numpy as np
import pytest

from HQCSegmentLib.cohort.dicom_seg import drawn_segments
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Image, Segmentation, Structure, read_image
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.planning.dicom_seg import write_dicom_seg
from HQCSegmentLib.planning.structure_names import structure_for

LPS = np.array([[1.2, 0, 0, -31], [0, 2.1, 0, 12], [0, 0, 3.0, -80], [0, 0, 0, 1.0]])


@pytest.fixture
def segmentation(tmp_path, write_slices):
    write_slices(tmp_path / "ct", np.zeros((20, 16, 6), np.int16), LPS)
    image = read_series(tmp_path / "ct", name="case")
    labels = np.zeros((20, 16, 6), np.uint8)
    labels[3:9, 2:12, 1:5] = 2
    labels[10:15, 4:8, 2:4] = 7
    structures = (
        structure_for("Kidney_L", 2),
        Structure(value=7, name="Unknown thing"),
        structure_for("Liver", 9),
    )
    return Segmentation(labels, image.affine, structures, name="case", series=image.series)


@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_voxels_and_places_are_read_back(tmp_path, segmentation, kind):
    write_dicom_seg(tmp_path / "SEG.dcm", segmentation, kind=kind)
    volume = highdicom.seg.segread(tmp_path / "SEG.dcm").get_volume(combine_segments=True)
    found = np.argwhere(volume.array > 0)
    lps = found @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    from_lps = np.linalg.inv(np.diag([-1.0, -1, 1, 1]) @ segmentation.affine)
    indices = lps @ from_lps[:3, :3].T + from_lps[:3, 3]
    assert np.abs(indices - np.rint(indices)).max() < 1e-4
    expected = {1: 2, 2: 7}
    values = segmentation.array[tuple(np.rint(indices).astype(int).T)]
    assert [expected[int(number)] for number in volume.array[tuple(found.T)]] == values.tolist()
    assert len(found) == (segmentation.array > 0).sum()


@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_the_own_reader_gives_every_voxel_back(tmp_path, segmentation, kind):
    write_dicom_seg(tmp_path / "SEG.dcm", segmentation, kind=kind)
    image = Image(np.zeros(segmentation.array.shape, np.int16), segmentation.affine, series=segmentation.series)
    for drawn in drawn_segments(tmp_path / "SEG.dcm", image):
        assert np.array_equal(drawn.box.whole(image.grid.shape), segmentation.mask(drawn.name)), drawn.name


def oblique():
    first, second = np.radians(20), np.radians(11)
    turn = np.array([[np.cos(first), -np.sin(first), 0], [np.sin(first), np.cos(first), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, np.cos(second), -np.sin(second)], [0, np.sin(second), np.cos(second)]])
    lps = LPS.copy()
    lps[:3, :3] = turn @ tilt @ LPS[:3, :3]
    return lps


@pytest.mark.parametrize("lps", [LPS, oblique()], ids=["straight", "oblique"])
@pytest.mark.parametrize("kind", ["binary", "labelmap"])
def test_dcmqi_reads_every_voxel_and_code(tmp_path, write_slices, kind, lps):
    write_slices(tmp_path / "ct", np.zeros((20, 16, 6), np.int16), lps)
    image = read_series(tmp_path / "ct", name="case")
    labels = np.zeros((20, 16, 6), np.uint8)
    labels[3:9, 2:12, 1:5], labels[5:7, 4:6, 2:4], labels[10:15, 4:8, 2:4] = 2, 0, 7
    structures = (structure_for("Kidney_L", 2), structure_for("GTV", 7))
    segmentation = Segmentation(labels, image.affine, structures, name="case", series=image.series)
    write_dicom_seg(tmp_path / "SEG.dcm", segmentation, kind=kind)
    program = Path(sys.executable).with_name("segimage2itkimage")
    command = [program, "--inputDICOM", "SEG.dcm", "--outputDirectory", ".", "--outputType", "nrrd"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    # Segments that do not overlap may share a file, in which each has a value.
    groups = json.loads((tmp_path / "meta.json").read_text())["segmentAttributes"]
    described = [one for group in groups for one in group]
    assert [one["SegmentLabel"] for one in described] == ["Kidney_L", "GTV"]
    kidney = described[0]
    assert kidney["SegmentedPropertyTypeCodeSequence"]["CodeValue"] == "64033007"
    assert kidney["SegmentedPropertyTypeModifierCodeSequence"]["CodeMeaning"] == "Left"
    from_voxels = np.linalg.inv(image.affine)
    places = [(number, one["labelID"]) for number, group in enumerate(groups, start=1) for one in group]
    for (number, value), structure in zip(places, structures, strict=True):
        read = read_image(tmp_path / f"{number}.nrrd")
        found = np.argwhere(read.array == value)
        to_ours = from_voxels @ read.affine
        indices = found @ to_ours[:3, :3].T + to_ours[:3, 3]
        assert np.abs(indices - np.rint(indices)).max() < 0.01
        back = np.zeros(labels.shape, bool)
        back[tuple(np.rint(indices).astype(int).T)] = True
        assert np.array_equal(back, segmentation.mask(structure.name)), structure.name


def test_segments_carry_names_and_codes(tmp_path, segmentation):
    write_dicom_seg(tmp_path / "SEG.dcm", segmentation)
    dataset = highdicom.seg.segread(tmp_path / "SEG.dcm")
    kidney, unknown, liver = dataset.SegmentSequence
    assert [item.SegmentLabel for item in dataset.SegmentSequence] == ["Kidney_L", "Unknown thing", "Liver"]
    assert {item.SegmentAlgorithmType for item in dataset.SegmentSequence} == {"AUTOMATIC"}
    kidney_type = kidney.SegmentedPropertyTypeCodeSequence[0]
    assert kidney_type.CodeValue == "64033007"
    assert kidney_type.SegmentedPropertyTypeModifierCodeSequence[0].CodeMeaning == "Left"
    assert unknown.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Tissue"
    assert liver.SegmentedPropertyTypeCodeSequence[0].CodeMeaning == "Liver"


def test_the_validator_finds_no_error(tmp_path, segmentation, dicom_errors):
    write_dicom_seg(tmp_path / "SEG.dcm", segmentation)
    assert dicom_errors(tmp_path / "SEG.dcm") == []


def test_the_validator_finds_no_error_in_a_label_map(tmp_path, segmentation, newest_dicom_errors):
    """Debian's is older than DICOM Supplement 243 and does not know the object."""
    write_dicom_seg(tmp_path / "SEG.dcm", segmentation, kind="labelmap")
    assert newest_dicom_errors(tmp_path / "SEG.dcm") == []


def test_an_image_file_cannot_become_a_dicom_seg(tmp_path, segmentation):
    other = Segmentation(segmentation.array, segmentation.affine, segmentation.structures, name="case")
    with pytest.raises(InputError, match="must be a DICOM series"):
        write_dicom_seg(tmp_path / "SEG.dcm", other)


def test_an_empty_segmentation_is_refused(tmp_path, segmentation):
    empty = np.zeros_like(segmentation.array)
    other = Segmentation(empty, segmentation.affine, segmentation.structures, series=segmentation.series)
    with pytest.raises(InputError, match="no structure has any voxel"):
        write_dicom_seg(tmp_path / "SEG.dcm", other)
