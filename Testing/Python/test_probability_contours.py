"""Contours between the voxels, where the model is undecided: nearer to the true shape than those around voxels."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest

from HQCSegmentLib.cohort.rtstruct import read_structure_set
from HQCSegmentLib.imaging import Segmentation, read_label_map
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.naming import structure_for
from HQCSegmentLib.planning.rtstruct import write_rtstruct

LPS = np.array([[0.9, 0, 0, -31], [0, 1.3, 0, 12], [0, 0, 3.0, -80], [0, 0, 0, 1.0]])
SHAPE = (44, 36, 14)
CENTER = np.array([-31 + 0.9 * 21.3, 12 + 1.3 * 17.6, -80 + 3 * 6.4])
RADIUS_MM = 14.0


def from_center() -> np.ndarray:
    """Distance of every voxel from the center of the ball in mm."""
    indices = np.stack([*np.indices(SHAPE), np.ones(SHAPE)], axis=-1)
    return np.linalg.norm((indices @ LPS.T)[..., :3] - CENTER, axis=-1)


def errors_mm(path: Path) -> np.ndarray:
    """Distance of all contour points from the circle that the ball is on their slice, but near its poles."""
    found = []
    for contour in pydicom.dcmread(path).ROIContourSequence[0].ContourSequence:
        points = np.array(contour.ContourData, float).reshape(-1, 3) - CENTER
        height = abs(points[0, 2])
        if height < 0.8 * RADIUS_MM:
            found.append(np.abs(np.hypot(points[:, 0], points[:, 1]) - np.sqrt(RADIUS_MM**2 - height**2)))
    return np.concatenate(found)


@pytest.fixture(scope="module")
def results(
    tmp_path_factory: pytest.TempPathFactory, write_slices: Callable[..., list[Path]], tiny
) -> tuple[Path, Path, Path]:
    """Folder of a CT of a ball whose edge is blurred over 4 mm, and of results with contours of either kind."""
    from HQCSegmentLib.cli import main

    root = tmp_path_factory.mktemp("ball")
    blurred = np.clip((RADIUS_MM - from_center()) / 4, -1, 1)
    write_slices(root / "CT", np.round(-300 + 500 * blurred).astype(np.int16), LPS)
    tiny.write_threshold_bundle(
        root / "model", names=("Liver", "Bone"), above=(-300, 3000), floor=-1000, spacing=(0.9, 1.3, 3)
    )
    for kind in ("label", "probability"):
        words = ["segment", root / "model", root / "CT", "--out", root / kind, "--contours", kind]
        assert main([*map(str, words), "--format", "rtstruct", "--format", "nifti"]) == 0
    return root / "CT", root / "label", root / "probability"


def test_they_are_nearer_to_the_true_shape(results: tuple[Path, Path, Path]):
    _, label, probability = (folder / "CT.rtstruct.dcm" for folder in results)
    assert errors_mm(label).mean() > 0.15
    assert errors_mm(probability).mean() < 0.03
    assert errors_mm(probability).max() < 0.12


def test_they_enclose_the_voxels_of_the_label_map(
    results: tuple[Path, Path, Path], dicom_errors: Callable[[Path], list[str]]
):
    ct, label, probability = results
    image = read_series(ct, name="ball")
    masks = read_structure_set(probability / "CT.rtstruct.dcm", image)
    written = read_label_map(probability / "CT.nii.gz").array
    assert np.array_equal(masks["Liver"], written == 1)
    assert np.array_equal(written, read_label_map(label / "CT.nii.gz").array)
    assert dicom_errors(probability / "CT.rtstruct.dcm") == []


@pytest.mark.parametrize("lead", [0.0, 1e-4, 5.0])
def test_what_post_processing_changed_is_on_its_new_side(results: tuple[Path, Path, Path], tmp_path: Path, lead: float):
    """Leads belong to the voxels as the model saw them: here it saw nothing of what was added and removed."""
    image = read_series(results[0], name="ball")
    labels = (from_center() < RADIUS_MM).astype(np.uint8)
    labels[20:23, 16:19, 6] = 0
    labels[0:2, 0:2, 3] = 1
    segmentation = Segmentation(labels, image.affine, (structure_for("Liver", 1),), "ball", image.series)
    leads = np.full(SHAPE, lead, np.float16)
    write_rtstruct(tmp_path / "RS.dcm", dataclasses.replace(segmentation, leads=leads))
    assert np.array_equal(read_structure_set(tmp_path / "RS.dcm", image)["Liver"], labels == 1)


def test_an_unknown_kind_is_refused_with_the_kinds_there_are(capsys, tmp_path: Path):
    from HQCSegmentLib.cli import main

    assert main(["segment", "model", "a.nii.gz", "--out", str(tmp_path / "out"), "--contours", "smooth"]) == 2
    said = capsys.readouterr().err
    assert "--contours" in said
    assert all(word in said for word in ("'label'", "'probability'"))
