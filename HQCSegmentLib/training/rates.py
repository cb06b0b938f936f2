"""Learning rates where none are asked for."""

from __future__ import annotations

from HQCSegmentLib.training.config import TrainConfig

LEARNING_RATE = 3e-3
"""Of ordinary weights in fine-tuning, where layers are trained in full; and of LoRA."""

LEARNING_RATE_OF_FEW = 1e-2
"""Where only biases and normalisation layers are trained so, and from scratch beside what a method generates: a higher
one is better then (Docs/results.md)."""

LEARNING_RATE_FROM_SCRATCH = 1e-3
"""Of all weights."""

ANGLE_RATE, ANGLE_RATE_FROM_SCRATCH = 0.02, 0.04
"""In radians per step. From scratch, where weights have further to go, the higher one was better; still higher
ones were so on one of two cohorts only (Docs/results.md)."""


def choose_learning_rate(config: TrainConfig, *, from_base: bool, in_full: bool) -> float:
    """Learning rate of ordinary weights: as asked, or what is good for the method.

    Args:
        config: What was asked for.
        from_base: Whether the weights fit already.
        in_full: Whether layers are trained in full beside what the method changes.
    """
    if config.learning_rate is not None:
        return config.learning_rate
    if config.method == "full" and not from_base:
        return LEARNING_RATE_FROM_SCRATCH
    if config.method in ("full", "lora") or (from_base and in_full):
        return LEARNING_RATE
    return LEARNING_RATE_OF_FEW


def choose_angle_rate(config: TrainConfig, *, from_base: bool) -> float:
    """Learning rate of circuit angles in radians per step: as asked, or what is good for the start.

    Args:
        config: What was asked for.
        from_base: Whether the weights fit already.
    """
    if config.angle_rate is not None:
        return config.angle_rate
    return ANGLE_RATE if from_base else ANGLE_RATE_FROM_SCRATCH


def lower_rates(config: TrainConfig, *, learning_rate: float, angle_rate: float, part: float = 0.25) -> str:
    """Options that train with a part of the rates of a run, those that its method has.

    Args:
        config: Of the run.
        learning_rate: Of its ordinary weights.
        angle_rate: Of its angles.
        part: Of each rate.
    """
    rates = {"--learning-rate": learning_rate}
    if config.method in ("qpg", "noentangle"):
        rates["--angle-rate"] = angle_rate
    if config.method in ("qpg", "noentangle", "frozen", "randommap"):
        rates["--scale-rate"] = config.scale_rate
    if config.method in ("lora", "randommap") or (config.method == "qpg" and config.readout == "mapped"):
        rates["--factor-rate"] = config.factor_rate
    return " ".join(f"{option} {part * rate:g}" for option, rate in rates.items())
