"""Putting circuits into a network, and merging what they generate back into plain weights."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from HQCSegmentLib.qpg.channels import SUPPORTED_LAYERS, ChannelView
from HQCSegmentLib.qpg.config import QPGConfig
from HQCSegmentLib.qpg.errors import AlreadyInjectedError, NoMatchingLayerError, NotInjectedError, QPGError
from HQCSegmentLib.qpg.generator import Generator
from HQCSegmentLib.qpg.parametrization import CircuitWeights

Network = TypeVar("Network", bound=nn.Module)


def inject(network: Network, config: QPGConfig | None = None) -> Network:
    """Give every channel of the chosen layers a circuit that generates its weight update.

    The present weights become W0 and are frozen; angles, scales and shifts are trained in their place. Other
    parameters (biases, normalisation, small layers) stay as they are. Outputs do not change: training starts
    exactly at W0. The layers keep their classes, so that the network is used and trained as before.

    Args:
        network: Any network with Conv, ConvTranspose or Linear layers; changed in place.
        config: Which layers, what circuits.

    Returns:
        The same network.

    Raises:
        AlreadyInjectedError: if it carries circuits already.
        NoMatchingLayerError: if no layer is chosen.
        QPGError: if a chosen layer's weight is computed by something else, such as weight normalisation.

    Examples:
        >>> network = inject(nn.Sequential(nn.Conv2d(16, 8, 3), nn.ReLU()), QPGConfig(depth=2))
        >>> trainable_numbers(network)
        200
    """
    config = config or QPGConfig()
    # All checks come before the first change, so that a refused network is left as it was.
    carrying = [name for name, _ in injected_layers(network)]
    if carrying:
        msg = f"the network already carries circuits (in {carrying[0]} and {len(carrying) - 1} more); merge first"
        raise AlreadyInjectedError(msg)
    chosen = target_layers(network, config)
    if not chosen:
        msg = (
            f"no Conv, ConvTranspose or Linear layer has {config.minimum_numbers} or more numbers per channel and a "
            f"name matching {list(config.include)} and not {list(config.exclude)}"
        )
        raise NoMatchingLayerError(msg)
    for name, layer in chosen.items():
        if "weight" not in dict(layer.named_parameters(recurse=False)):
            msg = f"the weight of layer {name!r} is not a parameter but computed; undo that or exclude the layer"
            raise QPGError(msg)
    generator = Generator()
    for layer in chosen.values():
        weight: nn.Parameter = layer.weight  # type: ignore[assignment]
        weight.requires_grad_(False)
        circuits = CircuitWeights(weight, view=ChannelView.of(layer), config=config, generator=generator)
        # unsafe only skips torch's trial call for shape and dtype, which the tests of this package make.
        parametrize.register_parametrization(layer, "weight", circuits, unsafe=True)
    return network


def merge(network: Network) -> Network:
    """Replace the circuits by the plain weights that they generate.

    The state_dict then has the keys of the original network class, and the outputs are the same to the last bit.

    Args:
        network: A network after `inject`; changed in place.

    Returns:
        The same network.

    Raises:
        NotInjectedError: if it carries no circuits.
    """
    layers = injected_layers(network)
    if not layers:
        msg = "the network carries no circuits; nothing to merge"
        raise NotInjectedError(msg)
    with torch.no_grad():
        merged = [cast(Tensor, layer.weight).clone() for _, layer in layers]
    for (_, layer), weight in zip(layers, merged, strict=True):
        # A deep copy shares the class that torch made for the layer, and torch takes the weight out of that class.
        made = type(layer)
        layer.__class__ = type(made.__name__, made.__bases__, dict(made.__dict__))
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        layer.weight = nn.Parameter(weight)
    return network


def target_layers(network: nn.Module, config: QPGConfig) -> dict[str, nn.Module]:
    """Layers that `inject` would give circuits, by name, in the order of the network."""
    return {
        name: layer
        for name, layer in network.named_modules()
        if isinstance(layer, SUPPORTED_LAYERS)
        and ChannelView.of(layer).numbers >= config.minimum_numbers
        and any(fnmatchcase(name, pattern) for pattern in config.include)
        and not any(fnmatchcase(name, pattern) for pattern in config.exclude)
    }


def injected_layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Names and layers that carry circuits."""
    return [(name, layer) for name, layer in network.named_modules() if circuits_of(layer) is not None]


def circuits_of(layer: nn.Module) -> CircuitWeights | None:
    """The circuits of a layer, or None."""
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    first = layer.parametrizations["weight"][0]  # type: ignore[index]
    return first if isinstance(first, CircuitWeights) else None
