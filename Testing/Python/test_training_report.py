"""The report of a run answers first whether its model is worth trying, and where it is weak."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

import HQCSegmentLib as hqc
from HQCSegmentLib.evaluation.base_gain import BaseGain
from HQCSegmentLib.evaluation.held_out import read_held_out
from HQCSegmentLib.evaluation.training_report import read_events
from HQCSegmentLib.evaluation.verdict import judge_model


def verdict(*cases: dict[str, float], surface: float = 0.5, folds: int = 0, labels: tuple[str, ...] = ()):
    rows = [(f"p{number}", dice, dict.fromkeys(dice, surface)) for number, dice in enumerate(cases)]
    return judge_model(rows, folds=folds, labels=labels or tuple(cases[0] if cases else ()))


@pytest.mark.parametrize(
    ("dice", "grade", "said"),
    [
        ({"Heart": 0.9, "Liver": 0.95}, "good", "Worth trying on the next patient, with"),
        ({"Heart": 0.75, "Liver": 0.95}, "fair", "expect corrections of Heart"),
        ({"Heart": 0.3, "Liver": 0.95}, "weak", "but not for Heart"),
        ({"Heart": 0.3, "Liver": 0.4}, "weak", "Not good enough yet"),
        ({"Heart": 0.3, "Lens_L": 0.4, "Liver": 0.95}, "weak", "for Liver only"),
    ],
)
def test_the_answer_names_what_is_weak(dice: dict[str, float], grade: str, said: str):
    found = verdict(dice)
    assert said in found.headline
    assert found.grade == grade
    assert found.structures[0].name == "Heart"


def test_one_bad_case_is_not_hidden_by_the_mean():
    found = verdict(*[{"Heart": 0.95}] * 9, {"Heart": 0.2})
    assert found.grade == "weak"
    assert (found.structures[0].worst_case, found.structures[0].lowest_dice) == ("p9", 0.2)


def test_a_small_structure_whose_surface_is_right_is_good():
    assert verdict({"Lens_L": 0.72}, surface=0.97).grade == "good"


def test_what_is_not_known_is_said():
    assert "Nobody knows" in verdict().headline
    assert "So few cases" in verdict({"Heart": 0.9}).why
    assert "So few cases" not in verdict(*[{"Heart": 0.9}] * 5).why
    assert "in 5 folds" in verdict(*[{"Heart": 0.9}] * 5, folds=5).why
    assert (
        "Not measured, since no held-out case has it drawn: Liver"
        in verdict({"Heart": 0.9}, labels=("Heart", "Liver")).why
    )


def test_the_report_shows_every_held_out_case(tiny_run: Path):
    report = (tiny_run / "report.html").read_text()
    ((case, folder),) = read_held_out(tiny_run)
    assert set(case.dice) == set(case.surface_dice) == {"Ball", "Cube"}
    assert report.count("data:image/png") == 3
    assert (folder / case.picture).read_bytes().startswith(b"\x89PNG")
    for part in (case.case, "Worth trying on the next patient", "weakest first", "seed 0", "pennylane", "last third"):
        assert part in report
    assert "http" not in report.replace("http://www.w3.org", "")
    assert "<script" not in report


@pytest.mark.slow
def test_with_folds_the_report_judges_by_the_cases_of_all_folds(tiny_cohort: Path, tmp_path: Path, tiny):
    config = hqc.TrainConfig(method="full", steps=2, folds=2, **tiny.SETTINGS)
    hqc.finetune(hqc.Cohort.open(tiny_cohort), config=config, out=tmp_path / "run")
    assert len({case.case for case, _ in read_held_out(tmp_path / "run")}) == 4
    report = (tmp_path / "run" / "report.html").read_text()
    assert "4 held-out case(s) in 2 folds" in report
    assert "Out-of-fold cases" in report
    assert "fold 2" in report


def test_a_run_from_a_base_is_compared_with_the_base_alone(tiny_run: Path, tiny_cohort: Path, tmp_path: Path, tiny):
    def run(name: str, **settings: float) -> list[dict]:
        config = hqc.TrainConfig(method="full", held_out=1, **tiny.SETTINGS, **settings)
        hqc.finetune(hqc.Cohort.open(tiny_cohort), base=tiny_run / "bundle", config=config, out=tmp_path / name)
        return read_events(tmp_path / name / "events.jsonl")

    gentle = run("gentle", steps=2, learning_rate=1e-5)
    (base,) = [event for event in gentle if event["event"] == "base"]
    assert base["dice"].keys() == {"Ball", "Cube"}
    assert base["mean_dice"] > 0.8
    (outlook,) = [event["message"] for event in gentle if event["event"] == "outlook"]
    # Not of `mean_dice`, which is rounded already.
    assert f"from {statistics.fmean(base['dice'].values()):.3f} (the base model alone) to" in outlook
    harmful = run("harmful", steps=2, learning_rate=1.0)
    said = [event["message"] for event in harmful if event["event"] == "warning"]
    (harm,) = [message for message in said if "the base model alone was better" in message]
    assert harm.endswith("A quarter of the rates of this run: --learning-rate 0.25.")
    report = (tmp_path / "harmful" / "report.html").read_text()
    assert "base alone" in report
    assert "the base model alone was better" in report


def test_folds_are_compared_with_the_base_together():
    def events(base: dict[str, float], trained: dict[str, float]) -> list[dict]:
        return [{"event": kind, "dice": dice} for kind, dice in (("base", base), ("held-out", trained))]

    gain = BaseGain.of([events({"Heart": 0.5}, {"Heart": 0.7, "Lens": 0.1}), events({"Heart": 0.7}, {"Heart": 0.9})])
    assert gain is not None
    assert gain.before == pytest.approx({"Heart": 0.6})
    assert gain.after == pytest.approx({"Heart": 0.8})
    assert not gain.is_worse
    assert BaseGain.of([events({}, {"Lens": 0.1})]) is None
