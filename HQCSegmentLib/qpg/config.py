"""Configurations: which layers of a network are changed, and by which method.

Reading a configuration needs neither torch nor PennyLane.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Literal, TypeVar, cast, get_args

from HQCSegmentLib.qpg.circuits import ANSATZES
from HQCSegmentLib.qpg.errors import QPGError

Readout = Literal["signed", "probability", "mapped"]
Coordinates = Literal["flat", "walsh", "register", "singular"]
Channel = Literal["filter", "kernel"]
Start = Literal["weights", "zero"]
AnsatzName = Literal[
    "ry_cnot_ring",
    "ry_cnot_rings",
    "ry_cnot_chain",
    "ry_cnot_none",
    "ryrz_cz_ring",
    "ryrz_cz_rings",
    "ryrz_cz_chain",
    "ryrz_cz_none",
    "u3_cu3_ring",
    "u3_cu3_rings",
    "u3_cu3_chain",
    "u3_cu3_none",
]
"""The keys of `ANSATZES`, spelled out for option lists and type checkers."""

MAX_DEPTH = 8

Value = TypeVar("Value")


@dataclass(frozen=True, kw_only=True)
class MethodConfig:
    """Which layers a method changes; the base of every method's configuration.

    Raises:
        QPGError: (a ValueError) naming the field and the value got.
    """

    minimum_numbers: int = field(
        default=64,
        metadata={"help": "layers with fewer numbers per channel keep ordinary trainable weights"},
    )
    classical_part: float = field(
        default=0.0,
        metadata={
            "help": "layers that hold at most this part of the weights of all layers keep them trainable: little is "
            "saved there, and the first and last layers of a network are among them"
        },
    )
    include: tuple[str, ...] = field(
        default=("*",),
        metadata={"help": "name patterns of the layers that are changed, for example 'model.0*'"},
    )
    exclude: tuple[str, ...] = field(default=(), metadata={"help": "name patterns of layers that stay classical"})
    seed: int = field(default=0, metadata={"help": "of the random numbers that a method starts from"})

    def __post_init__(self) -> None:
        _check_whole_number(self, "minimum_numbers", least=1)
        _check_whole_number(self, "seed", least=0)
        if not isinstance(self.classical_part, (int, float)) or not 0 <= self.classical_part < 1:
            msg = f"`classical_part` must be a number of at least 0 and below 1, got {self.classical_part!r}"
            raise QPGError(msg)
        for name in ("include", "exclude"):
            value = getattr(self, name)
            if not isinstance(value, (list, tuple)) or not all(isinstance(pattern, str) for pattern in value):
                msg = f"`{name}` must be a list of name patterns, got {value!r}"
                raise QPGError(msg)
            object.__setattr__(self, name, tuple(value))

    def chooses(self, name: str) -> bool:
        """Whether the layer of this name is included and not excluded."""
        return any(fnmatchcase(name, pattern) for pattern in self.include) and not any(
            fnmatchcase(name, pattern) for pattern in self.exclude
        )


@dataclass(frozen=True, kw_only=True)
class QPGConfig(MethodConfig):
    """What circuits generate which weights."""

    depth: int = field(default=2, metadata={"help": f"layers of rotations in every circuit, 1 to {MAX_DEPTH}"})
    depth_pattern: Mapping[str, int] = field(
        default_factory=dict,
        metadata={
            "help": "other depths by name pattern of the layer, for example {'model.1*': 4}; the first that fits"
        },
    )
    readout: Readout = field(
        default="signed",
        metadata={
            "help": "how probabilities become values: signed (a sign qubit), probability, or mapped (Quantum-Train's "
            "transform and small network)"
        },
    )
    ansatz: AnsatzName = field(default="ry_cnot_ring", metadata={"help": "circuit family"})
    channel: Channel = field(
        default="filter",
        metadata={"help": "what owns a circuit: a filter (output channel), or each kernel (input-output pair)"},
    )
    coordinates: Coordinates = field(
        default="flat",
        metadata={
            "help": "where values land: flat (weight by weight), walsh (as patterns of signs over all weights of a "
            "channel), register (input-channel and spatial bits), or singular (directions that the start weights use)"
        },
    )
    singular_power: float = field(
        default=1.0, metadata={"help": "singular directions are scaled by this power of their singular values"}
    )
    angle_spread: float = field(
        default=0.0,
        metadata={
            "help": "standard deviation in radians of random angles that circuits start around; 0: the uniform state. "
            "Training starts at the start weights all the same"
        },
    )
    start: Start = field(
        default="weights",
        metadata={"help": "weights: training starts at the network's weights; zero: all weights are generated"},
    )
    train_angles: bool = field(
        default=True, metadata={"help": "false freezes random circuits: only scales and shifts are trained (a control)"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_whole_number(self, "depth", least=1, most=MAX_DEPTH)
        _check_pattern(self, "depth_pattern", least=1, most=MAX_DEPTH)
        for name, choices in (
            ("readout", get_args(Readout)),
            ("ansatz", tuple(ANSATZES)),
            ("channel", get_args(Channel)),
            ("coordinates", get_args(Coordinates)),
            ("start", get_args(Start)),
            ("train_angles", (True, False)),
        ):
            _check_choice(self, name, choices)
        if not isinstance(self.singular_power, (int, float)) or not 0 <= self.singular_power <= 2:
            msg = f"`singular_power` must be a number from 0 to 2, got {self.singular_power!r}"
            raise QPGError(msg)
        if not isinstance(self.angle_spread, (int, float)) or not 0 <= self.angle_spread <= 10:
            msg = f"`angle_spread` must be a number of radians from 0 to 10, got {self.angle_spread!r}"
            raise QPGError(msg)
        if self.channel == "kernel" and self.coordinates != "flat":
            msg = f"`coordinates` must be flat where every kernel has its circuit, got {self.coordinates!r}"
            raise QPGError(msg)
        if self.start == "zero" and self.coordinates == "singular":
            msg = "`coordinates` 'singular' needs start weights to take directions from, got `start` 'zero'"
            raise QPGError(msg)

    def depth_of(self, layer: str) -> int:
        """Depth of the circuits of a layer."""
        return first_fitting(self.depth_pattern, layer, self.depth)


@dataclass(frozen=True, kw_only=True)
class LoRAConfig(MethodConfig):
    """Low-rank updates (Hu et al., arXiv:2106.09685) of the channels x numbers matrix of each layer."""

    rank: int = field(default=1, metadata={"help": "rank of the update"})
    rank_pattern: Mapping[str, int] = field(
        default_factory=dict, metadata={"help": "other ranks by name pattern of the layer; the first that fits"}
    )
    alpha: float | None = field(default=None, metadata={"help": "the update is scaled by alpha / rank (default: by 1)"})

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_whole_number(self, "rank", least=1)
        _check_pattern(self, "rank_pattern", least=1)
        if self.alpha is not None and (not isinstance(self.alpha, (int, float)) or not self.alpha > 0):
            msg = f"`alpha` must be a positive number, got {self.alpha!r}"
            raise QPGError(msg)

    def rank_of(self, layer: str) -> int:
        """Rank of the update of a layer."""
        return first_fitting(self.rank_pattern, layer, self.rank)


@dataclass(frozen=True, kw_only=True)
class RandomMapConfig(MethodConfig):
    """Updates that are a fixed, seeded random linear map of a few numbers per channel.

    In the manner of NOLA (Koohpayegani et al., arXiv:2310.02556): what a circuit does, without a circuit.
    """

    numbers: int | None = field(
        default=None,
        metadata={"help": "trained numbers per channel (default: as many as a circuit of `like` has angles)"},
    )
    like: QPGConfig = field(
        default_factory=QPGConfig, metadata={"help": "circuits whose count and coordinates are taken over"}
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.numbers is not None:
            _check_whole_number(self, "numbers", least=1)
        if not isinstance(cast(object, self.like), QPGConfig):
            msg = f"`like` must be a QPGConfig, got {self.like!r}"
            raise QPGError(msg)


@dataclass(frozen=True, kw_only=True)
class NormsAndBiasesConfig(MethodConfig):
    """No update of weights at all: only biases, normalisation layers and layers that are not chosen are trained."""

    minimum_numbers: int = field(default=1, metadata={"help": "layers with fewer numbers per channel are trained"})


def first_fitting(patterns: Mapping[str, Value], name: str, default: Value) -> Value:
    """Value of the first pattern that fits a layer's name."""
    return next((value for pattern, value in patterns.items() if fnmatchcase(name, pattern)), default)


def _check_whole_number(config: Any, name: str, *, least: int, most: int | None = None) -> None:
    value = getattr(config, name)
    if type(value) is not int or value < least or (most is not None and value > most):
        allowed = f"of at least {least}" if most is None else f"from {least} to {most}"
        msg = f"`{name}` must be a whole number {allowed}, got {value!r}"
        raise QPGError(msg)


def _check_pattern(config: Any, name: str, *, least: int, most: int | None = None) -> None:
    value = getattr(config, name)
    numbers = value.values() if isinstance(value, Mapping) else [None]
    if not all(type(n) is int and n >= least and (most is None or n <= most) for n in numbers) or not all(
        isinstance(pattern, str) for pattern in value
    ):
        allowed = f"at least {least}" if most is None else f"{least} to {most}"
        msg = f"`{name}` must map name patterns to whole numbers of {allowed}, got {value!r}"
        raise QPGError(msg)
    object.__setattr__(config, name, dict(value))


def _check_choice(config: Any, name: str, choices: tuple[Any, ...]) -> None:
    value = getattr(config, name)
    if not any(value is choice or (isinstance(value, str) and value == choice) for choice in choices):
        msg = f"`{name}` must be one of {', '.join(map(str, choices))}, got {value!r}"
        raise QPGError(msg)
