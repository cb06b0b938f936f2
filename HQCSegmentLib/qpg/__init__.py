"""Quantum Parameter Generation (QPG): small quantum circuits generate a network's weight updates in training.

Each channel of each chosen layer owns one variational circuit. After training, `merge` leaves plain weights: the
network that comes out is an ordinary one. This package depends on torch and PennyLane only and can be used with any
torch network; see Docs/qpg.md for the formulas and an example.
"""

from HQCSegmentLib.qpg.accounting import (
    TrainableNumbers,
    parameter_groups,
    trainable_numbers,
    trainable_numbers_by_kind,
)
from HQCSegmentLib.qpg.circuits import ANSATZES
from HQCSegmentLib.qpg.config import QPGConfig
from HQCSegmentLib.qpg.engine import born_probabilities
from HQCSegmentLib.qpg.errors import AlreadyInjectedError, NoMatchingLayerError, NotInjectedError, QPGError
from HQCSegmentLib.qpg.injection import inject, injected_layers, merge
from HQCSegmentLib.qpg.reference import qnode

__all__ = [
    "ANSATZES",
    "AlreadyInjectedError",
    "NoMatchingLayerError",
    "NotInjectedError",
    "QPGConfig",
    "QPGError",
    "TrainableNumbers",
    "born_probabilities",
    "inject",
    "injected_layers",
    "merge",
    "parameter_groups",
    "qnode",
    "trainable_numbers",
    "trainable_numbers_by_kind",
]
