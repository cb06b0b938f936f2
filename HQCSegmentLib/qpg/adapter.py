"""What training changed, apart from W0: small enough to be exchanged, and enough to make the weights again."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from HQCSegmentLib.qpg.config import LoRAConfig, MethodConfig, NormsAndBiasesConfig, QPGConfig, RandomMapConfig
from HQCSegmentLib.qpg.errors import QPGError
from HQCSegmentLib.qpg.injection import injected_layers

_CONFIGS: dict[str, type[MethodConfig]] = {
    "circuits": QPGConfig,
    "lora": LoRAConfig,
    "random_map": RandomMapConfig,
    "norms_and_biases": NormsAndBiasesConfig,
}


def adapter_state(network: nn.Module) -> dict[str, Tensor]:
    """The trained numbers of a network after `inject`, and its running statistics, by name; copies.

    They have the shapes, types and device of the network's own. With the start weights W0 and the method's
    configuration, `load_adapter` makes the trained network of them.
    """
    trained = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    statistics = {name: buffer for name, buffer in network.named_buffers() if ".parametrizations." not in f".{name}"}
    return {name: tensor.detach().clone() for name, tensor in (trained | statistics).items()}


def load_adapter(network: nn.Module, state: dict[str, Tensor]) -> None:
    """Set the trained numbers of a network that started from the same weights and was injected in the same way.

    Args:
        network: After `inject`; changed in place.
        state: What `adapter_state` gave.

    Raises:
        QPGError: if names or shapes are not those of the network; the network is then unchanged.
    """
    own = network.state_dict()
    expected = adapter_state(network)
    different = sorted(set(state) ^ set(expected))
    if different or not injected_layers(network):
        what = f"{different[0]!r} is in one of them only" if different else "the network carries no updates"
        msg = f"the adapter does not belong to this network and method: {what}"
        raise QPGError(msg)
    for name, tensor in state.items():
        if tensor.shape != own[name].shape:
            msg = f"the adapter's {name!r} has shape {tuple(tensor.shape)}, the network's {tuple(own[name].shape)}"
            raise QPGError(msg)
    with torch.no_grad():
        for name, tensor in state.items():
            own[name].copy_(tensor)


def config_to_json(config: MethodConfig) -> str:
    """A method's configuration as JSON."""
    kind = next(name for name, cls in _CONFIGS.items() if type(config) is cls)
    return json.dumps({"method": kind, **asdict(config)}, sort_keys=True)


def config_from_json(text: str) -> MethodConfig:
    """Inverse of `config_to_json`.

    Raises:
        QPGError: if the text is no configuration of a known method.
    """
    try:
        content: dict[str, Any] = json.loads(text)
        kind = _CONFIGS[content.pop("method")]
        if kind is RandomMapConfig:
            content["like"] = QPGConfig(**content["like"])
        return kind(**content)
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError) as error:
        msg = f"the text is not the configuration of a method: {error}"
        raise QPGError(msg) from error
