"""Distribution of intensities: the same whatever the scale of an MR, told in HU for CT, compared with the nearest."""

from __future__ import annotations

import numpy as np
import pytest

from HQCSegmentLib.cohort.appearance import FEWEST_PROFILES, LEAST_SPREAD, LEVELS, profile, standardised, strangeness


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(0).gamma(2, 100, (30, 31, 32))


def test_scale_and_offset_of_an_mr_do_not_matter(image: np.ndarray):
    assert profile(5000 * image - 300, offset=None) == pytest.approx(profile(image, offset=None), abs=1e-3)
    assert standardised(image).mean() == pytest.approx(0, abs=1e-5)
    assert standardised(image).std() == pytest.approx(1, abs=1e-3)


def test_a_single_bright_voxel_does_not_matter(image: np.ndarray):
    bright = image.copy()
    bright[0, 0, 0] = 1e9
    assert profile(bright, offset=None) == pytest.approx(profile(image, offset=None), abs=0.02)


def test_a_ct_is_told_in_hu_without_the_air():
    ct = np.full((40, 40, 10), -1000.0)
    ct[10:30, 10:30] = np.random.default_rng(0).normal(40, 10, (20, 20, 10))
    assert profile(ct, offset=0)[len(LEVELS) // 2] == pytest.approx(40, abs=1)
    assert profile(ct + 1024, offset=-1024.0) == pytest.approx(profile(ct, offset=0), abs=1e-3)
    assert profile(np.full((4, 4, 4), -1000.0), offset=0) == (-1000.0,) * len(LEVELS)


def test_strange_is_what_is_far_from_every_training_image():
    usual = [(value,) * len(LEVELS) for value in (0.0, 1.0, 3.0)]
    # The third is 2 from its nearest: the largest such distance.
    assert strangeness((4.0,) * len(LEVELS), usual, hounsfield=False) == pytest.approx(0.5)
    assert strangeness((-6.0,) * len(LEVELS), usual, hounsfield=False) == pytest.approx(3)


def test_equal_training_images_leave_some_room():
    usual = [(0.0,) * len(LEVELS)] * FEWEST_PROFILES
    assert strangeness((LEAST_SPREAD,) * len(LEVELS), usual, hounsfield=False) == pytest.approx(1)


def test_few_training_images_tell_nothing():
    usual = [(0.0,) * len(LEVELS)] * (FEWEST_PROFILES - 1)
    assert strangeness((9.0,) * len(LEVELS), usual, hounsfield=True) is None
