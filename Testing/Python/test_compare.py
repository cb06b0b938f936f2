"""`hqcsegment compare`: the same cases for every method, judged by others, and no conclusion without ground."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import run
from tiny import write_tiny_cohort

from HQCSegmentLib.cli import main
from HQCSegmentLib.cohort import Case
from HQCSegmentLib.comparison import Comparison, Result, design
from HQCSegmentLib.comparison.results import bootstrap_interval
from HQCSegmentLib.comparison.run import settings_of_run
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.training import TrainConfig

QUICK = ("--steps", "2", "--patch", "16,16,16", "--no-augment", "--device", "cpu", "--no-cache")


def cases(patients: int, *, each: int = 1) -> list[Case]:
    return [
        Case(f"case{number}-{one}", Path("image"), Path("label"), f"patient{number}")
        for number in range(patients)
        for one in range(each)
    ]


def result(method: str, seed: int, *dice: float) -> Result:
    return Result(method, 4, seed, 10, 1.0, {"Heart": {f"case{i}": value for i, value in enumerate(dice)}})


class TestDesign:
    def test_judging_cases_train_no_model(self):
        drawn = design(cases(10), patients=[2, 6], seeds=3)
        assert drawn.test
        assert all(set(names).isdisjoint(drawn.test) for _, _, names in drawn.draws())

    def test_all_cases_of_a_patient_are_on_one_side(self):
        drawn = design(cases(6, each=2), patients=[3], seeds=2)
        sides = [{name.partition("-")[0] for name in names} for names in (drawn.test, drawn.training[3, 0])]
        assert sides[0].isdisjoint(sides[1])
        assert len(drawn.training[3, 0]) == 6

    def test_more_patients_contain_the_fewer_of_the_same_seed(self):
        drawn = design(cases(12), patients=[2, 4, 8], seeds=2)
        for seed in range(2):
            few, more, most = (set(drawn.training[number, seed]) for number in (2, 4, 8))
            assert few < more < most

    def test_seeds_draw_different_patients(self):
        drawn = design(cases(20), patients=[3], seeds=3)
        assert len({frozenset(names) for _, _, names in drawn.draws()}) > 1

    @pytest.mark.parametrize(("patients", "seeds"), [([5], 1), ([0], 1), ([1], 0), ([], 1)])
    def test_what_is_not_possible_is_refused_in_words(self, patients: list[int], seeds: int):
        with pytest.raises(InputError, match="not possible"):
            design(cases(5), patients=patients, seeds=seeds)

    def test_fewer_judges_are_taken_where_the_default_would_leave_too_few_to_train_on(self):
        assert len(design(cases(5), patients=[4], seeds=1).test) == 1


class TestConclusions:
    def test_better_needs_three_seeds_that_agree_and_an_interval_without_zero(self):
        results = [result("full", s, 0.80, 0.82, 0.84, 0.86) for s in range(3)]
        results += [result("qpg", s, 0.85, 0.86, 0.90, 0.91) for s in range(3)]
        _, row = Comparison(("case0",), tuple(results)).summary()
        assert row.verdict == "better for every seed"
        assert row.difference == pytest.approx(0.05)

    def test_two_seeds_show_no_difference(self):
        results = [result("full", s, 0.8, 0.8) for s in range(2)] + [result("qpg", s, 0.9, 0.9) for s in range(2)]
        assert Comparison((), tuple(results)).summary()[1].verdict == "no difference shown"

    def test_a_seed_that_disagrees_shows_no_difference(self):
        means = [(0.8, 0.9), (0.8, 0.9), (0.8, 0.79)]
        results = [result("full", s, a, a) for s, (a, _) in enumerate(means)]
        results += [result("qpg", s, b, b) for s, (_, b) in enumerate(means)]
        assert Comparison((), tuple(results)).summary()[1].verdict == "no difference shown"

    def test_rare_structures_count_as_much_as_others(self):
        dice = {"Heart": {"a": 1.0, "b": 1.0, "c": 1.0}, "Lens_L": {"a": 0.0}}
        assert Result("full", 1, 0, 1, 1.0, dice).mean == pytest.approx(0.5)

    def test_the_interval_is_that_of_a_mean(self):
        import numpy as np

        values = np.random.default_rng(1).normal(0.1, 0.05, 100)
        low, high = bootstrap_interval(values)
        assert low == pytest.approx(values.mean() - 1.96 * values.std() / 10, abs=2e-3)
        assert high == pytest.approx(values.mean() + 1.96 * values.std() / 10, abs=2e-3)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_cohort(tmp_path_factory.mktemp("cohort"), patients=4)


@pytest.fixture(scope="module")
def study(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study") / "study"
    arguments = ["compare", cohort, "--methods", "full,qpg:depth=1", "--cases", "1,2", "--seeds", "1"]
    run(*arguments, "--out", out, *QUICK)
    return out


class TestCommand:
    def test_every_model_is_trained_and_judged(self, study: Path):
        content = json.loads((study / "results.json").read_text())
        found = [(row["method"], row["patients"], row["seed"]) for row in content["results"]]
        assert sorted(found) == [("full", 1, 0), ("full", 2, 0), ("qpg:depth=1", 1, 0), ("qpg:depth=1", 2, 0)]
        assert all(0 <= row["mean_dice"] <= 1 for row in content["results"])

    def test_methods_train_on_the_same_cases(self, study: Path):
        splits = [json.loads((study / "runs" / f"{name}-2-seed-0" / "splits.json").read_text()) for name in
                  ("full", "qpg-depth=1")]  # fmt: skip
        assert splits[0]["training"] == splits[1]["training"]
        judges = json.loads((study / "comparison.json").read_text())["test"]
        assert set(judges).isdisjoint(splits[0]["training"])

    def test_the_report_is_one_page_that_loads_nothing_from_elsewhere(self, study: Path):
        html = (study / "report.html").read_text()
        assert "qpg:depth=1" in html
        assert "Here are fewer: no conclusion is drawn" in html
        assert 'src="http' not in html
        assert "<script" not in html

    def test_more_methods_are_added_and_finished_models_stay(self, cohort: Path, study: Path):
        model = study / "runs" / "full-2-seed-0" / "bundle" / "model.safetensors"
        before = model.stat().st_mtime_ns
        arguments = ["compare", cohort, "--methods", "full,norms", "--cases", "2", "--seeds", "1"]
        assert "norms" in run(*arguments, "--out", study, *QUICK).stdout
        assert model.stat().st_mtime_ns == before

    def test_other_settings_are_not_mixed_in(self, cohort: Path, study: Path):
        arguments = ["compare", cohort, "--methods", "full", "--cases", "2", "--seeds", "1"]
        refused = run(*arguments, "--out", study, *QUICK[2:], "--steps", "3", code=2)
        assert "holds another comparison (method full differ)" in " ".join(refused.stderr.split())

    @pytest.mark.parametrize("method", ["qpg:layers=3", "qpg:depth", "lora:seed=1", "best"])
    def test_a_wrong_method_is_named(self, cohort: Path, tmp_path: Path, method: str, capsys: pytest.CaptureFixture):
        out = tmp_path / "study"
        assert main(["compare", str(cohort), "--methods", method, "--out", str(out)]) == 2
        assert f"--methods {method}" in " ".join(capsys.readouterr().err.split())
        assert not out.exists()


def test_every_model_makes_the_same_number_of_steps_however_long_they_take():
    asked = [
        TrainConfig(),
        TrainConfig(steps=7),
        TrainConfig(budget="1h"),
        TrainConfig(folds=2, after_folds="ensemble"),
    ]
    made = [settings_of_run(config, seed=3, steps=250) for config in asked]
    assert [config.steps for config in made] == [250, 7, None, 250]
    assert {(config.seed, config.folds, config.after_folds) for config in made} == {(3, None, "all")}
