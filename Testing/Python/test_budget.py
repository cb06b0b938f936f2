"""Steps and size of the network from the time that the user has, and what more time would bring."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from pydantic import ValidationError
from tiny import stop_after

import HQCSegmentLib as hqc
from HQCSegmentLib.bundle import Inference
from HQCSegmentLib.cohort import Preprocessing
from HQCSegmentLib.imaging import Structure
from HQCSegmentLib.networks import specify
from HQCSegmentLib.training import budget as budgets
from HQCSegmentLib.training import run as runs
from HQCSegmentLib.training.budget import FEWEST_STEPS, Sizes, Speed, cap, fit, seconds_of, take_over
from HQCSegmentLib.training.config import BUDGET_SECONDS
from HQCSegmentLib.training.outlook import left_out, outlook
from HQCSegmentLib.training.plan import Plan
from HQCSegmentLib.training.sizes import smaller_patch


def plan_of(preset: str) -> Plan:
    return Plan(
        network=specify("unet", dims=3, preset=preset, in_channels=1, out_channels=2),
        labels=(Structure(value=1, name="Heart"),),
        preprocessing=Preprocessing(spacing=(1, 1, 1), normalization="zscore"),
        inference=Inference(window=(64, 64, 64)),
        steps=600,
        learning_rate=1e-3,
        angle_rate=1e-2,
        reasons=(),
    )


SIZES = {tuple(plan_of(name).network.arguments["channels"]): name for name in ("small", "medium", "large")}


def size_of(plan: Plan) -> str:
    return SIZES[tuple(plan.network.arguments["channels"])]


def with_smaller_patch(plan: Plan) -> Plan | None:
    patch = smaller_patch(plan.inference.window, plan.network)
    return patch and plan.model_copy(update={"inference": Inference(window=patch)})


def fitted(budget: str, speeds: dict[str, float], *, check_s: float = 0.0, share: float = 1, fixed=False) -> Plan:
    """Time of a step grows with the network and the voxels of a patch of 64 x 64 x 64."""

    def measure(plan: Plan) -> Speed:
        return Speed(speeds[size_of(plan)] * math.prod(plan.inference.window) / 64**3, check_s)

    sizes = Sizes() if fixed else Sizes(larger=plan_of, smaller=with_smaller_patch)
    return fit(plan_of("small"), budget, share=share, spent=lambda: 30, measure=measure, sizes=sizes)


@pytest.mark.parametrize("budget", BUDGET_SECONDS)
@pytest.mark.parametrize("check_s", [0, 2, 30])
@pytest.mark.parametrize("share", [1, 0.2])
def test_what_is_planned_fits_into_the_time(budget: str, check_s: float, share: float):
    speeds = {"small": 0.1, "medium": 0.4, "large": 1.6}
    plan = fitted(budget, speeds, check_s=check_s, share=share)
    step_s = speeds[size_of(plan)] * math.prod(plan.inference.window) / 64**3
    assert plan.steps * step_s + (plan.checks + 1) * check_s <= BUDGET_SECONDS[budget] * share - 30
    assert f"budget {budget}" in plan.reasons[-1]


def test_more_time_gives_a_larger_network():
    speeds = {"small": 0.5, "medium": 2.0, "large": 8.0}
    assert [size_of(fitted(budget, speeds)) for budget in ("15min", "1h", "overnight")] == ["small", "medium", "large"]
    assert size_of(fitted("overnight", speeds, fixed=True)) == "small"


def test_a_computer_too_slow_is_told_of():
    plan = fitted("15min", {"small": 60.0}, fixed=True)
    assert plan.steps == FEWEST_STEPS
    assert "it will take longer" in plan.reasons[-1]


def test_a_slow_computer_gets_smaller_patches_and_fewer_checks():
    plan = fitted("15min", {"small": 6.0}, check_s=30)
    assert max(plan.inference.window) < 64
    assert plan.steps >= 200
    assert plan.checks < 10


def test_a_night_is_not_spent_on_nothing():
    plan = fitted("overnight", {"small": 0.01}, fixed=True)
    assert plan.steps == 8 * 600
    assert "of no use" in plan.reasons[-1]


def test_budget_and_steps_exclude_each_other():
    with pytest.raises(ValidationError, match="not both"):
        hqc.TrainConfig(budget="1h", steps=3)


def capped(step_s: float, check_s: float = 0.0, *, fixed: bool = False) -> Plan:
    """Time of a step of a patch of 64 x 64 x 64, check, and whether the user has chosen the patch."""

    def measure(plan: Plan) -> Speed:
        return Speed(step_s * math.prod(plan.inference.window) / 64**3, check_s)

    sizes = Sizes() if fixed else Sizes(smaller=with_smaller_patch)
    return cap(plan_of("medium"), spent=lambda: 20, measure=measure, sizes=sizes)


class TestWithoutABudget:
    def test_usual_steps_that_fit_are_left_alone(self):
        assert capped(0.5) == plan_of("medium")

    def test_a_first_model_is_there_after_a_quarter_of_an_hour(self):
        plan = capped(1.5, check_s=15)
        assert 300 <= plan.steps < 600
        assert plan.steps * 1.5 + (plan.checks + 1) * 15 <= 15 * 60 - 20
        assert "(usual: 600), patch (64, 64, 64): what fits into 15min, with 1.5 s a step" in plan.reasons[-1]

    def test_where_hardly_half_of_the_steps_fit_patches_are_smaller_unless_asked_for(self):
        plan = capped(3.0)
        assert plan.inference.window == (32, 32, 32)
        assert plan.steps == 600
        assert capped(3.0, fixed=True).inference.window == (64, 64, 64)
        assert capped(3.0, fixed=True).steps < 300

    def test_the_network_stays(self):
        assert size_of(capped(3.0)) == "medium"

    def test_a_computer_too_slow_is_told_of(self):
        plan = capped(60.0, fixed=True)
        assert plan.steps == FEWEST_STEPS
        assert "it will take longer" in plan.reasons[-1]

    def test_the_run_says_what_more_time_would_bring(self):
        said = left_out(290, 600)
        assert "Of the usual 600 steps 290 fitted into 15min" in said
        assert "--budget 1h trains 4 times as long" in said

    def test_further_runs_of_a_cohort_make_as_many_steps(self):
        for first in (capped(1.5), capped(3.0)):
            in_parts = first.model_copy(update={"micro_batches": 2})
            taken = take_over(plan_of("medium"), in_parts, sizes=False)
            assert (taken.steps, taken.inference, taken.micro_batches) == (first.steps, first.inference, 2)
        assert take_over(plan_of("medium"), capped(0.1), sizes=False) == plan_of("medium")
        larger = plan_of("large").model_copy(update={"steps": 700})
        assert size_of(take_over(plan_of("small"), larger, sizes=True)) == "large"


def test_what_takes_long_is_timed_once(monkeypatch):
    moments = iter([0.0, 20.0])
    monkeypatch.setattr(budgets.time, "perf_counter", lambda: next(moments))
    assert seconds_of(lambda _: None) == 20


@pytest.fixture
def slow_computer(monkeypatch) -> list[Plan]:
    """Each measurement says that hardly a step fits; the plans that were measured."""
    measured: list[Plan] = []

    def measure(plan: Plan, *_: object) -> Speed:
        measured.append(plan)
        return Speed(1000.0, 0.0)

    monkeypatch.setattr(runs, "measure_speed", measure)
    monkeypatch.setattr(budgets, "FEWEST_STEPS", 3)
    return measured


def interrupt(cohort: hqc.Cohort, config: hqc.TrainConfig, out: Path, *, step: int) -> None:
    """Begin a run, and press Ctrl-C after a step."""
    with pytest.raises(hqc.HQCSegmentError):
        hqc.finetune(cohort, config=config, out=out, on_event=stop_after(step))


def test_a_run_with_fewer_steps_is_resumed_with_as_many(tiny_cohort: Path, tmp_path: Path, tiny, slow_computer):
    config = hqc.TrainConfig(method="full", held_out=1, **tiny.SETTINGS)
    cohort = hqc.Cohort.open(tiny_cohort)
    interrupt(cohort, config, tmp_path / "run", step=2)
    slow_computer.clear()
    resumed = hqc.finetune(cohort, config=config, out=tmp_path / "run", resume=True)
    assert not slow_computer
    assert resumed.manifest.training.steps == 3
    assert "Of the usual 600 steps 3 fitted" in (tmp_path / "run" / "report.html").read_text()


def test_only_the_first_fold_measures(tiny_cohort: Path, tmp_path: Path, tiny, slow_computer):
    cohort = hqc.Cohort.open(tiny_cohort).subset(["patient0", "patient1"])
    config = hqc.TrainConfig(method="full", folds=2, **tiny.SETTINGS)
    bundle = hqc.finetune(cohort, config=config, out=tmp_path / "run")
    assert len(slow_computer) == 1
    assert bundle.manifest.training.steps == 3


@pytest.mark.slow
def test_a_run_measures_itself_and_is_resumed_without_measuring_again(
    tiny_cohort: Path, tmp_path: Path, tiny, monkeypatch
):
    monkeypatch.setitem(BUDGET_SECONDS, "15min", 3.0)
    config = hqc.TrainConfig(budget="15min", method="full", held_out=1, **tiny.SETTINGS)
    cohort = hqc.Cohort.open(tiny_cohort)
    interrupt(cohort, config, tmp_path / "run", step=5)
    plan = json.loads((tmp_path / "run" / "config.json").read_text())["plan"]
    assert plan["steps"] >= FEWEST_STEPS
    bundle = hqc.finetune(cohort, config=config, out=tmp_path / "run", resume=True)
    assert bundle.manifest.training.steps == plan["steps"]


class TestOutlook:
    def test_where_dice_still_rises_more_time_is_advised(self):
        said = outlook({step: step / 200 for step in range(10, 101, 10)}, dict.fromkeys(range(1, 101), 1.0))
        assert "+0.200" in said
        assert "more time" in said
        assert "would probably bring more" in said

    def test_where_dice_is_flat_it_is_not(self):
        said = outlook({step: 0.8 for step in range(10, 101, 10)}, dict.fromkeys(range(1, 101), 1.0))
        assert "more time would bring little" in said

    def test_without_held_out_cases_only_the_loss_is_spoken_of(self):
        said = outlook({}, {step: 1 / step for step in range(1, 101)})
        assert "training loss fell" in said
        assert "nobody knows" in said
