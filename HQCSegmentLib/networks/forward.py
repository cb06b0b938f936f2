"""One way to call all networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.networks.catalogue import NetworkSpec

if TYPE_CHECKING:
    from torch import Tensor, nn


def logits(network: nn.Module, images: Tensor) -> Tensor:
    """Logits (batch, structures + 1, ...) of images (batch, channels, ...)."""
    return outputs(network, images)[0]


def outputs(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Logits of every depth that the network tells, the full depth first, each (batch, structures + 1, ...).

    All have the size of the images (batch, channels, ...).

    UNet++ answers with a list, the full depth last; DynUNet in training with a stack, the full depth first.
    """
    output = network(images)
    if isinstance(output, (list, tuple)):
        return list(reversed(output))
    return list(output.unbind(1)) if output.ndim == images.ndim + 1 else [output]


def with_deep_supervision(spec: NetworkSpec) -> NetworkSpec:
    """The network with outputs of less depth as well, in training.

    Raises:
        InputError: for a network that has none.
    """
    if spec.name == "unetpp":
        return spec  # it has them anyway; see `tell_all_depths`
    if spec.name != "dynunet":
        msg = f"network {spec.name} has no outputs of less depth; deep supervision is there for unetpp and dynunet."
        raise InputError(msg)
    return spec.model_copy(update={"arguments": {**spec.arguments, "deep_supervision": True, "deep_supr_num": 2}})


def tell_all_depths(network: nn.Module) -> None:
    """Let a network answer in training with the outputs of every depth that it has."""
    network.deep_supervision = True  # type: ignore[assignment]
