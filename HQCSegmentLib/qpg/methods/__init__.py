"""Methods: how a layer's weight is made from its start weight and a few trained numbers. One file each.

`circuits` is Quantum Parameter Generation; the others are the controls that it is compared with. All are injected,
counted and merged in the same way.
"""

from __future__ import annotations

from torch import Tensor

from HQCSegmentLib.qpg.channels import ChannelView
from HQCSegmentLib.qpg.config import LoRAConfig, MethodConfig, NormsAndBiasesConfig, QPGConfig, RandomMapConfig
from HQCSegmentLib.qpg.errors import QPGError
from HQCSegmentLib.qpg.methods.circuits import CircuitUpdate
from HQCSegmentLib.qpg.methods.fixed import FixedWeight
from HQCSegmentLib.qpg.methods.lora import LoRAUpdate
from HQCSegmentLib.qpg.methods.random_map import RandomMapUpdate
from HQCSegmentLib.qpg.methods.update import WeightUpdate


def make_update(config: MethodConfig, *, base: Tensor, view: ChannelView, layer: str, order: int) -> WeightUpdate:
    """The update of one layer by the method of a configuration.

    Args:
        config: Of any method.
        base: W0, the weight that training starts from.
        view: How `base` is divided into channels.
        layer: Name of the layer.
        order: Number of the layer among those that are changed; seeds its random numbers.

    Raises:
        QPGError: for a configuration of no known method.
    """
    seed = hash_seed(config.seed, order)
    match config:
        case QPGConfig():
            return CircuitUpdate(base, view=view, config=config, depth=config.depth_of(layer), seed=seed)
        case LoRAConfig():
            return LoRAUpdate(base, view=view, rank=config.rank_of(layer), alpha=config.alpha, seed=seed)
        case RandomMapConfig():
            return RandomMapUpdate(base, view=view, config=config, depth=config.like.depth_of(layer), seed=seed)
        case NormsAndBiasesConfig():
            return FixedWeight(base, view=view)
    msg = f"`config` must be the configuration of a method, got {config!r}"
    raise QPGError(msg)


def hash_seed(seed: int, order: int) -> int:
    """Seed of one layer's random numbers."""
    return seed * 1_000_003 + order


__all__ = ["CircuitUpdate", "FixedWeight", "LoRAUpdate", "RandomMapUpdate", "WeightUpdate", "make_update"]
