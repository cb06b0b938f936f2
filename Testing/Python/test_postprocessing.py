"""Post-processing: each step does what it says, and is chosen only where it raises Dice on unseen cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import HQCSegmentLib as hqc
from HQCSegmentLib.bundle import Certainty
from HQCSegmentLib.bundle.postprocessing import PostProcessing
from HQCSegmentLib.evaluation import dice, dice_per_structure
from HQCSegmentLib.imaging import Structure
from HQCSegmentLib.inference.postprocessing import (
    Prediction,
    choose_cross_fitted,
    choose_postprocessing,
    postprocess,
)
from HQCSegmentLib.inference.postprocessing.operations import fill_holes, keep_largest, remove_small, smooth
from HQCSegmentLib.training.judging import Judgement

ORGAN = Structure(value=3, name="Liver")
TUMOR = Structure(value=7, name="GTV", interpreted_type="GTV")
OTHER = Structure(value=9, name="Spleen")
STRUCTURES = (ORGAN, TUMOR, OTHER)
SPACING = (1.0, 1.0, 2.0)


def ball(centre, radius: float, shape=(40, 40, 24)) -> np.ndarray:
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) * SPACING
    return np.linalg.norm(places - np.multiply(centre, SPACING), axis=-1) < radius


@pytest.fixture
def label() -> np.ndarray:
    """A liver with a tumor, and a spleen."""
    array = np.zeros((40, 40, 24), np.uint8)
    array[ball((14, 20, 12), 10)] = 3
    array[ball((16, 20, 12), 4)] = 7
    array[ball((33, 20, 12), 5)] = 9
    return array


def after(array: np.ndarray, **steps: PostProcessing) -> np.ndarray:
    return postprocess(array, structures=STRUCTURES, settings=steps, spacing=SPACING)


def test_without_settings_nothing_is_done(label: np.ndarray):
    assert after(label) is label
    assert after(label, Liver=PostProcessing()) is label


def test_only_the_largest_piece_stays(label: np.ndarray):
    spoiled = label.copy()
    spoiled[1:3, 1:3, 1:3] = 3
    assert np.array_equal(after(spoiled, Liver=PostProcessing(largest_component=True)), label)


def test_pieces_below_a_volume_go_and_others_stay(label: np.ndarray):
    spoiled = label.copy()
    spoiled[1:3, 1:3, 1:3] = 9  # 8 voxels of 2 mm³
    steps = PostProcessing(minimum_ml=0.0161)
    assert np.array_equal(after(spoiled, Spleen=steps), label)
    assert np.array_equal(after(spoiled, Spleen=PostProcessing(minimum_ml=0.016)), spoiled)


def test_a_tumor_stays_where_its_organ_is(label: np.ndarray):
    spoiled = label.copy()
    spoiled[34:38, 34:38, 2:5] = 7
    assert np.array_equal(after(spoiled, GTV=PostProcessing(inside="Liver")), label)


def test_a_tumor_stays_where_its_organ_was_not_found(label: np.ndarray):
    label[label == 3] = 0
    assert np.array_equal(after(label, GTV=PostProcessing(inside="Liver")), label)


def test_holes_are_filled_but_not_with_what_another_structure_holds(label: np.ndarray):
    spoiled = label.copy()
    spoiled[8:10, 20, 12] = 0
    assert np.array_equal(after(spoiled, Liver=PostProcessing(fill_holes=True)), label)


def test_smoothing_removes_steps_and_nearly_keeps_the_volume():
    mask = ball((20, 20, 12), 9)
    ragged = mask ^ (np.random.default_rng(0).random(mask.shape) < 0.04)
    smoothed = smooth(ragged, sigma_mm=1.5, spacing=SPACING)
    assert dice(smoothed, mask) > 0.95 > dice(ragged, mask)
    # A ball shrinks by about sigma squared over its radius: 0.25 mm of 9 mm.
    assert smooth(mask, sigma_mm=1.5, spacing=SPACING).sum() == pytest.approx(mask.sum(), rel=0.1)


def test_smoothing_does_not_take_voxels_at_the_border_of_the_image():
    mask = np.ones((8, 8, 8), bool)
    assert smooth(mask, sigma_mm=2, spacing=SPACING).all()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), voxels=st.integers(1, 9))
def test_no_step_makes_a_piece_that_was_not_there(seed: int, voxels: int):
    mask = np.random.default_rng(seed).random((6, 7, 5)) < 0.3
    assert not (keep_largest(mask) & ~mask).any()
    assert not (remove_small(mask, voxels=voxels) & ~mask).any()
    assert not (mask & ~fill_holes(mask)).any()
    assert np.array_equal(keep_largest(mask), keep_largest(keep_largest(mask)))


def test_the_image_of_a_structure_is_changed_by_its_own_steps_only(label: np.ndarray):
    changed = after(label, Liver=PostProcessing(smoothing_mm=3))
    assert np.array_equal(changed == 7, label == 7)
    assert np.array_equal(changed == 9, label == 9)
    assert changed.dtype == label.dtype
    assert not np.array_equal(changed, label)


class TestChoice:
    def test_what_raises_dice_is_chosen_for_the_structure_that_needs_it(self, label: np.ndarray):
        spoiled = label.copy()
        spoiled[1:7, 1:7, 1:4] = 3
        chosen = choose_postprocessing([Prediction(spoiled, label, frozenset({3, 7, 9}), SPACING)], STRUCTURES)
        assert set(chosen) == {"Liver"}
        assert np.array_equal(after(spoiled, **chosen), label)

    def test_a_structure_of_two_pieces_keeps_both(self, label: np.ndarray):
        label[ball((33, 6, 12), 4)] = 9
        chosen = choose_postprocessing([Prediction(label, label, frozenset({3, 7, 9}), SPACING)], STRUCTURES)
        assert chosen == {}

    def test_what_was_not_drawn_decides_nothing(self, label: np.ndarray):
        spoiled = label.copy()
        spoiled[1:7, 1:7, 1:4] = 3
        assert choose_postprocessing([Prediction(spoiled, label, frozenset({9}), SPACING)], STRUCTURES) == {}

    def test_without_cases_nothing_is_chosen(self):
        assert choose_postprocessing([], STRUCTURES) == {}

    @settings(max_examples=8, deadline=None)
    @given(seed=st.integers(0, 10**6))
    def test_no_structure_is_worse_on_the_cases_of_the_choice(self, seed: int):
        random = np.random.default_rng(seed)
        cases = []
        for _ in range(2):
            reference = random.choice([0, 3, 7, 9], p=[0.7, 0.1, 0.1, 0.1], size=(9, 9, 7)).astype(np.uint8)
            predicted = np.where(random.random(reference.shape) < 0.3, random.choice([0, 3, 7, 9]), reference)
            cases.append(Prediction(predicted.astype(np.uint8), reference, frozenset({3, 7, 9}), SPACING))
        chosen = choose_postprocessing(cases, STRUCTURES)
        for one in STRUCTURES:
            before, later = (
                np.mean([dice(array == one.value, case.reference == one.value) for case, array in pairs])
                for pairs in (
                    [(case, case.predicted) for case in cases],
                    [(case, after(case.predicted, **chosen)) for case in cases],
                )
            )
            assert later >= before


class TestCrossFitting:
    """What was chosen by cases is judged by others."""

    def test_steps_that_help_every_case_are_kept_with_what_they_add(self, label: np.ndarray):
        cases = []
        for corner in (1, 3, 5):
            spoiled = label.copy()
            spoiled[corner : corner + 6, 1:7, 1:4] = 3
            cases.append(Prediction(spoiled, label, frozenset({3, 7, 9}), SPACING))
        choice = choose_cross_fitted(cases, STRUCTURES)
        assert set(choice.steps) == set(choice.gain) == {"Liver"}
        assert choice.gain["Liver"] == pytest.approx(1 - dice(cases[0].predicted == 3, label == 3), abs=0.01)

    def test_steps_that_help_by_chance_are_not(self, label: np.ndarray):
        # The only case with a hole decides for all; for the others the filled hole is wrong.
        hole = label.copy()
        hole[8:12, 18:22, 10:14] = 0
        small = label.copy()
        small[8:10, 20, 12] = 0
        cases = [
            Prediction(hole, label, frozenset({3}), SPACING),
            Prediction(small, small, frozenset({3}), SPACING),
            Prediction(small, small, frozenset({3}), SPACING),
        ]
        assert choose_postprocessing(cases, STRUCTURES)["Liver"].fill_holes
        assert choose_cross_fitted(cases, STRUCTURES).steps == {}

    def test_the_part_of_a_case_that_holds_something_is_enough(self, label: np.ndarray):
        whole = Prediction(np.pad(label, 30), np.pad(label, 30), frozenset({3, 7, 9}), SPACING)
        assert whole.cropped().predicted.size < 0.3 * whole.predicted.size
        assert (whole.cropped().predicted > 0).sum() == (label > 0).sum()
        empty = np.zeros((5, 5, 5), np.uint8)
        assert not Prediction(empty, empty, frozenset({3}), SPACING).cropped().predicted.any()


class TestTraining:
    """The steps that held-out cases choose are in the bundle."""

    @pytest.fixture
    def with_a_piece_too_many(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Networks that find every structure as drawn, and something of the ball in a corner."""

        def judge_one(network, case, inference, *, surface: bool = False) -> Judgement:
            predicted = case.reference.astype(np.uint8)
            predicted[-3:, :3, :3] = 1
            drawn = dice_per_structure(predicted, case.reference, case.known)
            return Judgement(case.name, drawn, {}, predicted, dict.fromkeys(drawn, 0.5))

        monkeypatch.setattr("HQCSegmentLib.training.judging.judge_one", judge_one)
        # Pictures take longer than all the rest.
        monkeypatch.setattr("HQCSegmentLib.training.result.write_held_out", lambda *_: None)

    @pytest.fixture
    def train(self, tiny, tiny_cohort: Path, tmp_path: Path, with_a_piece_too_many: None):
        def train(**settings) -> hqc.Bundle:
            config = hqc.TrainConfig(steps=1, method="full", **settings, **tiny.SETTINGS)
            return hqc.finetune(hqc.Cohort.open(tiny_cohort), config=config, out=tmp_path / "run", cache=False)

        return train

    def test_by_held_out_cases_whose_dice_is_told_without(self, train, tmp_path: Path):
        manifest = train(held_out=3).manifest
        assert set(manifest.postprocessing) == set(manifest.training.postprocessing_gain) == {"Ball"}
        told = manifest.training
        assert told.certainty["Ball"] == Certainty(cases=3, expected=0.5, dice=told.held_out_dice["Ball"])
        assert told.postprocessing_gain["Ball"] + told.held_out_dice["Ball"] == pytest.approx(1, abs=1e-4)
        for file in ("report.html", "bundle/MODEL_CARD.md"):
            assert "Post-processing is done for Ball (+" in (tmp_path / "run" / file).read_text()

    def test_by_the_cases_of_all_folds(self, train, tmp_path: Path):
        manifest = train(folds=2).manifest
        assert set(manifest.postprocessing) == {"Ball"}
        assert manifest.training.postprocessing_gain["Ball"] > 0
        assert manifest.training.certainty["Ball"].cases == 4
        assert "held-out cases of all folds" in (tmp_path / "run/bundle/MODEL_CARD.md").read_text()
        # Two held-out cases of a fold are too few, and its Dice is told of them.
        assert hqc.Bundle.open(tmp_path / "run/fold1/bundle").manifest.postprocessing == {}

    def test_not_by_two_cases(self, train):
        assert train(held_out=2).manifest.postprocessing == {}
