"""A plan follows from what was measured, says why, and gives way to what was asked for."""

from __future__ import annotations

import numpy as np
import pytest

from HQCSegmentLib.cohort import Fingerprint, LabelledCase, fingerprint
from HQCSegmentLib.imaging import Image
from HQCSegmentLib.training import TrainConfig, memory
from HQCSegmentLib.training.plan import choose_class_weights, plan_from_scratch


def measured(*spacings: tuple[float, float, float], shape: tuple[int, int, int] = (40, 40, 24)) -> Fingerprint:
    cases = []
    for spacing in spacings:
        label = np.zeros(shape, np.uint16)
        label[:2, :2, :2] = 1
        image = Image(np.random.default_rng(0).normal(size=shape), np.diag([*spacing, 1.0]))
        cases.append(LabelledCase(image, label, frozenset({1})))
    return fingerprint(cases, structures={1: "GTV"})


def test_images_of_few_slices_are_trained_slice_by_slice_unless_asked_otherwise():
    few = measured((1, 1, 5), shape=(40, 40, 5))
    plan = plan_from_scratch(TrainConfig(device="cpu"), few, {1: "GTV"})
    assert plan.network.dims == 2
    assert any(reason.startswith("2D: images have 5 slices") for reason in plan.reasons)
    assert plan_from_scratch(TrainConfig(device="cpu", dims=3), few, {1: "GTV"}).network.dims == 3


def test_far_coarser_slices_are_worked_on_at_the_spacing_of_the_finer_images():
    cohort = measured((1, 1, 2), (1, 1, 5), (1, 1, 5))
    assert cohort.spacing() == pytest.approx((1, 1, 2.6))
    assert measured((1, 1, 2), (1, 1, 2.5), (1, 1, 2.5)).spacing() == (1, 1, 2.5)


def test_a_patch_that_does_not_fit_into_memory_is_made_smaller_unless_asked_for(monkeypatch: pytest.MonkeyPatch):
    cohort = measured((1, 1, 1), shape=(64, 64, 64))
    usual = plan_from_scratch(TrainConfig(device="cpu"), cohort, {1: "GTV"}).inference.window
    monkeypatch.setattr(memory, "bytes_of_device", lambda _: 150e6)
    plan = plan_from_scratch(TrainConfig(device="cpu"), cohort, {1: "GTV"})
    assert np.prod(plan.inference.window) < np.prod(usual)
    assert any(f"so the patch is {plan.inference.window} instead of {usual}" in reason for reason in plan.reasons)
    asked = plan_from_scratch(TrainConfig(device="cpu", patch=usual), cohort, {1: "GTV"})
    assert asked.inference.window == usual


def test_how_much_of_an_image_a_structure_fills_is_measured():
    assert measured((1, 1, 1)).frequencies == {"GTV": pytest.approx(8 / (40 * 40 * 24))}


class TestClassWeights:
    RARE, COMMON = measured((1, 1, 1)), measured((1, 1, 1), shape=(16, 16, 16))

    def test_rare_structures_count_more_where_the_network_has_yet_to_learn_them(self):
        plan = plan_from_scratch(TrainConfig(device="cpu"), self.RARE, {1: "GTV"})
        assert plan.class_weights == "rare"
        assert "class weights rare: GTV fill less than 0.05% of an image" in plan.reasons
        assert plan_from_scratch(TrainConfig(device="cpu"), self.COMMON, {1: "GTV"}).class_weights == "equal"
        assert choose_class_weights(TrainConfig(), self.RARE, [])[0] == "equal", "a base model knows it"

    def test_what_is_asked_for_holds(self):
        assert choose_class_weights(TrainConfig(class_weights="equal"), self.RARE, ["GTV"])[0] == "equal"
        assert choose_class_weights(TrainConfig(class_weights="rare"), self.COMMON, ["GTV"])[0] == "rare"
