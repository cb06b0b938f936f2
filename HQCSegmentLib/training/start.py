"""The network that a run starts from."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from HQCSegmentLib import qpg
from HQCSegmentLib.bundle import Bundle
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.networks import tell_all_depths, with_deep_supervision
from HQCSegmentLib.training.config import TrainConfig
from HQCSegmentLib.training.plan import Plan


def make_network(plan: Plan, config: TrainConfig, base: Bundle | None) -> tuple[nn.Module, qpg.MethodConfig | None]:
    """The network to train, with the updates of the chosen method in it, and that method; None: all weights.

    Raises:
        InputError: if the settings of the method do not fit together or choose no layer.
    """
    network = plan.network.build_seeded(config.seed) if base is None else base.build_for(plan.labels, plan.inputs)
    if config.deep_supervision:
        if with_deep_supervision(plan.network) != plan.network:
            msg = f"the base model's {plan.network.name} was made without deep supervision; leave it out."
            raise InputError(msg)
        tell_all_depths(network)
    if config.method == "full":
        return network, None
    try:
        circuits = replace(config.qpg(from_base=base is not None), classical_part=plan.classical_part)
        method = qpg.method_config(config.method, like=circuits, network=network)
        if isinstance(method, qpg.LoRAConfig) and config.rank is not None:
            method = replace(method, rank=config.rank)
        return qpg.inject(network, method), method
    except qpg.QPGError as error:
        msg = f"method {config.method}: {error}."
        raise InputError(msg) from error
