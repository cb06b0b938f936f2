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
    assert (1, *inside.shape) == prepared.array.shape == (1, *prepared.grid.shape)
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


def organs(affine: np.ndarray) -> np.ndarray:
    """Two touching structures of the size of a kidney and of a liver lobe, in millimetres, on about 120 mm."""
    steps = np.linalg.norm(affine[:3, :3], axis=0)
    shape = [round(120 / step) for step in steps]
    places = (np.stack(np.meshgrid(*(np.arange(size) for size in shape), indexing="ij"), -1) + 0.5) * steps
    label = np.zeros(shape, np.uint16)
    label[np.linalg.norm((places - [45, 60, 60]) / [1, 1.3, 1.3], axis=-1) < 38] = 1
    label[np.linalg.norm((places - [92, 60, 60]) / [0.8, 1.3, 1.4], axis=-1) < 28] = 2
    return label


@pytest.mark.parametrize("factors", [(1.15, 0.9, 1.05), (0.8, 1.2, 0.9), (0.75, 0.75, 0.7)])
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_organs_come_back_from_a_moderately_different_spacing(geometry: str, factors: tuple[float, float, float]):
    affine = GEOMETRIES[geometry]
    label = organs(affine)
    own = Grid(label.shape, affine).reoriented(Reorientation.to_ras(affine)).spacing
    back = there_and_back(label, affine, tuple(np.multiply(factors, own)))
    assert back.shape == label.shape
    for value in (1, 2):
        assert dice(back == value, label == value) > 0.99
        # And nothing moves: not by a tenth of a voxel on any axis.
        centres = [np.argwhere(array == value).mean(axis=0) for array in (back, label)]
        assert np.abs(centres[0] - centres[1]).max() < 0.1


turns = st.tuples(*[st.floats(-180, 180)] * 3)


@settings(max_examples=10, deadline=None)
@given(
    turn=turns,
    permutation=st.permutations(range(3)),
    flips=st.tuples(*[st.sampled_from([1, -1])] * 3),
    factors=st.tuples(*[st.floats(0.6, 1.1)] * 3),
)
def test_organs_come_back_from_any_orientation(turn, permutation, flips, factors):
    affine = affine_of((1.2, 1.3, 1.6), turn=turn, permutation=permutation, flips=flips)
    label = organs(affine)
    own = Grid(label.shape, affine).reoriented(Reorientation.to_ras(affine)).spacing
    back = there_and_back(label, affine, tuple(np.multiply(factors, own)))
    assert back.shape == label.shape
    for value in (1, 2):
        assert dice(back == value, label == value) > 0.99


@settings(max_examples=30, deadline=None)
@given(
    turn=turns,
    shape=st.tuples(*[st.integers(2, 12)] * 3),
    spacing=st.tuples(*[st.floats(0.5, 4)] * 3),
    target=st.tuples(*[st.floats(0.5, 4)] * 3),
    values=st.sets(st.integers(1, 65535), min_size=1, max_size=4),
    seed=st.integers(0, 1000),
)
def test_preparing_makes_no_label_value_that_was_not_there(turn, shape, spacing, target, values, seed: int):
    random = np.random.default_rng(seed)
    label = random.choice([0, *values], shape).astype(np.uint16)
    image = Image(random.normal(size=shape), affine_of(spacing, turn=turn))
    prepared = prepare(image, Preprocessing(spacing=target, normalization="ct", low=-1, high=1))
    inside = prepare_label(label, prepared)
    assert inside.dtype == np.uint16
    assert (1, *inside.shape) == prepared.array.shape == (1, *prepared.grid.shape)
    assert set(np.unique(inside)) <= set(np.unique(label))


def test_image_and_label_map_stay_on_top_of_each_other():
    affine = affine_of((0.9, 1.1, 2.5), turn=(8, -12, 20), permutation=(1, 2, 0), flips=(-1, 1, 1))
    label = organs(affine)
    prepared = prepare(Image(label == 1, affine), Preprocessing(spacing=(1.3, 1.3, 1.9), normalization="zscore"))
    inside = prepare_label(label, prepared) == 1
    assert dice(prepared.array[0] > (prepared.array.min() + prepared.array.max()) / 2, inside) > 0.99


def test_the_prepared_grid_is_where_the_image_was():
    affine = GEOMETRIES["oblique"]
    label = organs(affine)
    prepared = prepare(Image(label == 1, affine), Preprocessing(spacing=(2, 2, 2), normalization="zscore"))
    centres = []
    for mask, where in ((label == 1, affine), (prepare_label(label, prepared) == 1, prepared.grid.affine)):
        centres.append(where[:3, :3] @ np.argwhere(mask).mean(axis=0) + where[:3, 3])
    np.testing.assert_allclose(*centres, atol=0.1)


def test_the_highest_score_wins():
    prepared = prepare(
        Image(np.random.default_rng(0).normal(size=(4, 4, 4)), np.eye(4)),
        Preprocessing(spacing=(1, 1, 1), normalization="zscore"),
    )
    scores = torch.randn((5, 4, 4, 4), generator=torch.Generator().manual_seed(0))
    assert np.array_equal(restore(scores, prepared), scores.argmax(dim=0).numpy())


@pytest.mark.data
@pytest.mark.parametrize("cohort", ["hippocampus", "sts_gtv", "openkbp_hn"])
def test_real_label_maps_come_back_exactly_at_their_own_spacing(data_folder, cohort: str):
    opened = Cohort.open(data_folder / cohort)
    case = opened.cases[0].read(opened.structures)
    own = case.image.grid.reoriented(Reorientation.to_ras(case.image.affine)).spacing
    assert np.array_equal(there_and_back(case.label, case.image.affine, own), case.label)


def test_ct_keeps_its_hounsfield_scale_and_other_images_get_their_own():
    array = np.random.default_rng(0).normal(40, 200, (8, 8, 8))
    image = Image(array, np.eye(4))
    ct = Preprocessing(spacing=(1, 1, 1), normalization="ct", low=-100, high=300, mean=50, deviation=80)
    np.testing.assert_allclose(prepare(image, ct).array[0], (np.clip(array, -100, 300) - 50) / 80, atol=1e-5)
    scaled = Image(array * 1000 + 5, np.eye(4))
    zscore = Preprocessing(spacing=(1, 1, 1), normalization="zscore")
    np.testing.assert_allclose(prepare(image, zscore).array, prepare(scaled, zscore).array, atol=1e-4)
    assert prepare(image, zscore).array.dtype == prepare(image, ct).array.dtype == np.float32


def test_a_single_bright_voxel_does_not_flatten_the_rest():
    array = np.random.default_rng(0).normal(100, 20, (12, 12, 12))
    zscore = Preprocessing(spacing=(1, 1, 1), normalization="zscore")
    without = prepare(Image(array.copy(), np.eye(4)), zscore).array
    array[0, 0, 0] = 1e6
    np.testing.assert_allclose(prepare(Image(array, np.eye(4)), zscore).array[0, 1:], without[0, 1:], atol=0.05)


def test_normalised_images_have_mean_0_and_deviation_1():
    array = np.random.default_rng(0).gamma(2, 300, (20, 20, 20)).astype(np.int16)
    prepared = prepare(Image(array, np.eye(4)), Preprocessing(spacing=(1, 1, 1), normalization="zscore")).array
    assert prepared.mean() == pytest.approx(0, abs=1e-4)
    assert prepared.std() == pytest.approx(1, abs=1e-4)


def test_a_coarser_grid_averages_what_it_covers():
    stripes = np.tile([0.0, 100.0], 20)[:, None, None] * np.ones((1, 8, 8))
    ct = Preprocessing(spacing=(4, 1, 1), normalization="ct", low=-1000, high=1000)
    inside = prepare(Image(stripes, np.eye(4)), ct).array[0, 2:-2]
    np.testing.assert_allclose(inside, 50, atol=3)


BAD = {
    "constant": np.zeros((4, 4, 4)),
    "nan": np.full((4, 4, 4), np.nan),
    "one nan": np.where(np.arange(64).reshape(4, 4, 4) == 7, np.nan, np.arange(64).reshape(4, 4, 4)),
    "infinite": np.where(np.arange(64).reshape(4, 4, 4) == 7, np.inf, np.arange(64).reshape(4, 4, 4)),
}


@pytest.mark.parametrize("normalization", ["ct", "zscore"])
@pytest.mark.parametrize("bad", BAD)
def test_an_image_without_content_is_refused(bad: str, normalization: str):
    image = Image(BAD[bad], np.eye(4), name="patient_7")
    with pytest.raises(InputError, match=r"case patient_7: the image .*") as error:
        prepare(image, Preprocessing(spacing=(1, 1, 1), normalization=normalization, low=-100, high=300))
    assert str(error.value).endswith(".")


def test_an_almost_empty_image_is_not_called_constant():
    array = np.zeros((20, 20, 20), np.float32)
    array[3, 4, 5:9] = 100
    prepared = prepare(
        Image(array, np.eye(4), name="patient_7"), Preprocessing(spacing=(1, 1, 1), normalization="zscore")
    ).array
    assert np.isfinite(prepared).all()
    assert prepared[0, 3, 4, 5] > prepared[0, 0, 0, 0]
