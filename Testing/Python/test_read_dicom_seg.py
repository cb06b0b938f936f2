"""A DICOM SEG of any writer becomes masks that lie on the image voxel by voxel, or is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_segs import write_segmentation

from HQCSegmentLib.cohort.dicom_seg import drawn_segments, is_dicom_seg, list_segments
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Image, Segmentation, Structure
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.planning.dicom_seg import write_dicom_seg
from HQCSegmentLib.planning.rtstruct import write_rtstruct

SHAPE = (20, 16, 8)


def lps_affine(*, turned: bool = False) -> np.ndarray:
    angle = np.radians(25 if turned else 0)
    affine = np.eye(4)
    turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
    affine[:3, :3] = turn * (1.2, 2.1, 3.0)
    affine[:3, 3] = (-31.0, 12.0, -80.0)
    return affine


@pytest.fixture(params=[False, True], ids=["straight", "oblique"])
def image(request: pytest.FixtureRequest, tmp_path: Path, write_slices) -> Image:
    write_slices(tmp_path / "ct", np.zeros(SHAPE, np.int16), lps_affine(turned=request.param))
    return read_series(tmp_path / "ct", name="case")


def masks_of(path: Path, image: Image, **options: object) -> dict[str, np.ndarray]:
    return {drawn.name: drawn.box.whole(image.grid.shape) for drawn in drawn_segments(path, image, **options)}


def liver_and_tumor() -> np.ndarray:
    """Two masks, (i, j, k, segment), the second inside the first."""
    masks = np.zeros((*SHAPE, 2), bool)
    masks[3:15, 2:12, 1:6, 0] = True
    masks[5:9, 4:8, 3:5, 1] = True
    return masks


def write(
    path: Path,
    image: Image,
    masks: np.ndarray,
    *,
    kind: str = "BINARY",
    labels: tuple[str, ...] = ("Liver", "GTV"),
    slices: list[int] | None = None,
    **options: object,
) -> Path:
    """A DICOM SEG with frames for some slices of the series in the order given."""
    assert image.series is not None
    slices = list(range(SHAPE[2])) if slices is None else slices
    frames = masks.transpose(2, 1, 0, 3)[slices] if masks.ndim == 4 else masks.transpose(2, 1, 0)[slices]
    sources = [pydicom.dcmread(image.series.files[k]) for k in slices]
    return write_segmentation(path, sources, frames, labels, segmentation_type=kind, **options)


def test_overlapping_segments_are_read_each_for_itself(tmp_path: Path, image: Image):
    path = write(tmp_path / "SEG.dcm", image, liver_and_tumor())
    assert is_dicom_seg(path)
    assert list_segments(path) == ["Liver", "GTV"]
    masks = masks_of(path, image)
    assert list(masks) == ["Liver", "GTV"]
    for number, mask in enumerate(masks.values()):
        assert np.array_equal(mask, liver_and_tumor()[..., number])


def test_what_we_write_is_what_we_read(tmp_path: Path, image: Image):
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:9, 2:12, 1:5] = 2
    labels[10:15, 4:8, 2:4] = 7
    structures = (
        Structure(value=2, name="Kidney_L"),
        Structure(value=7, name="GTV"),
        Structure(value=9, name="Liver"),
    )
    segmentation = Segmentation(labels, image.affine, structures, name="case", series=image.series)
    write_dicom_seg(tmp_path / "SEG.dcm", segmentation)
    masks = masks_of(tmp_path / "SEG.dcm", image)
    assert list_segments(tmp_path / "SEG.dcm") == ["Kidney_L", "GTV", "Liver"]
    assert list(masks) == ["Kidney_L", "GTV"]  # a segment without frames is not drawn
    for name, mask in masks.items():
        assert np.array_equal(mask, segmentation.mask(name))


def test_only_the_named_segments_are_read(tmp_path: Path, image: Image):
    path = write(tmp_path / "SEG.dcm", image, liver_and_tumor())
    assert list(masks_of(path, image, names={"GTV", "Spleen"})) == ["GTV"]


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_every_kind_of_segmentation(tmp_path: Path, image: Image, kind: str):
    masks = liver_and_tumor()
    if kind == "LABELMAP":
        pixels = np.where(masks[..., 1], 2, masks[..., 0].astype(np.uint8)).astype(np.uint8)
        expected = [pixels == 1, pixels == 2]
    elif kind == "FRACTIONAL":
        pixels = np.where(masks, 0.7, 0.3)
        expected = [masks[..., 0], masks[..., 1]]
    else:
        pixels, expected = masks, [masks[..., 0], masks[..., 1]]
    found = masks_of(write(tmp_path / "SEG.dcm", image, pixels, kind=kind), image)
    assert all(np.array_equal(mask, wanted) for mask, wanted in zip(found.values(), expected, strict=True))


@pytest.mark.parametrize("slices", [[2, 3, 4], [4, 3, 2, 5], [1, 3, 6], [4]], ids=str)
def test_frames_are_placed_by_position_whatever_their_order_and_number(tmp_path: Path, image: Image, slices: list[int]):
    masks = liver_and_tumor()
    expected = np.zeros_like(masks)
    expected[:, :, slices] = masks[:, :, slices]
    found = masks_of(write(tmp_path / "SEG.dcm", image, masks, slices=slices), image)
    for number, name in enumerate(("Liver", "GTV")):
        assert np.array_equal(found.get(name, np.zeros(SHAPE, bool)), expected[..., number])


def test_a_segment_of_another_resolution_is_refused(tmp_path: Path, image: Image):
    path = write(tmp_path / "SEG.dcm", image, liver_and_tumor())
    dataset = pydicom.dcmread(path)
    shared = dataset.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    shared.PixelSpacing = [2.2, 1.1]
    dataset.save_as(path)
    with pytest.raises(InputError, match=r"case: SEG\.dcm: segment 'Liver' is not on the grid .* export"):
        masks_of(path, image)


def test_a_segment_that_lies_half_a_voxel_off_is_refused(tmp_path: Path, image: Image):
    path = write(tmp_path / "SEG.dcm", image, liver_and_tumor())
    dataset = pydicom.dcmread(path)
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        position = frame.PlanePositionSequence[0]
        position.ImagePositionPatient = [position.ImagePositionPatient[0] + 0.6, *position.ImagePositionPatient[1:]]
    dataset.save_as(path)
    with pytest.raises(InputError, match=r"up to 0\.50 voxels"):
        masks_of(path, image)


def test_a_series_that_lacks_slices_of_the_segment_is_refused(tmp_path: Path, image: Image):
    path = write(tmp_path / "SEG.dcm", image, liver_and_tumor())
    assert image.series is not None
    for file in image.series.files[:3]:
        file.unlink()
    with pytest.raises(InputError, match="reaches outside the image series"):
        masks_of(path, read_series(tmp_path / "ct", name="case"))


def test_another_frame_of_reference_is_refused(tmp_path: Path, image: Image, write_slices):
    path = write(tmp_path / "SEG.dcm", image, liver_and_tumor())
    write_slices(tmp_path / "other", np.zeros(SHAPE, np.int16), lps_affine())
    with pytest.raises(InputError, match=r"other: SEG\.dcm belongs to another frame of reference"):
        masks_of(path, read_series(tmp_path / "other"))


def test_two_segments_of_one_label_are_refused(tmp_path: Path, image: Image):
    path = write(tmp_path / "SEG.dcm", image, liver_and_tumor(), labels=("Liver", "Liver"))
    with pytest.raises(InputError, match="two segments labelled 'Liver'; rename one"):
        masks_of(path, image)


def test_what_is_no_dicom_seg_is_refused(tmp_path: Path, image: Image):
    (tmp_path / "text.dcm").write_text("text")
    assert image.series is not None
    for file in (tmp_path / "text.dcm", image.series.files[0]):
        assert not is_dicom_seg(file)
        with pytest.raises(InputError, match="is not a DICOM SEG"):
            list_segments(file)


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path, image: Image):
    path = write(tmp_path / "SEG.dcm", image, liver_and_tumor())
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"SEG\.dcm"):
        masks_of(path, image)


def test_a_patient_with_a_dicom_seg_is_a_case(tmp_path: Path, image: Image):
    import HQCSegmentLib as hqc

    (tmp_path / "cohort" / "p1").mkdir(parents=True)
    (tmp_path / "ct").rename(tmp_path / "cohort" / "p1" / "ct")
    again = read_series(tmp_path / "cohort" / "p1" / "ct", name="case")
    write(tmp_path / "cohort" / "p1" / "contours", again, liver_and_tumor())
    cohort = hqc.Cohort.open(tmp_path / "cohort")
    assert cohort.structures == {1: "Liver", 2: "GTV"}
    read = cohort.cases[0].read(cohort.structures)
    assert read.known == {1, 2}
    masks = liver_and_tumor()
    assert np.array_equal(read.label, np.where(masks[..., 1], 2, masks[..., 0].astype(int)))


def test_the_same_contours_as_structure_set_and_as_seg_are_the_same_label_map(tmp_path: Path, image: Image):
    from HQCSegmentLib.cohort.drawings import drawn_in, list_names

    labels = liver_and_tumor()[..., 0].astype(np.uint8)
    segmentation = Segmentation(labels, image.affine, (Structure(value=1, name="Liver"),), "case", image.series)
    write_rtstruct(tmp_path / "a.dcm", segmentation)
    write_dicom_seg(tmp_path / "b.dcm", segmentation)
    first, second = ([*drawn_in(tmp_path / name, image)] for name in ("a.dcm", "b.dcm"))
    assert list_names(tmp_path / "a.dcm") == list_names(tmp_path / "b.dcm") == ["Liver"]
    assert np.array_equal(first[0].box.whole(SHAPE), second[0].box.whole(SHAPE))
