"""How circuits are executed: exactly, or with finite shots, noise, or on a device of PennyLane."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from HQCSegmentLib.qpg.errors import QPGError

SIMULATORS = ("default.qubit", "default.mixed")
"""Devices on which noise is simulated; any other brings its own."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Conditions under which Born probabilities are estimated; the defaults are exact.

    Raises:
        QPGError: naming the field and the value got.
    """

    shots: int | None = field(
        default=None, metadata={"help": "how often each circuit is measured; None: exact probabilities"}
    )
    depolarising: tuple[float, float] = field(
        default=(0.0, 0.0),
        metadata={"help": "probability that a qubit is depolarised by a one-qubit gate, and by a two-qubit gate"},
    )
    trajectories: int = field(
        default=100,
        metadata={
            "help": "circuits with random errors that stand for each circuit under depolarising noise, where it is too "
            "large for a density matrix"
        },
    )
    readout_error: float = field(
        default=0.0, metadata={"help": "probability that the measured bit of a qubit is the wrong one"}
    )
    device: str = field(
        default="default.qubit",
        metadata={"help": "device of PennyLane; default.qubit stands for the exact simulation of this package"},
    )

    def __post_init__(self) -> None:
        if self.shots is not None and (type(self.shots) is not int or self.shots < 1):
            msg = f"`shots` must be a whole number of at least 1, or None, got {self.shots!r}"
            raise QPGError(msg)
        pair: Any = self.depolarising
        if not isinstance(pair, tuple) or len(pair) != 2 or not all(map(_is_probability, pair)):
            msg = f"`depolarising` must be two probabilities from 0 to 1, got {pair!r}"
            raise QPGError(msg)
        if type(self.trajectories) is not int or self.trajectories < 1:
            msg = f"`trajectories` must be a whole number of at least 1, got {self.trajectories!r}"
            raise QPGError(msg)
        if not _is_probability(self.readout_error):
            msg = f"`readout_error` must be a probability from 0 to 1, got {self.readout_error!r}"
            raise QPGError(msg)
        if self.is_noisy and self.device not in SIMULATORS:
            msg = (
                f"`device` must be one of {', '.join(SIMULATORS)} where noise is simulated, got {self.device!r}; "
                "another device has its own noise"
            )
            raise QPGError(msg)

    @property
    def is_noisy(self) -> bool:
        """Whether noise is simulated."""
        return any(self.depolarising) or self.readout_error > 0

    @property
    def is_drawn(self) -> bool:
        """Whether results depend on a seed: from finite shots, or random errors in place of a density matrix."""
        return self.shots is not None or (any(self.depolarising) and self.device != "default.mixed")


def _is_probability(value: Any) -> bool:
    return isinstance(value, (int, float)) and 0 <= value <= 1
