"""Learning rates over the steps, and the running average of the weights."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from HQCSegmentLib.training.schedules import running_average, schedule_rates

STEPS = 100


def course(kind: str) -> tuple[list[float], list[float]]:
    """Rates of two groups, whose highest rates are 1 and 0.1, in every step."""
    groups = [{"params": [nn.Parameter(torch.zeros(1))], "lr": rate} for rate in (1.0, 0.1)]
    optimizer = torch.optim.AdamW(groups)
    schedule = schedule_rates(optimizer, kind, steps=STEPS)  # type: ignore[arg-type]
    rates = []
    for _ in range(STEPS):
        rates.append(tuple(group["lr"] for group in optimizer.param_groups))
        optimizer.step()
        schedule.step()
    first, second = zip(*rates, strict=True)
    return list(first), list(second)


def test_the_cosine_warms_up_shortly_and_ends_near_zero():
    rates, _ = course("cosine")
    assert rates[0] == pytest.approx(0.2)
    assert rates.index(max(rates)) in (4, 5)
    assert rates[52] == pytest.approx(0.5, abs=0.02)
    assert rates[-1] < 0.001
    assert rates[5:] == sorted(rates[5:], reverse=True)


def test_one_cycle_goes_up_for_a_third_and_ends_below_its_start():
    rates, _ = course("onecycle")
    assert rates[0] == pytest.approx(1 / 25)
    assert 28 <= rates.index(max(rates)) <= 32
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert rates[-1] < rates[0] / 10


def test_the_constant_one_only_warms_up():
    rates, _ = course("constant")
    assert rates[0] == pytest.approx(0.2)
    assert set(rates[5:]) == {1.0}


@pytest.mark.parametrize("kind", ["cosine", "onecycle", "constant"])
def test_all_groups_keep_their_proportion(kind: str):
    first, second = course(kind)
    assert second == pytest.approx([rate / 10 for rate in first])


def test_the_average_follows_the_weights_and_forgets_the_start():
    network = nn.Linear(1, 1)
    average = running_average(network, 0.9)
    followed = []
    for weight in (100.0, *[1.0] * 100, 2.0):
        nn.init.constant_(network.weight, weight)
        average.update_parameters(network)
        followed.append(average.module.weight.item())
    assert followed[0] == 100
    assert followed[:-1] == sorted(followed[:-1], reverse=True)
    assert followed[-2] == pytest.approx(1, abs=1e-3)
    assert followed[-1] == pytest.approx(0.9 * 1 + 0.1 * 2, abs=1e-3)
