"""Random variation of training patches, so that few cases are not learned by heart."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.naming import side_of
from HQCSegmentLib.training.config import Augmentation

Vary = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
"""Function of (image, label, seed), (channels, ...) and (1, ...), that gives varied copies; the same seed, the same
result."""


def augmentation(
    *,
    dims: int,
    channels: int = 1,
    slices: int = 1,
    kind: Augmentation = "usual",
    invert: bool = False,
    device: torch.device | None = None,
) -> Vary:
    """Rotations, scalings, noise, blur, brightness and gamma; strong: also bending, bias fields and low resolution.

    The kinds follow nnU-Net (Isensee et al. 2021, supplement 4); they are applied more often, since a few cases vary
    little by themselves: on 4 hippocampus cases Dice was 0.005 to 0.009 higher than with nnU-Net's probabilities
    (one run each of three methods, all higher), and 0.04 to 0.06 higher than without augmentation.

    Args:
        dims: 2 for slices, 3 for volumes.
        channels: Images of a case; moved together, while each has its own noise, brightness and so on.
        slices: Of each image that are inputs of a 2D network; what is changed in one is changed in all of them.
        kind: usual or strong.
        invert: Also turn bright into dark now and then, for images of several sequences.
        device: Where the patches are (None: the CPU). Random numbers are those of the CPU everywhere.
    """
    from monai.transforms import Compose, RandAffined, RandGridDistortiond

    turn = np.deg2rad(20)
    images = [f"image{channel}" for channel in range(channels)]
    both: dict[str, Any] = {"keys": [*images, "label"], "mode": ["bilinear"] * channels + ["nearest"], "device": device}
    bend = RandGridDistortiond(**both, prob=0.2, num_cells=4, distort_limit=0.2, padding_mode="border")
    transform = Compose(
        [
            RandAffined(
                **both,
                prob=0.9,
                rotate_range=[turn] * (3 if dims == 3 else 1),
                scale_range=[0.2] * dims,
                padding_mode="border",
            ),
            *([bend] if kind == "strong" else []),
            *(change for image in images for change in _changes_of_intensity(image, kind, dims=dims, invert=invert)),
        ]
    )

    def vary(image: Tensor, label: Tensor, seed: int) -> tuple[Tensor, Tensor]:
        transform.set_random_state(seed=seed)
        parts = dict(zip(images, image.split(slices), strict=True))
        with _plain_tensors():
            varied = transform({**parts, "label": label.float()})
        return torch.cat([varied[name] for name in images]), varied["label"].round().to(label.dtype)

    return vary


@contextmanager
def _plain_tensors() -> Iterator[None]:
    """Let MONAI's transforms carry no records along; the switch is one for the whole process, so it is set back."""
    from monai.data import get_track_meta, set_track_meta

    before = get_track_meta()
    set_track_meta(False)
    try:
        yield
    finally:
        set_track_meta(before)


def _changes_of_intensity(image: str, kind: Augmentation, *, dims: int, invert: bool) -> list[Any]:
    from monai.transforms import (
        RandAdjustContrastd,
        RandBiasFieldd,
        RandGaussianNoised,
        RandGaussianSmoothd,
        RandScaleIntensityd,
        RandShiftIntensityd,
        RandSimulateLowResolutiond,
    )

    usual = [
        RandGaussianNoised(keys=image, prob=0.3, std=0.1),
        RandGaussianSmoothd(keys=image, prob=0.3, sigma_x=(0.5, 1), sigma_y=(0.5, 1), sigma_z=(0.5, 1)),
        RandScaleIntensityd(keys=image, prob=0.5, factors=0.25),
        RandShiftIntensityd(keys=image, prob=0.5, offsets=0.25),
        RandAdjustContrastd(keys=image, prob=0.5, gamma=(0.7, 1.5), retain_stats=True),
    ]
    strong = [
        RandSimulateLowResolutiond(
            keys=image, prob=0.25, zoom_range=(0.5, 1.0), upsample_mode="bilinear" if dims == 2 else "trilinear"
        ),
        RandBiasFieldd(keys=image, prob=0.2, degree=2, coeff_range=(0.0, 0.2)),
    ]
    inversion = [RandAdjustContrastd(keys=image, prob=0.1, gamma=(0.7, 1.5), retain_stats=True, invert_image=True)]
    return [*usual, *(strong if kind == "strong" else []), *(inversion if invert else [])]


@dataclass(frozen=True)
class Mirror:
    """Exchange of left and right, with the structures of the two sides exchanged as well.

    Attributes:
        partner: For each output of the network the one that it becomes, background first.
    """

    partner: npt.NDArray[np.int64]

    @classmethod
    def of(cls, names: Sequence[str]) -> Mirror:
        """For structures in order of the network's outputs, background left out.

        Raises:
            InputError: for a structure of one side whose other side the network does not have.
        """
        sides = {name: side_of(name) for name in names}
        partner = [0]
        for name in names:
            side = sides[name]
            if side is None:
                partner.append(1 + list(names).index(name))
                continue
            other = [
                index
                for index, one in enumerate(names, start=1)
                if (found := sides[one]) is not None and found.base == side.base and found.letter != side.letter
            ]
            if len(other) != 1:
                msg = f"left and right cannot be exchanged: {name} has no structure of the other side; leave flips out."
                raise InputError(msg)
            partner.append(other[0])
        return cls(np.array(partner))

    def __call__(self, image: Tensor, label: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mirror image (channels, R, ...), label (1, R, ...) and known (..., structures + 1)."""
        partner = torch.from_numpy(self.partner).to(image.device)
        return image.flip(1), partner[label.flip(1).long()].to(label.dtype), known[..., partner]
