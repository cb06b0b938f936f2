"""Of a CT only the box of the patient is looked at: windows of air cost time and tell nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import HQCSegmentLib as hqc
from HQCSegmentLib.cohort import prepare
from HQCSegmentLib.cohort.fingerprint import Intensities
from HQCSegmentLib.inference import winning_outputs
from HQCSegmentLib.inference.body import MARGIN_MM, at_least, body_box

AFFINE = np.diag([3.0, 3, 3, 1])
CT, OTHER = (
    Intensities(
        hounsfield=hounsfield, foreground_low=-100, foreground_high=900, foreground_mean=50, foreground_deviation=90
    )
    for hounsfield in (True, False)
)
MARGIN = round(MARGIN_MM / 3)


def air() -> np.ndarray:
    return np.full((90, 80, 40), -1000.0)


def box_of(array: np.ndarray, *, seen: Intensities = CT):
    return body_box(hqc.Image(array, AFFINE), seen, spacing=(3, 3, 3))


def test_the_box_holds_the_patient_with_a_margin_and_little_more():
    ct = air()
    ct[25:60, 30:55, 8:] = 40
    for (low, high), (first, last), size in zip(box_of(ct), [(25, 60), (30, 55), (8, 40)], ct.shape, strict=True):
        assert first - MARGIN - 3 <= low <= max(0, first - MARGIN)
        assert min(size, last + MARGIN) <= high <= last + MARGIN + 3


def test_legs_apart_from_each_other_are_both_in_it_and_noise_is_not():
    ct = air()
    ct[15:30, 30:45] = ct[50:70, 30:45] = 40
    ct[85, 75, 35] = 40
    (left, right), (_, last), _ = box_of(ct)
    assert left <= 15 < 70 <= right <= 80
    assert last < 75


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (((0, 4), (30, 34), (18, 22)), ((0, 64), (0, 64), (0, 40))),
        (((80, 90), (76, 80), (0, 40)), ((26, 90), (16, 80), (0, 40))),
        (((10, 80), (5, 75), (3, 9)), ((10, 80), (5, 75), (0, 40))),
    ],
)
def test_it_is_made_as_large_as_a_window_where_the_image_is(box, expected):
    assert at_least(box, (64, 64, 64), (90, 80, 40)) == expected


def test_slices_need_no_depth():
    assert at_least(((0, 4), (30, 34), (18, 22)), (16, 16), (90, 80, 40)) == ((0, 16), (24, 40), (18, 22))


def test_all_is_looked_at_where_nothing_tells_the_patient_from_air():
    assert box_of(air() + 1024) == ((0, 90), (0, 80), (0, 40))
    assert box_of(air()) is None
    assert box_of(air(), seen=OTHER) is None


@pytest.mark.parametrize("affine", [AFFINE, np.diag([-3.0, 3, -3, 1]), AFFINE[[2, 0, 1, 3]]])
def test_what_is_found_is_what_a_look_at_the_whole_image_finds(tiny, tmp_path: Path, affine: np.ndarray):
    model = hqc.Bundle.open(
        tiny.write_threshold_bundle(
            tmp_path / "model", names=("Body", "Bone"), above=(-300, 250), floor=-1000, spacing=(3, 3, 3)
        )
    )
    ct = air()
    ct[25:60, 30:55, 8:] = 40
    ct[35:45, 35:45, 15:30] = 500
    windows: dict[str, int] = {}
    found = model.segment((ct, affine), on_progress=lambda _, of: windows.update(box=of))
    how = model.manifest.inference
    whole = winning_outputs(
        model.build().eval(),
        prepare(hqc.Image(ct, affine), model.manifest.preprocessing),
        window=how.window,
        overlap=how.overlap,
        on_progress=lambda _, of: windows.update(whole=of),
    )
    assert np.array_equal(found.array, whole)
    assert found.mask("Bone").sum() == 10 * 10 * 15
    assert windows["box"] < 0.7 * windows["whole"]
