"""Networks by name, in three sizes, for slices (2D) and volumes (3D).

The classes are MONAI's own and unchanged, so that trained weights load into them anywhere.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.networks.strides import kernels_for, strides_for

if TYPE_CHECKING:
    from torch import nn

NetworkName = Literal["unet", "unetpp", "attentionunet", "segresnet", "dynunet", "swinunetr"]
Preset = Literal["small", "medium", "large"]

FIXED_DIVISORS = {"unetpp": 16, "swinunetr": 32}
"""Networks whose depth does not follow from their arguments."""

PRESETS: tuple[Preset, ...] = ("small", "medium", "large")


def _dynunet(*filters: int) -> dict[str, Any]:
    """Arguments of a DynUNet with so many filters from level to level, halving the size at each."""
    levels = len(filters)
    return {
        "kernel_size": [3] * levels,
        "strides": [1] + [2] * (levels - 1),
        "upsample_kernel_size": [2] * (levels - 1),
        "filters": list(filters),
        "res_block": True,
    }


NETWORKS: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    # UNet with residual units: Ronneberger et al. 2015, Kerfoot et al. 2018.
    "unet": (
        "UNet",
        {
            "small": {"channels": [16, 32, 64, 128], "strides": [2, 2, 2], "num_res_units": 2},
            "medium": {"channels": [32, 64, 128, 256], "strides": [2, 2, 2], "num_res_units": 2},
            "large": {"channels": [32, 64, 128, 256, 512], "strides": [2, 2, 2, 2], "num_res_units": 2},
        },
    ),
    # UNet++: Zhou et al. 2018.
    "unetpp": (
        "BasicUNetPlusPlus",
        {
            "small": {"features": [8, 16, 32, 64, 128, 8]},
            "medium": {"features": [16, 32, 64, 128, 256, 16]},
            "large": {"features": [32, 64, 128, 256, 512, 32]},
        },
    ),
    # Attention U-Net: Oktay et al. 2018.
    "attentionunet": (
        "AttentionUnet",
        {
            "small": {"channels": [16, 32, 64, 128], "strides": [2, 2, 2]},
            "medium": {"channels": [32, 64, 128, 256], "strides": [2, 2, 2]},
            "large": {"channels": [32, 64, 128, 256, 512], "strides": [2, 2, 2, 2]},
        },
    ),
    # SegResNet: Myronenko 2018.
    "segresnet": (
        "SegResNet",
        {
            "small": {"init_filters": 8, "blocks_down": [1, 2, 2], "blocks_up": [1, 1]},
            "medium": {"init_filters": 16, "blocks_down": [1, 2, 2, 4], "blocks_up": [1, 1, 1]},
            "large": {"init_filters": 32, "blocks_down": [1, 2, 2, 4], "blocks_up": [1, 1, 1]},
        },
    ),
    # DynUNet, the U-Net of nnU-Net: Isensee et al. 2021.
    "dynunet": (
        "DynUNet",
        {
            "small": _dynunet(16, 32, 64, 128),
            "medium": _dynunet(32, 64, 128, 256),
            "large": _dynunet(32, 64, 128, 256, 320),
        },
    ),
    # Swin UNETR: Hatamizadeh et al. 2022.
    "swinunetr": (
        "SwinUNETR",
        {
            "small": {"feature_size": 12},
            "medium": {"feature_size": 24},
            "large": {"feature_size": 48},
        },
    ),
}
"""MONAI class and arguments of each size, by name."""


class NetworkSpec(BaseModel):
    """Everything needed to build a network: a name from the catalogue and the arguments of its class."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: NetworkName = Field(description="network from the catalogue")
    dims: Literal[2, 3] = Field(description="2: slice by slice; 3: volumes")
    in_channels: int = Field(ge=1, le=64, description="images per case, times slices of each in 2.5D")
    out_channels: int = Field(ge=2, le=65536, description="structures and background")
    arguments: dict[str, JsonValue] = Field(default_factory=dict, description="further arguments of the MONAI class")

    def build(self) -> nn.Module:
        """The network with freshly initialised weights (from torch's global random state).

        Raises:
            InputError: if the arguments do not fit the class.
        """
        networks = importlib.import_module("monai.networks.nets")
        class_name, _ = NETWORKS[self.name]
        try:
            return getattr(networks, class_name)(
                spatial_dims=self.dims,
                in_channels=self.in_channels,
                out_channels=self.out_channels,
                **self.arguments,
            )
        except (TypeError, ValueError) as error:
            msg = f"network {self.name}: MONAI's {class_name} does not take {self.arguments}: {error}."
            raise InputError(msg) from error

    def build_seeded(self, seed: int) -> nn.Module:
        """The network with the weights that training from scratch with this seed starts from.

        The same numbers again with the same version of torch and MONAI; torch's global random state is left alone.

        Raises:
            InputError: if the arguments do not fit the class.
        """
        import torch

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.build()

    @property
    def divisors(self) -> tuple[int, ...]:
        """Sides of a patch must be multiples of so many voxels, along each axis."""
        if self.name in FIXED_DIVISORS:
            return (FIXED_DIVISORS[self.name],) * self.dims
        if self.name == "segresnet":
            blocks = self.arguments.get("blocks_down", [1, 2, 2, 4])
            return (int(2 ** (len(blocks) - 1)) if isinstance(blocks, list) else 8,) * self.dims
        strides: Any = self.arguments.get("strides")
        # A stride may be given for each axis.
        by_axis = [step if isinstance(step, list) else [step] * self.dims for step in strides or []]
        return tuple(math.prod(steps) for steps in zip(*by_axis, strict=True)) or (1,) * self.dims


def specify(
    name: str,
    *,
    dims: int,
    preset: str,
    in_channels: int,
    out_channels: int,
    spacing: Sequence[float] | None = None,
) -> NetworkSpec:
    """Specification of a network of the catalogue in one of its sizes.

    Args:
        name: Key of `NETWORKS`.
        dims: 2 or 3.
        preset: Its size.
        in_channels: Images per case, times slices of each in 2.5D.
        out_channels: Structures and background.
        spacing: Of the images, in mm along R, A, S: a U-Net halves long axes less often. None: all alike.

    Raises:
        InputError: for an unknown network, size or number of dimensions.
    """
    if name not in NETWORKS:
        msg = f"network {name!r} is unknown; choose one of {', '.join(NETWORKS)}."
        raise InputError(msg)
    sizes = NETWORKS[name][1]
    if preset not in sizes:
        msg = f"size {preset!r} of network {name} is unknown; choose one of {', '.join(sizes)}."
        raise InputError(msg)
    if dims not in (2, 3):
        msg = f"dims must be 2 (slices) or 3 (volumes), got {dims!r}."
        raise InputError(msg)
    arguments = dict(sizes[preset])
    # The other networks halve all axes alike.
    if spacing is not None and "strides" in arguments:
        arguments |= _strided(name, arguments, strides_for(spacing[:dims], levels=arguments["strides"].count(2)))
    return NetworkSpec(
        name=name,  # type: ignore[arg-type]
        dims=dims,  # type: ignore[arg-type]
        in_channels=in_channels,
        out_channels=out_channels,
        arguments=arguments,
    )


def _strided(name: str, arguments: dict[str, Any], strides: list[list[int]]) -> dict[str, Any]:
    """Arguments of a U-Net in place of the usual ones; none where all axes are halved alike."""
    if all(step == 2 for level in strides for step in level):
        return {}
    if name != "dynunet":
        return {"strides": strides}
    return {
        "kernel_size": kernels_for(strides),
        "strides": [[1] * len(strides[0]), *strides],
        "upsample_kernel_size": strides,
    }
