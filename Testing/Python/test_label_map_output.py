"""A label map of any program becomes a structure set or DICOM SEG of the series that it was made on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from HQCSegmentLib.cohort.dicom_seg import drawn_segments
from HQCSegmentLib.cohort.rtstruct import list_rois, read_structure_set
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import Image, Structure, write_array
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.planning.output import write_label_map

LPS = np.array([[1.2, 0, 0, -31], [0, 2.1, 0, 12], [0, 0, 3.0, -80], [0, 0, 0, 1.0]])
SHAPE = (20, 16, 6)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory, write_slices: Callable[..., list[Path]]) -> Image:
    folder = tmp_path_factory.mktemp("series")
    write_slices(folder, np.zeros(SHAPE, np.int16), LPS)
    return read_series(folder, name="case")


@pytest.fixture
def labels() -> np.ndarray:
    array = np.zeros(SHAPE, np.uint8)
    array[3:9, 2:12, 1:5], array[12:15, 4:8, 2:4] = 1, 3
    return array


def folder_of(image: Image) -> Path:
    assert image.series is not None
    return image.series.files[0].parent


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)], ids=["same axes", "other axes"])
@pytest.mark.parametrize("flip", [(), (2,), (0, 1)], ids=["same way", "slices reversed", "plane reversed"])
def test_the_order_of_the_axes_does_not_matter(
    image: Image, labels: np.ndarray, tmp_path: Path, order: tuple[int, ...], flip: tuple[int, ...]
):
    affine = image.affine.copy()
    array = labels
    for axis in flip:
        affine[:3, 3] += affine[:3, axis] * (SHAPE[axis] - 1)
        affine[:3, axis] *= -1
        array = np.flip(array, axis)
    write_array(tmp_path / "label.nrrd", array.transpose(order), affine[:, [*order, 3]])
    path = write_label_map(tmp_path / "RS.dcm", label_map=tmp_path / "label.nrrd", series=folder_of(image),
                           names={1: "liver", 3: "GTV"})  # fmt: skip
    masks = read_structure_set(path, image)
    assert list(masks) == ["Liver", "GTV"]
    assert np.array_equal(masks["Liver"], labels == 1)
    assert np.array_equal(masks["GTV"], labels == 3)


def test_the_name_of_the_file_makes_it_a_dicom_seg(image: Image, labels: np.ndarray, tmp_path: Path):
    write_array(tmp_path / "label.nrrd", labels, image.affine)
    structures = [Structure(value=1, name="Mine", color=(1, 2, 3)), Structure(value=3, name="Yours")]
    path = write_label_map(tmp_path / "a.seg.dcm", label_map=tmp_path / "label.nrrd", series=folder_of(image),
                           structures=structures)  # fmt: skip
    found = {drawn.name: drawn.box.whole(SHAPE) for drawn in drawn_segments(path, image)}
    assert np.array_equal(found["Mine"], labels == 1)
    assert np.array_equal(found["Yours"], labels == 3)


def test_structures_can_be_added_to_a_structure_set(image: Image, labels: np.ndarray, tmp_path: Path):
    write_array(tmp_path / "label.nrrd", labels, image.affine)
    options = {"label_map": tmp_path / "label.nrrd", "series": folder_of(image)}
    first = write_label_map(tmp_path / "1.dcm", names={1: "Liver", 3: "GTV"}, **options)
    second = write_label_map(tmp_path / "2.dcm", names={1: "Spleen", 3: "Heart"}, existing=first, **options)
    assert list_rois(first) == ["Liver", "GTV"]
    assert list_rois(second) == ["Liver", "GTV", "Spleen", "Heart"]


def test_values_without_a_name_and_other_voxels_are_refused(image: Image, labels: np.ndarray, tmp_path: Path):
    write_array(tmp_path / "label.nrrd", labels, image.affine)
    moved = image.affine.copy()
    moved[0, 3] += 0.6
    write_array(tmp_path / "moved.nrrd", labels, moved)
    for name, names, words in (("label", {1: "Liver"}, r"value\(s\) 3, which no structure"),
                               ("moved", {1: "Liver", 3: "GTV"}, "does not lie on the voxels")):  # fmt: skip
        with pytest.raises(InputError, match=words):
            write_label_map(
                tmp_path / "RS.dcm", label_map=tmp_path / f"{name}.nrrd", series=folder_of(image), names=names
            )
        assert not (tmp_path / "RS.dcm").exists()
