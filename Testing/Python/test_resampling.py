"""Resampling along one axis after the other gives what general resamplers give."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter1d

from HQCSegmentLib.cohort.resampling import resample_image, resample_label
from HQCSegmentLib.cohort.threads import share

shapes = st.tuples(*[st.integers(1, 14)] * 3)


def by_simpleitk(array: np.ndarray, shape: tuple[int, ...], interpolator: int) -> np.ndarray:
    """On a grid of `shape` voxels over the same box."""
    ratio = np.array(array.shape) / np.array(shape)
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(array.transpose(2, 1, 0)))
    reference = SimpleITK.GetImageFromArray(np.zeros(shape[::-1], np.uint8))
    reference.SetSpacing(ratio.tolist())
    reference.SetOrigin(((ratio - 1) / 2).tolist())
    resampled = SimpleITK.Resample(image, reference, SimpleITK.Transform(), interpolator, 0.0, image.GetPixelID(), True)
    return SimpleITK.GetArrayFromImage(resampled).transpose(2, 1, 0)


def in_memory(array: np.ndarray, order: list[int], flips: list[bool]) -> np.ndarray:
    """The same array, with other axes running fastest and backwards in memory, as reorientation leaves it."""
    flipped = tuple(axis for axis in range(3) if flips[axis])
    stored = np.ascontiguousarray(np.flip(array, flipped).transpose(order))
    return np.flip(stored.transpose(np.argsort(order)), flipped)


memories = {"order": st.permutations([0, 1, 2]), "flips": st.tuples(*[st.booleans()] * 3)}


@settings(max_examples=60, deadline=None)
@given(source=shapes, target=shapes, seed=st.integers(0, 99), **memories)
def test_images_are_smoothed_and_interpolated_as_by_scipy_and_simpleitk(source, target, seed, order, flips):
    array = np.random.default_rng(seed).normal(size=source).astype(np.float32)
    expected = array
    for axis, ratio in enumerate(np.array(source) / target):
        if ratio > 1:
            expected = gaussian_filter1d(expected, 0.5 * np.sqrt(ratio**2 - 1), axis=axis, mode="nearest")
    expected = by_simpleitk(expected, target, SimpleITK.sitkLinear)
    result = resample_image(in_memory(array, order, flips), target)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, expected, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(source=shapes, target=shapes, seed=st.integers(0, 99), several=st.booleans(), **memories)
def test_label_maps_get_the_value_with_the_largest_share(source, target, seed, several, order, flips):
    """By definition: each value's mask interpolated for itself; of equal shares the smallest value."""
    values = np.array([0, 3, 255, 65535] if several else [0, 7], np.uint16)
    array = np.random.default_rng(seed).choice(values, source)
    shares = np.stack(
        [by_simpleitk((array == value).astype(np.float64), target, SimpleITK.sitkLinear) for value in values]
    )
    result = resample_label(in_memory(array, order, flips), target)
    assert result.dtype == np.uint16
    share = np.take_along_axis(shares, np.searchsorted(values, result)[None], axis=0)[0]
    assert np.all(share >= shares.max(axis=0) - 1e-6)
    sure = np.sort(shares, axis=0)[-2] < shares.max(axis=0) - 1e-6
    assert np.array_equal(result[sure], values[shares.argmax(axis=0)][sure])


def test_of_equal_shares_the_smallest_value_is_taken():
    array = np.zeros((4, 2, 2), np.uint16)
    array[2:] = 5
    assert resample_label(array, (2, 2, 2))[:, 0, 0].tolist() == [0, 5]
    array[1:] = 5
    assert resample_label(array, (2, 2, 2))[:, 0, 0].tolist() == [0, 5]  # half of the first voxel is 5


@pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float64, bool])
def test_every_number_type_is_resampled(dtype: type):
    array = (np.arange(4 * 5 * 6).reshape(4, 5, 6) % 7).astype(dtype)
    expected = resample_image(array.astype(np.float32), (6, 5, 3))
    assert np.array_equal(resample_image(array, (6, 5, 3)), expected)


@pytest.mark.parametrize("threads", ["2", "3"])
def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch, threads: str):
    random = np.random.default_rng(0)
    image = random.normal(size=(70, 9, 8)).astype(np.float32)
    label = random.integers(0, 4, (70, 9, 8)).astype(np.uint16)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    alone = resample_image(image, (61, 12, 5)), resample_label(label, (61, 12, 5))
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    together = resample_image(image, (61, 12, 5)), resample_label(label, (61, 12, 5))
    assert np.array_equal(alone[0], together[0])
    assert np.array_equal(alone[1], together[1])


def test_a_fault_in_a_thread_is_not_lost(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")

    def work(pieces: range) -> None:
        if 40 in pieces:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        share(work, 64)
