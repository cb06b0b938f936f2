"""From a bundle back to the network as it was at the end of training: start weights and trained updates apart."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from HQCSegmentLib import qpg
from HQCSegmentLib.bundle.bundle import ADAPTER, WEIGHTS, Bundle
from HQCSegmentLib.bundle.manifest import Manifest
from HQCSegmentLib.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, nn

TOLERANCE = 1e-3
"""Most by which weights made again may differ, as part of their layer's largest: another device or another way of
summing rounds differently, while other start weights differ by as much as their size."""


def method_of(bundle: Bundle) -> qpg.MethodConfig:
    """The method that the bundle was trained by.

    Raises:
        InputError: if it has no trained part of its own, because all weights were trained, or names no known method.
    """
    found = bundle.adapter()
    if found is None:
        msg = (
            f"{bundle.path} was trained by method {bundle.manifest.training.method} and has no {ADAPTER}, so that no "
            "trained part can be told from its weights."
        )
        raise InputError(msg)
    try:
        return qpg.config_from_json(found[1])
    except qpg.QPGError as error:
        msg = f"{bundle.path / ADAPTER} does not name its method: {error}."
        raise InputError(msg) from error


def network_with_updates(bundle: Bundle, *, base: Bundle | None = None) -> nn.Module:
    """The network after training and before merging, in evaluation mode.

    Args:
        bundle: Trained by a method that leaves an adapter.
        base: The model that training started from; None: training was from scratch, from a seed.

    Raises:
        InputError: if the bundle has no adapter, the base is missing, another one, or not wanted, or if the weights
            do not come out as the bundle has them.
    """
    method = method_of(bundle)
    tensors = bundle.adapter()
    assert tensors is not None
    network = with_updates(bundle.manifest, method, tensors[0], base=base, name=str(bundle.path))
    _check(network, bundle)
    return network


def with_updates(
    manifest: Manifest, method: qpg.MethodConfig, tensors: dict[str, Tensor], *, base: Bundle | None, name: str
) -> nn.Module:
    """The network that start weights and trained updates give, not merged, in evaluation mode.

    Args:
        manifest: Of the trained model.
        method: That it was trained by.
        tensors: The trained part (`qpg.adapter_state`).
        base: The model that training started from; None: training was from scratch, from a seed.
        name: What the trained part is of, for messages.

    Raises:
        InputError: if the base is missing, another one, or not wanted, or the trained part does not fit.
    """
    start = _start(manifest, base, name=name)
    try:
        network = qpg.inject(start, method)
        qpg.load_adapter(network, tensors)
    except qpg.QPGError as error:
        msg = f"{name}: the trained part does not fit the network: {error}."
        raise InputError(msg) from error
    return network.eval()


def _start(manifest: Manifest, base: Bundle | None, *, name: str) -> nn.Module:
    """The network with the weights that training started from."""
    training = manifest.training
    if not training.from_base:
        if base is not None:
            msg = f"{name} was trained from scratch; leave out the base {base.path}."
            raise InputError(msg)
        return manifest.network.build_seeded(training.seed)
    wanted = (training.base_weights_sha256 or "of a SHA-256 that is not named")[:12]
    if base is None:
        msg = (
            f"{name} was fine-tuned from a base model, whose weights are needed as well; give it with --base "
            f"(its weights_sha256 begins with {wanted})."
        )
        raise InputError(msg)
    if base.manifest.weights_sha256 != training.base_weights_sha256:
        msg = (
            f"{base.path} is not the base model that {name} was fine-tuned from: its weights_sha256 begins with "
            f"{base.manifest.weights_sha256[:12]}, wanted is {wanted}."
        )
        raise InputError(msg)
    return base.build_for(manifest.labels, manifest.inputs)


def _check(network: nn.Module, bundle: Bundle) -> None:
    """Compare the weights that start and updates give with those of the bundle."""
    made, kept = qpg.merge(copy.deepcopy(network)).state_dict(), bundle.state()
    for name, tensor in kept.items():
        difference = (made[name].double() - tensor.double()).abs().max() if name in made else torch.inf
        if not difference <= TOLERANCE * tensor.double().abs().max():
            msg = (
                f"{bundle.path}: the weights made from start weights and {ADAPTER} are not those of {WEIGHTS} "
                f"({name} differs); they were trained with another version of the software or of PyTorch."
            )
            raise InputError(msg)


__all__ = ["method_of", "network_with_updates", "with_updates"]
