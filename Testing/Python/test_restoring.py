"""Scores become a label map in the image's own geometry, and only outlines cost time."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch.nn.functional import interpolate

from HQCSegmentLib.cohort import Prepared, restore, restore_planes
from HQCSegmentLib.errors import WorkError
from HQCSegmentLib.imaging import Grid, Reorientation

sizes = st.tuples(*[st.integers(1, 9)] * 3)


def prepared_for(shape, own, affine) -> Prepared:
    reorientation = Reorientation.to_ras(affine)
    source = Grid(tuple(int(n) for n in np.array(own)[np.argsort(reorientation.permutation)]), affine)
    return Prepared(np.zeros((1, *shape), np.float32), Grid(shape, np.eye(4)), source, reorientation)


def whole(scores: torch.Tensor, prepared: Prepared) -> tuple[np.ndarray, np.ndarray]:
    """Label map by torch's interpolation of all scores, and by how much the best score is ahead of the second."""
    own = prepared.source.reoriented(prepared.reorientation).shape
    large = interpolate(scores[None].double(), size=own, mode="trilinear", align_corners=False)[0]
    best = large.topk(2, dim=0).values
    undo = prepared.reorientation.undo
    return undo(large.argmax(dim=0).numpy()), undo((best[0] - best[1]).numpy())


@settings(max_examples=60, deadline=None)
@given(
    shape=sizes,
    own=sizes,
    axis=st.integers(0, 2),
    outputs=st.sampled_from([2, 3, 31, 255, 256]),
    order=st.permutations(range(3)),
    flips=st.tuples(*[st.sampled_from([1, -1])] * 3),
    everywhere=st.booleans(),
    seed=st.integers(0, 100),
)
def test_the_label_map_is_that_of_all_scores_interpolated(shape, own, axis, outputs, order, flips, everywhere, seed):
    affine = np.zeros((4, 4))
    affine[order, range(3)] = flips
    affine[3, 3] = 1
    prepared = prepared_for(shape, own, affine)
    # Blocks of one winner, so that outlines and insides both occur.
    noise = np.random.default_rng(seed).normal(size=(outputs, *shape)).astype(np.float32)
    scores = torch.from_numpy(ndimage.uniform_filter(noise, (1, 3, 3, 3)))
    planes = (scores.select(axis + 1, place) for place in range(shape[axis]))
    found = restore_planes(planes, prepared, axis=axis, everywhere=everywhere)
    expected, ahead = whole(scores, prepared)
    assert found.shape == prepared.source.shape
    assert found.dtype == (np.uint8 if outputs < 256 else np.uint16)
    assert (found == expected)[ahead > 1e-5].all()
    assert np.array_equal(found, restore(scores, prepared))


@settings(max_examples=30, deadline=None)
@given(
    shape=sizes,
    own=sizes,
    axis=st.integers(0, 2),
    outputs=st.sampled_from([2, 3, 9]),
    everywhere=st.booleans(),
    seed=st.integers(0, 100),
)
def test_leads_are_exact_along_outlines_and_elsewhere_no_more_than_they_are(
    shape, own, axis, outputs, everywhere, seed
):
    prepared = prepared_for(shape, own, np.diag([-1.0, 1, 1, 1]))
    noise = np.random.default_rng(seed).normal(size=(outputs, *shape)).astype(np.float32)
    scores = torch.from_numpy(ndimage.uniform_filter(noise, (1, 3, 3, 3)))
    leads = np.full(prepared.source.shape, np.nan, np.float16)
    planes = (scores.select(axis + 1, place) for place in range(shape[axis]))
    found = restore_planes(planes, prepared, axis=axis, leads=leads, everywhere=everywhere)
    _, ahead = whole(scores, prepared)
    assert np.array_equal(found, restore(scores, prepared))
    assert (leads <= ahead + 2e-3).all()
    # What touches a voxel of another label, where grids are equal, was interpolated from all scores.
    if shape == own or everywhere:
        assert np.abs(leads - ahead).max() < 2e-3


def test_a_coarser_grid_loses_little_where_scores_tell_parts_of_voxels():
    # A ball of 14 voxels radius, on a grid 1.5 times coarser (Testing/Benchmarks/coarse_grid.py).
    places = np.stack(np.meshgrid(*[np.arange(42) - 20.7] * 3, indexing="ij"), -1)
    ball = np.linalg.norm(places, axis=-1) < 14
    prepared = prepared_for((28, 28, 28), ball.shape, np.eye(4))
    signed = ndimage.distance_transform_edt(ball) - ndimage.distance_transform_edt(~ball)
    scores = interpolate(torch.from_numpy(signed)[None, None], size=(28, 28, 28), mode="trilinear", align_corners=False)

    def dice(inside: torch.Tensor) -> float:
        found = restore(torch.stack([torch.zeros_like(inside), inside]), prepared) == 1
        return 2 * (found & ball).sum() / (found.sum() + ball.sum())

    assert dice(scores[0, 0]) > 0.995
    # Sure of every voxel, nothing can know where in a voxel the border was.
    assert 0.96 < dice(scores[0, 0].sign()) < 0.98


def test_of_equal_scores_the_first_wins_on_the_grid_itself():
    prepared = prepared_for((3, 3, 3), (3, 3, 3), np.eye(4))
    scores = torch.zeros((4, 3, 3, 3))
    scores[1:3, 1] = 1
    label = restore(scores, prepared)
    assert (label[1] == 1).all()
    assert (label[[0, 2]] == 0).all()


@pytest.mark.parametrize("everywhere", [False, True])
def test_planes_may_use_the_same_memory_again(everywhere: bool):
    prepared = prepared_for((4, 5, 6), (7, 8, 9), np.eye(4))
    scores = torch.randn((3, 4, 5, 6), generator=torch.Generator().manual_seed(0))
    memory = torch.empty((3, 4, 5))

    def again():
        for place in range(6):
            yield memory.copy_(scores[..., place])

    found = restore_planes(again(), prepared, axis=2, everywhere=everywhere)
    assert np.array_equal(found, restore(scores, prepared))


def test_missing_planes_are_noticed():
    prepared = prepared_for((4, 4, 4), (8, 8, 8), np.eye(4))
    with pytest.raises(WorkError, match="end after 1 of 4 planes"):
        restore_planes(iter([torch.zeros((2, 4, 4))]), prepared, axis=2)
    with pytest.raises(WorkError, match="end after 0 of 4 planes"):
        restore_planes(iter([]), prepared, axis=2)
