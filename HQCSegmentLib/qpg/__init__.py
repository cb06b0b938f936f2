"""Quantum Parameter Generation (QPG): small quantum circuits generate a network's weight updates in training.

Each channel of each chosen layer owns one variational circuit. After training, `merge` leaves plain weights: the
network that comes out is an ordinary one. The classical controls (low rank, random map, ...) are injected in the same
way. This package depends on torch and PennyLane only and can be used with any
torch network; see Docs/qpg.md for the formulas and an example.

Public names load what they need at first use, so that reading a configuration does not import torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from HQCSegmentLib.qpg.accounting import TrainableNumbers as TrainableNumbers
    from HQCSegmentLib.qpg.accounting import parameter_groups as parameter_groups
    from HQCSegmentLib.qpg.accounting import trainable_numbers as trainable_numbers
    from HQCSegmentLib.qpg.accounting import trainable_numbers_by_kind as trainable_numbers_by_kind
    from HQCSegmentLib.qpg.adapter import adapter_state as adapter_state
    from HQCSegmentLib.qpg.adapter import config_from_json as config_from_json
    from HQCSegmentLib.qpg.adapter import config_to_json as config_to_json
    from HQCSegmentLib.qpg.adapter import load_adapter as load_adapter
    from HQCSegmentLib.qpg.circuits import ANSATZES as ANSATZES
    from HQCSegmentLib.qpg.comparison import MethodName as MethodName
    from HQCSegmentLib.qpg.comparison import method_config as method_config
    from HQCSegmentLib.qpg.config import LoRAConfig as LoRAConfig
    from HQCSegmentLib.qpg.config import MethodConfig as MethodConfig
    from HQCSegmentLib.qpg.config import NormsAndBiasesConfig as NormsAndBiasesConfig
    from HQCSegmentLib.qpg.config import QPGConfig as QPGConfig
    from HQCSegmentLib.qpg.config import RandomMapConfig as RandomMapConfig
    from HQCSegmentLib.qpg.drawing import circuit_figure as circuit_figure
    from HQCSegmentLib.qpg.drawing import circuit_text as circuit_text
    from HQCSegmentLib.qpg.engine import born_probabilities as born_probabilities
    from HQCSegmentLib.qpg.errors import AlreadyInjectedError as AlreadyInjectedError
    from HQCSegmentLib.qpg.errors import NoMatchingLayerError as NoMatchingLayerError
    from HQCSegmentLib.qpg.errors import NotInjectedError as NotInjectedError
    from HQCSegmentLib.qpg.errors import QPGError as QPGError
    from HQCSegmentLib.qpg.execution import Execution as Execution
    from HQCSegmentLib.qpg.gate_sets import GATE_SETS as GATE_SETS
    from HQCSegmentLib.qpg.injection import accumulation as accumulation
    from HQCSegmentLib.qpg.injection import inject as inject
    from HQCSegmentLib.qpg.injection import injected_layers as injected_layers
    from HQCSegmentLib.qpg.injection import merge as merge
    from HQCSegmentLib.qpg.noise import estimated_probabilities as estimated_probabilities
    from HQCSegmentLib.qpg.noisy_weights import noisy_copies as noisy_copies
    from HQCSegmentLib.qpg.noisy_weights import noisy_copy as noisy_copy
    from HQCSegmentLib.qpg.ranks import Ranks as Ranks
    from HQCSegmentLib.qpg.ranks import matrix_ranks as matrix_ranks
    from HQCSegmentLib.qpg.ranks import update_ranks as update_ranks
    from HQCSegmentLib.qpg.reference import qnode as qnode
    from HQCSegmentLib.qpg.resources import CircuitResources as CircuitResources
    from HQCSegmentLib.qpg.resources import GateCount as GateCount
    from HQCSegmentLib.qpg.resources import LayerCircuits as LayerCircuits
    from HQCSegmentLib.qpg.resources import circuit_resources as circuit_resources
    from HQCSegmentLib.qpg.resources import layer_circuits as layer_circuits

_PUBLIC = {
    "accounting": (
        "TrainableNumbers",
        "parameter_groups",
        "trainable_numbers",
        "trainable_numbers_by_kind",
    ),
    "adapter": (
        "adapter_state",
        "config_from_json",
        "config_to_json",
        "load_adapter",
    ),
    "circuits": ("ANSATZES",),
    "comparison": (
        "MethodName",
        "method_config",
    ),
    "config": (
        "LoRAConfig",
        "MethodConfig",
        "NormsAndBiasesConfig",
        "QPGConfig",
        "RandomMapConfig",
    ),
    "drawing": (
        "circuit_figure",
        "circuit_text",
    ),
    "engine": ("born_probabilities",),
    "errors": (
        "AlreadyInjectedError",
        "NoMatchingLayerError",
        "NotInjectedError",
        "QPGError",
    ),
    "execution": ("Execution",),
    "gate_sets": ("GATE_SETS",),
    "injection": (
        "accumulation",
        "inject",
        "injected_layers",
        "merge",
    ),
    "noise": ("estimated_probabilities",),
    "noisy_weights": (
        "noisy_copies",
        "noisy_copy",
    ),
    "ranks": (
        "Ranks",
        "matrix_ranks",
        "update_ranks",
    ),
    "reference": ("qnode",),
    "resources": (
        "CircuitResources",
        "GateCount",
        "LayerCircuits",
        "circuit_resources",
        "layer_circuits",
    ),
}
_MODULE_OF = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return __all__
