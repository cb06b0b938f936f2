"""Putting a method's updates into a network, and merging what they generate back into plain weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from HQCSegmentLib.qpg.channels import SUPPORTED_LAYERS, ChannelView
from HQCSegmentLib.qpg.config import MethodConfig, QPGConfig
from HQCSegmentLib.qpg.errors import AlreadyInjectedError, NoMatchingLayerError, NotInjectedError, QPGError
from HQCSegmentLib.qpg.generator import Generator
from HQCSegmentLib.qpg.methods import WeightUpdate, make_update

NOTHING_INJECTED = "the network carries no circuits or other updates; nothing was injected"

Network = TypeVar("Network", bound=nn.Module)


def inject(network: Network, config: MethodConfig | None = None) -> Network:
    """Let a method make the weights of the chosen layers; by default a circuit for every channel.

    The present weights become W0 and are frozen; the method's few numbers are trained in their place. Other
    parameters (biases, normalisation, small layers) stay as they are. Outputs do not change (except with
    `start="zero"`): training starts exactly at W0. The layers keep their classes, so that the network is used and
    trained as before.

    Args:
        network: Any network with Conv, ConvTranspose or Linear layers; changed in place.
        config: Method, and which layers: a `QPGConfig` (default), or `LoRAConfig`, `RandomMapConfig`,
            `NormsAndBiasesConfig`.

    Returns:
        The same network.

    Raises:
        AlreadyInjectedError: if it carries updates already.
        NoMatchingLayerError: if no layer is chosen.
        QPGError: if a chosen layer's weight is computed by something else, such as weight normalisation.

    Examples:
        >>> network = inject(nn.Sequential(nn.Conv2d(16, 8, 3), nn.ReLU()), QPGConfig(depth=2))
        >>> trainable_numbers(network)
        200
    """
    config = QPGConfig() if config is None else config
    if not isinstance(cast(object, config), MethodConfig):
        msg = f"`config` must be the configuration of a method, such as QPGConfig, got {config!r}"
        raise QPGError(msg)
    # All checks come before the first change, so that a refused network is left as it was.
    carrying = [name for name, _ in injected_layers(network)]
    if carrying:
        msg = f"the network already carries updates (in {carrying[0]} and {len(carrying) - 1} more); merge first"
        raise AlreadyInjectedError(msg)
    chosen = target_layers(network, config)
    if not chosen:
        but = f", but none of {', '.join(config.exclude)}" if config.exclude else ""
        more = f" and more than {config.classical_part:.1%} of the weights" if config.classical_part else ""
        msg = (
            f"no Conv, ConvTranspose or Linear layer has {config.minimum_numbers} or more numbers per channel{more} "
            f"and a name like {', '.join(config.include)}{but}"
        )
        raise NoMatchingLayerError(msg)
    for name, layer in chosen.items():
        if "weight" not in dict(layer.named_parameters(recurse=False)):
            msg = f"the weight of layer {name!r} is not a parameter but computed; undo that or exclude the layer"
            raise QPGError(msg)
    generator = Generator()
    for order, (name, layer) in enumerate(chosen.items()):
        weight: nn.Parameter = layer.weight  # type: ignore[assignment]
        update = make_update(config, base=weight, view=_view(layer, config), layer=name, order=order)
        weight.requires_grad_(False)
        generator.add(update, weight)
        # unsafe only skips torch's trial call for shape and dtype, which the tests of this package make.
        parametrize.register_parametrization(layer, "weight", update, unsafe=True)
    return network


def merge(network: Network) -> Network:
    """Replace the updates by the plain weights that they generate.

    The state_dict then has the keys of the original network class, and the outputs are the same to the last bit.
    Weights that were frozen before the injection are frozen again.

    Args:
        network: A network after `inject`; changed in place.

    Returns:
        The same network.

    Raises:
        NotInjectedError: if it carries no updates.
    """
    layers = _required_layers(network)
    with torch.no_grad():
        merged = [cast(Tensor, layer.weight).clone() for _, layer in layers]
    for (_, layer), weight in zip(layers, merged, strict=True):
        trainable = update_of(layer).was_trainable  # type: ignore[union-attr]
        # A deep copy shares the class that torch made for the layer, and torch takes the weight out of that class.
        made = type(layer)
        layer.__class__ = type(made.__name__, made.__bases__, dict(made.__dict__))
        parametrize.remove_parametrizations(layer, "weight", leave_parametrized=False)
        layer.weight = nn.Parameter(weight, requires_grad=trainable)
    return network


@contextmanager
def accumulation(network: nn.Module) -> Iterator[None]:
    """Generate weights once for several forward and backward passes (micro-batches of one optimizer step).

    Inside, gradients by the weights add up; when the block ends, they go back through the circuits once. Clip
    gradients and step the optimizer after the block. On an NVIDIA GPU the operations are recorded in the first blocks
    and replayed in later ones (CUDA graphs): there it is much faster, also with one pass.

    Args:
        network: A network after `inject`.

    Raises:
        NotInjectedError: if it carries no updates.

    Examples:
        >>> with accumulation(network):
        ...     for images, wanted in micro_batches:
        ...         loss(network(images), wanted).backward()
        >>> optimizer.step()
    """
    updates = [module for module in network.modules() if isinstance(module, WeightUpdate)]
    if not updates:
        raise NotInjectedError(NOTHING_INJECTED)
    generators = {id(update.generator): update.generator for update in updates}
    with ExitStack() as stack:
        for generator in generators.values():
            stack.enter_context(generator.holding())
        yield


def target_layers(network: nn.Module, config: MethodConfig) -> dict[str, nn.Module]:
    """Layers that `inject` would change, by name, in the order of the network."""
    layers = [(name, layer) for name, layer in network.named_modules() if isinstance(layer, SUPPORTED_LAYERS)]
    few = config.classical_part * sum(layer.weight.numel() for _, layer in layers)
    return {
        name: layer
        for name, layer in layers
        if layer.weight.numel() > few
        and ChannelView.of(layer).numbers >= config.minimum_numbers
        # Where kernels have circuits, those of one number have none.
        and _view(layer, config).numbers > 1
        and config.chooses(name)
    }


def injected_layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Names and layers whose weights are made by a method."""
    return [(name, layer) for name, layer in network.named_modules() if update_of(layer) is not None]


def update_of(layer: nn.Module) -> WeightUpdate | None:
    """The update of a layer, or None."""
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    first = layer.parametrizations["weight"][0]  # type: ignore[index]
    return first if isinstance(first, WeightUpdate) else None


def start_weight(layer: Any) -> Tensor:
    """W0 of a layer after `inject`, of the shape of its weight."""
    return layer.parametrizations["weight"].original


def _required_layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    layers = injected_layers(network)
    if not layers:
        raise NotInjectedError(NOTHING_INJECTED)
    return layers


def _view(layer: nn.Module, config: MethodConfig) -> ChannelView:
    if isinstance(config, QPGConfig):
        return ChannelView.of(layer, channel=config.channel)
    return ChannelView.of(layer)
