"""One way to call all networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def logits(network: nn.Module, images: Tensor) -> Tensor:
    """Logits (batch, structures + 1, ...) of images (batch, channels, ...).

    BasicUNetPlusPlus answers with a list; its last entry is the output of the full depth.
    """
    output = network(images)
    return output[-1] if isinstance(output, (list, tuple)) else output
