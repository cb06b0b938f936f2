"""Variation of training patches: the same seed the same patch, labels that stay labels, sides that stay sides."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.training.augmentation import Mirror, augmentation
from HQCSegmentLib.training.patches import PatchSource, TrainingCase

KINDS = [{"kind": "usual"}, {"kind": "strong"}, {"kind": "strong", "invert": True}]


def patch(dims: int, channels: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    label = torch.zeros((1, *[24] * dims), dtype=torch.int32)
    label[(0, *[slice(8, 16)] * dims)] = 3
    return torch.randn((channels, *[24] * dims), generator=random) + label.float(), label


@pytest.mark.parametrize("options", KINDS)
@pytest.mark.parametrize(("dims", "channels"), [(2, 1), (3, 1), (3, 2)])
def test_the_same_seed_gives_the_same_patch_and_labels_stay_labels(options: dict, dims: int, channels: int):
    image, label = patch(dims, channels)
    for seed in range(12):
        varied, moved = augmentation(dims=dims, channels=channels, **options)(image, label, seed)
        again, moved_again = augmentation(dims=dims, channels=channels, **options)(image, label, seed)
        assert torch.equal(varied, again)
        assert torch.equal(moved, moved_again)
        assert varied.shape == image.shape
        assert torch.isfinite(varied).all()
        assert set(moved.unique().tolist()) <= {0, 3}


def test_strong_varies_more_than_usual():
    image, label = patch(3)
    usual, strong = (
        [augmentation(dims=3, kind=kind)(image, label, seed)[0] for seed in range(20)] for kind in ("usual", "strong")
    )
    assert any(not torch.equal(a, b) for a, b in zip(usual, strong, strict=True))


NAMES = ["Parotid_L", "SpinalCord", "Parotid_R"]


def test_mirroring_exchanges_sides_and_what_is_known_of_them():
    image = torch.arange(4.0).reshape(1, 4, 1, 1)
    label = torch.tensor([1, 2, 3, 0]).reshape(1, 4, 1, 1)
    known = torch.tensor([True, True, True, False])
    mirrored, sides, drawn = Mirror.of(NAMES)(image, label, known)
    assert mirrored.ravel().tolist() == [3, 2, 1, 0]
    assert sides.ravel().tolist() == [0, 1, 2, 3]
    assert drawn.tolist() == [True, False, True, True]


def test_a_side_without_its_other_is_not_mirrored():
    with pytest.raises(InputError, match="Parotid_L has no structure of the other side"):
        Mirror.of(["Parotid_L", "SpinalCord"])


def test_half_of_the_patches_are_mirrored():
    array = np.zeros((16, 16, 16), np.float32)
    label = np.zeros((16, 16, 16), np.uint16)
    array[:4], label[:4] = 1, 1
    case = TrainingCase.make(array[None], label, np.ones(4, bool))
    settings = {"patch": (16, 16, 16), "batch": 1, "seed": 0, "vary": None}
    source = PatchSource([case], **settings, mirror=Mirror.of(NAMES))
    sides = [source.batch(step).labels.max().item() for step in range(40)]
    assert set(sides) == {1, 3}
    assert 8 < sides.count(3) < 32
    assert {PatchSource([case], **settings).batch(step).labels.max().item() for step in range(10)} == {1}
