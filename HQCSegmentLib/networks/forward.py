"""One way to call all networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def logits(network: nn.Module, images: Tensor) -> Tensor:
    """Logits (batch, structures + 1, ...) of images (batch, channels, ...)."""
    return outputs(network, images)[0]


def outputs(network: nn.Module, images: Tensor) -> list[Tensor]:
    """Logits of every depth that the network tells, the full depth first, all in the size of the images.

    UNet++ answers with a list, the full depth last; DynUNet in training with a stack, the full depth first.
    """
    output = network(images)
    if isinstance(output, (list, tuple)):
        return list(reversed(output))
    return list(output.unbind(1)) if output.ndim == images.ndim + 1 else [output]
