"""An image goes to the network's frame and the result comes back to the image's own geometry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from HQCSegmentLib.cohort import Cohort, Preprocessing, prepare, prepare_label, restore
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.evaluation import dice
from HQCSegmentLib.imaging import Grid, Image, Reorientation


def affine_of(spacing, turn=(0, 0, 0), permutation=(0, 1, 2), flips=(1, 1, 1), origin=(-40, 12, 300)) -> np.ndarray:
    direction = np.zeros((3, 3))
    for axis, source in enumerate(permutation):
        direction[axis, source] = flips[axis]
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() @ direction * np.array(spacing)
    affine[:3, 3] = origin
    return affine


GEOMETRIES = {
    "axis-aligned": affine_of((1, 1, 1)),
    "flipped (left-handed)": affine_of((1, 1, 1), flips=(-1, 1, 1)),
    "permuted": affine_of((1, 1.2, 1.5), permutation=(2, 0, 1), flips=(1, -1, 1)),
    "oblique": affine_of((1, 1, 1.5), turn=(12, -20, 30)),
    "anisotropic": affine_of((0.98, 0.98, 3.27), flips=(-1, -1, 1)),
}


def blobs(affine: np.ndarray, *, size_mm: float = 90) -> np.ndarray:
    """A ball and an ellipsoid, in millimetres, on about 90 mm."""
    shape = [round(size_mm / s) for s in np.linalg.norm(affine[:3, :3], axis=0)]
    places = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1) * np.linalg.norm(
        affine[:3, :3], axis=0
    )
    label = np.zeros(shape, np.uint16)
    label[np.linalg.norm(places - [30, 30, 45], axis=-1) < 18] = 1
    label[np.linalg.norm((places - [62, 60, 45]) / [1, 1.4, 1.8], axis=-1) < 14] = 2
    return label


def there_and_back(label: np.ndarray, affine: np.ndarray, spacing: tuple[float, float, float]) -> np.ndarray:
    noise = np.random.default_rng(0).normal(size=label.shape)
    prepared = prepare(Image(noise, affine), Preprocessing(spacing=spacing, normalization="zscore"))
    inside = prepare_label(label, prepared)
    assert inside.shape == prepared.array.shape == prepared.grid.shape
    assert set(np.unique(inside)) <= set(np.unique(label))
    scores = torch.nn.functional.one_hot(torch.from_numpy(inside.astype(np.int64)), int(label.max()) + 1)
    return restore(scores.movedim(-1, 0).float(), prepared)


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_label_map_comes_back_exactly_at_its_own_spacing(geometry: str):
    affine = GEOMETRIES[geometry]
    label = blobs(affine)
    own = Grid(label.shape, affine).reoriented(Reorientation.to_ras(affine)).spacing
    assert np.array_equal(there_and_back(label, affine, own), label)


@pytest.mark.parametrize("factor", [0.7, 0.9])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_a_label_map_comes_back_from_a_finer_grid(geometry: str, factor: float):
    affine = GEOMETRIES[geometry]
    label = blobs(affine)
    own = Grid(label.shape, affine).reoriented(Reorientation.to_ras(affine)).spacing
    back = there_and_back(label, affine, tuple(factor * value for value in own))
    assert back.shape == label.shape
    for value in (1, 2):
        assert dice(back == value, label == value) > 0.99


@pytest.mark.data
@pytest.mark.parametrize("cohort", ["hippocampus", "sts_gtv", "openkbp_hn"])
def test_real_label_maps_come_back_exactly_at_their_own_spacing(data_folder, cohort: str):
    opened = Cohort.open(data_folder / cohort)
    case = opened.cases[0].read(opened.structures)
    own = case.image.grid.reoriented(Reorientation.to_ras(case.image.affine)).spacing
    assert np.array_equal(there_and_back(case.label, case.image.affine, own), case.label)


angles = st.floats(-180, 180)


@settings(max_examples=60, deadline=None)
@given(turn=st.tuples(angles, angles, angles), flip=st.sampled_from([1, -1]), seed=st.integers(0, 1000))
def test_reorientation_is_exact_and_keeps_every_voxel_in_its_place(turn, flip: int, seed: int):
    affine = affine_of((0.7, 1.3, 2.9), turn=turn, flips=(flip, 1, 1))
    array = np.random.default_rng(seed).normal(size=(4, 5, 6))
    reorientation = Reorientation.to_ras(affine)
    oriented = reorientation.apply(array)
    assert np.array_equal(reorientation.undo(oriented), array)

    grid = Grid(array.shape, affine).reoriented(reorientation)
    assert grid.shape == oriented.shape
    index = np.unravel_index(int(np.argmax(array)), array.shape)
    moved = np.unravel_index(int(np.argmax(oriented)), oriented.shape)
    np.testing.assert_allclose((affine @ [*index, 1])[:3], (grid.affine @ [*moved, 1])[:3], atol=1e-9)
    # Each axis points mostly where it is said to.
    assert (np.abs(grid.affine[:3, :3]).argmax(axis=0) == [0, 1, 2]).all() or max(map(abs, turn)) > 35


def test_resampling_covers_the_same_box():
    grid = Grid((10, 21, 7), GEOMETRIES["oblique"])
    other = grid.resampled((0.8, 1.7, 4.0))
    for corner in ((0, 0, 0), (1, 1, 1), (1, 0, 1)):
        here = grid.affine @ [*(np.array(corner) * grid.shape - 0.5), 1]
        there = other.affine @ [*(np.array(corner) * other.shape - 0.5), 1]
        np.testing.assert_allclose(here, there, atol=1e-9)


def test_grids_are_the_same_within_the_tolerance_only():
    grid = Grid((512, 512, 200), GEOMETRIES["oblique"])
    assert grid.same_as(Grid(grid.shape, grid.affine.astype(np.float32).astype(float)))
    shifted = grid.affine.copy()
    shifted[0, 3] += 0.2
    assert not grid.same_as(Grid(grid.shape, shifted))
    assert not grid.same_as(Grid((512, 512, 201), grid.affine))


def test_ct_keeps_its_hounsfield_scale_and_other_images_get_their_own():
    array = np.random.default_rng(0).normal(40, 200, (8, 8, 8))
    image = Image(array, np.eye(4))
    ct = Preprocessing(spacing=(1, 1, 1), normalization="ct", low=-100, high=300, mean=50, deviation=80)
    np.testing.assert_allclose(prepare(image, ct).array, (np.clip(array, -100, 300) - 50) / 80, atol=1e-5)
    scaled = Image(array * 1000 + 5, np.eye(4))
    zscore = Preprocessing(spacing=(1, 1, 1), normalization="zscore")
    np.testing.assert_allclose(prepare(image, zscore).array, prepare(scaled, zscore).array, atol=1e-4)
    assert prepare(image, zscore).array.dtype == prepare(image, ct).array.dtype == np.float32


@pytest.mark.parametrize("bad", [np.zeros((4, 4, 4)), np.full((4, 4, 4), np.nan)])
def test_an_image_without_content_is_refused(bad: np.ndarray):
    with pytest.raises(InputError, match="patient_7"):
        prepare(Image(bad, np.eye(4), name="patient_7"), Preprocessing(spacing=(1, 1, 1), normalization="zscore"))
