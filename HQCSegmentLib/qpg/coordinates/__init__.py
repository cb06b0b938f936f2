"""Coordinates: where in a channel's weights the generated values land. One file each, all linear."""

from __future__ import annotations

from torch import Tensor

from HQCSegmentLib.qpg.channels import ChannelView
from HQCSegmentLib.qpg.config import QPGConfig
from HQCSegmentLib.qpg.coordinates.coordinates import WeightCoordinates
from HQCSegmentLib.qpg.coordinates.flat import FlatCoordinates
from HQCSegmentLib.qpg.coordinates.register import RegisterCoordinates
from HQCSegmentLib.qpg.coordinates.singular import SingularCoordinates
from HQCSegmentLib.qpg.coordinates.walsh import WalshCoordinates


def make_coordinates(config: QPGConfig, *, view: ChannelView, rows: Tensor) -> WeightCoordinates:
    """Coordinates of one layer.

    Args:
        config: Names the coordinates.
        view: How the weight is divided into channels.
        rows: W0 as (channels, numbers).
    """
    if config.coordinates == "walsh":
        return WalshCoordinates(view.numbers)
    if config.coordinates == "register":
        return RegisterCoordinates(view).to(rows.device)
    if config.coordinates == "singular":
        return SingularCoordinates(rows, power=config.singular_power)
    return FlatCoordinates(view.numbers)


__all__ = [
    "FlatCoordinates",
    "RegisterCoordinates",
    "SingularCoordinates",
    "WalshCoordinates",
    "WeightCoordinates",
    "make_coordinates",
]
