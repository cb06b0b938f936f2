"""Learning rates and start angles fit the start and the method, and give way to what was asked for."""

from __future__ import annotations

import pytest

from HQCSegmentLib.training import TrainConfig
from HQCSegmentLib.training.rates import choose_angle_rate, choose_learning_rate, lower_rates


def test_angles_go_further_from_random_weights_than_from_weights_that_fit():
    assert choose_angle_rate(TrainConfig(), from_base=False) > choose_angle_rate(TrainConfig(), from_base=True)


def test_random_weights_are_changed_more_evenly_than_weights_that_fit_unless_asked_otherwise():
    spreads = [TrainConfig().qpg(from_base=from_base).angle_spread for from_base in (False, True)]
    assert spreads == [0.2, 0.5]
    asked = TrainConfig(angle_spread=0)
    assert [asked.qpg(from_base=from_base).angle_spread for from_base in (False, True)] == [0, 0]


@pytest.mark.parametrize("from_base", [True, False])
def test_rates_that_were_asked_for_are_taken(from_base: bool):
    config = TrainConfig(angle_rate=0.3, learning_rate=0.2)
    assert choose_angle_rate(config, from_base=from_base) == 0.3
    assert choose_learning_rate(config, from_base=from_base, in_full=True) == 0.2


def test_ordinary_weights_are_changed_gently_where_many_of_them_are_trained():
    few = choose_learning_rate(TrainConfig(), from_base=True, in_full=False)
    layers = choose_learning_rate(TrainConfig(), from_base=True, in_full=True)
    all_from_scratch = choose_learning_rate(TrainConfig(method="full"), from_base=False, in_full=False)
    assert few > layers > all_from_scratch


@pytest.mark.parametrize(
    ("settings", "options"),
    [
        ({}, "--learning-rate 0.00075 --angle-rate 0.005 --scale-rate 0.0025"),
        ({"readout": "mapped"}, "--learning-rate 0.00075 --angle-rate 0.005 --scale-rate 0.0025 --factor-rate 0.0025"),
        ({"method": "lora"}, "--learning-rate 0.00075 --factor-rate 0.0025"),
        ({"method": "randommap"}, "--learning-rate 0.00075 --scale-rate 0.0025 --factor-rate 0.0025"),
        ({"method": "full"}, "--learning-rate 0.00075"),
    ],
)
def test_where_training_did_harm_the_rates_of_the_method_are_named_at_a_quarter(settings, options: str):
    assert lower_rates(TrainConfig(**settings), learning_rate=0.003, angle_rate=0.02) == options
