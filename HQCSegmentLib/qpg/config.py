"""Configuration of Quantum Parameter Generation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from HQCSegmentLib.qpg.circuits import ANSATZES
from HQCSegmentLib.qpg.errors import QPGError

Readout = Literal["signed", "probability"]

MAX_DEPTH = 8


@dataclass(frozen=True, kw_only=True)
class QPGConfig:
    """What circuits generate which weights.

    Raises:
        QPGError: (a ValueError) naming the field and the value got.
    """

    depth: int = field(default=2, metadata={"help": "layers of rotations in every circuit, 1 to 8"})
    readout: Readout = field(
        default="signed",
        metadata={"help": "how probabilities become values: signed (a sign qubit) or probability"},
    )
    ansatz: str = field(default="ry_cnot_ring", metadata={"help": "circuit family"})
    minimum_numbers: int = field(
        default=64,
        metadata={"help": "layers with fewer numbers per channel keep ordinary trainable weights"},
    )
    include: tuple[str, ...] = field(
        default=("*",),
        metadata={"help": "name patterns of the layers that get circuits, for example 'model.0*'"},
    )
    exclude: tuple[str, ...] = field(default=(), metadata={"help": "name patterns of layers that stay classical"})

    def __post_init__(self) -> None:
        if type(self.depth) is not int or not 1 <= self.depth <= MAX_DEPTH:
            msg = f"`depth` must be a whole number from 1 to {MAX_DEPTH}, got {self.depth!r}"
            raise QPGError(msg)
        if self.readout not in get_args(Readout):
            msg = f"`readout` must be one of {', '.join(get_args(Readout))}, got {self.readout!r}"
            raise QPGError(msg)
        if self.ansatz not in ANSATZES:
            msg = f"`ansatz` must be one of {', '.join(ANSATZES)}, got {self.ansatz!r}"
            raise QPGError(msg)
        if type(self.minimum_numbers) is not int or self.minimum_numbers < 1:
            msg = f"`minimum_numbers` must be a whole number of at least 1, got {self.minimum_numbers!r}"
            raise QPGError(msg)
        for name in ("include", "exclude"):
            value = getattr(self, name)
            if not isinstance(value, (list, tuple)) or not all(isinstance(pattern, str) for pattern in value):
                msg = f"`{name}` must be a list of name patterns, got {value!r}"
                raise QPGError(msg)
            object.__setattr__(self, name, tuple(value))
