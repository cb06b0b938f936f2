"""Affines and grids: reorientation, resampling to the same box, and when two grids are the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import GRID_TOLERANCE_VOXELS, Grid, Image, Reorientation

angles = st.floats(-180, 180)
spacings = st.tuples(*[st.floats(0.2, 8)] * 3)
shapes = st.tuples(*[st.integers(1, 7)] * 3)


@st.composite
def affines(draw: st.DrawFn) -> np.ndarray:
    """Any rotation of any exchange and flip of axes, left-handed ones too."""
    direction = np.zeros((3, 3))
    for axis, source in enumerate(draw(st.permutations(range(3)))):
        direction[axis, source] = draw(st.sampled_from([1, -1]))
    turn = draw(st.one_of(st.just((0.0, 0.0, 0.0)), st.tuples(angles, angles, angles)))
    affine = np.eye(4)
    affine[:3, :3] = Rotation.from_euler("xyz", turn, degrees=True).as_matrix() @ direction * np.array(draw(spacings))
    affine[:3, 3] = draw(st.tuples(*[st.floats(-500, 500)] * 3))
    return affine


@st.composite
def grids(draw: st.DrawFn) -> Grid:
    return Grid(draw(shapes), draw(affines()))


def positions(grid: Grid) -> np.ndarray:
    """RAS position of every voxel centre, (i, j, k, 3)."""
    places = np.stack(np.meshgrid(*(np.arange(size) for size in grid.shape), indexing="ij"), -1)
    return places @ grid.affine[:3, :3].T + grid.affine[:3, 3]


def box(grid: Grid) -> np.ndarray:
    """RAS positions of the eight corners of the box that the voxels fill, (8, 3)."""
    ends = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)]) * grid.shape - 0.5
    return ends @ grid.affine[:3, :3].T + grid.affine[:3, 3]


@settings(max_examples=80, deadline=None)
@given(grid=grids(), channels=st.sampled_from([(), (2,)]), seed=st.integers(0, 1000))
def test_reorientation_is_undone_exactly(grid: Grid, channels: tuple[int, ...], seed: int):
    array = np.random.default_rng(seed).normal(size=(*channels, *grid.shape))
    reorientation = Reorientation.to_ras(grid.affine)
    assert np.array_equal(reorientation.undo(reorientation.apply(array)), array)


@settings(max_examples=80, deadline=None)
@given(grid=grids())
def test_every_voxel_stays_at_its_place_in_the_patient(grid: Grid):
    reorientation = Reorientation.to_ras(grid.affine)
    oriented = grid.reoriented(reorientation)
    moved = np.stack([reorientation.apply(part) for part in np.moveaxis(positions(grid), -1, 0)], -1)
    assert moved.shape[:3] == oriented.shape
    np.testing.assert_allclose(positions(oriented), moved, atol=1e-9)


@settings(max_examples=80, deadline=None)
@given(grid=grids())
def test_reoriented_axes_are_nearest_to_right_anterior_superior(grid: Grid):
    oriented = grid.reoriented(Reorientation.to_ras(grid.affine))
    direction = oriented.affine[:3, :3] / oriented.spacing
    assert (np.diag(direction) >= 0).all()
    # No other order of axes agrees better with R, A, S as a whole.
    orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]
    agreements = [np.abs(direction[:, order]).trace() for order in orders]
    assert agreements[0] >= max(agreements) - 1e-9


@settings(max_examples=40, deadline=None)
@given(grid=grids())
def test_what_is_oriented_already_is_left_alone(grid: Grid):
    oriented = grid.reoriented(Reorientation.to_ras(grid.affine))
    again = oriented.reoriented(Reorientation.to_ras(oriented.affine))
    direction = np.diag(oriented.affine[:3, :3] / oriented.spacing)
    # At exactly 45 or 90 degrees two orders agree equally well and either may be taken.
    if direction.min() > 0.8:
        assert again.same_as(oriented, tolerance=1e-9)


@pytest.mark.parametrize(
    ("codes", "permutation", "flips"),
    [
        ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], (0, 1, 2), (False, False, False)),
        ([[-1, 0, 0], [0, -1, 0], [0, 0, 1]], (0, 1, 2), (True, True, False)),
        ([[0, 0, -1], [1, 0, 0], [0, -1, 0]], (2, 0, 1), (True, False, True)),
    ],
    ids=["RAS", "LPS", "sagittal"],
)
def test_known_orientations(codes, permutation, flips):
    affine = np.eye(4)
    affine[:3, :3] = codes
    assert Reorientation.to_ras(affine) == Reorientation(permutation, flips)


@settings(max_examples=80, deadline=None)
@given(grid=grids(), target=spacings)
def test_resampling_covers_the_same_box(grid: Grid, target: tuple[float, float, float]):
    np.testing.assert_allclose(box(grid.resampled(target)), box(grid), atol=1e-9)


@settings(max_examples=80, deadline=None)
@given(grid=grids(), target=spacings)
def test_resampling_takes_the_spacing_nearest_to_the_target(grid: Grid, target: tuple[float, float, float]):
    resampled = grid.resampled(target)
    extent = np.array(grid.shape) * grid.spacing
    np.testing.assert_allclose(np.array(resampled.shape) * resampled.spacing, extent)
    for size, length, wanted in zip(resampled.shape, extent, target, strict=True):
        assert size == 1 or abs(size - length / wanted) <= 0.5 + 1e-9


@settings(max_examples=20, deadline=None)
@given(grid=grids())
def test_resampling_to_its_own_spacing_changes_nothing(grid: Grid):
    assert grid.resampled(grid.spacing).same_as(grid, tolerance=1e-9)


LARGE = Grid(
    (512, 512, 200),
    np.array([[0.93, 0.05, 0.31, -214.3], [0.12, 0.95, -0.74, 118.7], [-0.11, 0.16, 2.87, -905.2], [0, 0, 0, 1]]),
)


def test_an_affine_rounded_to_float32_is_the_same_grid():
    rounded = LARGE.affine.astype(np.float32).astype(np.float64)
    assert not np.array_equal(rounded, LARGE.affine)
    assert LARGE.same_as(Grid(LARGE.shape, rounded))


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("direction", [1, -1])
def test_a_shift_of_a_fifth_of_a_voxel_is_another_grid(axis: int, direction: int):
    shifted = LARGE.affine.copy()
    shifted[:3, 3] += direction * 0.2 * LARGE.affine[:3, axis]
    assert not LARGE.same_as(Grid(LARGE.shape, shifted))
    assert LARGE.difference(Grid(LARGE.shape, shifted)) > GRID_TOLERANCE_VOXELS


def test_a_small_error_of_spacing_counts_at_the_far_end():
    stretched = LARGE.affine.copy()
    stretched[:3, 0] *= 1.001
    assert not LARGE.same_as(Grid(LARGE.shape, stretched))
    assert Grid((3, 3, 3), LARGE.affine).same_as(Grid((3, 3, 3), stretched))


def test_another_shape_is_another_grid():
    assert not LARGE.same_as(Grid((512, 512, 201), LARGE.affine))
    assert LARGE.difference(Grid((512, 512, 201), LARGE.affine)) == float("inf")


@pytest.mark.parametrize(
    "affine",
    [np.zeros((4, 4)), np.eye(3), np.diag([1, 1, 0, 1]), np.full((4, 4), np.nan)],
    ids=["zero", "3x3", "flat", "nan"],
)
def test_an_image_without_a_usable_affine_is_refused(affine: np.ndarray):
    with pytest.raises(InputError, match="patient_7: the affine must be an invertible 4x4 matrix"):
        Image(np.zeros((2, 2, 2)), affine, name="patient_7")
