"""Structures that only the base model knows are drawn by it in the training cases, and count in the loss as such."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from HQCSegmentLib.bundle import Inference
from HQCSegmentLib.training.augmentation import Mirror
from HQCSegmentLib.training.losses import make_loss, supervised
from HQCSegmentLib.training.patches import Batch, PatchSource, TrainingCase
from HQCSegmentLib.training.rehearsal import rehearsed

BACKGROUND, HAND, BASE = 0, 1, 2
"""Outputs: one structure is drawn by hand, the other is known to the base model only."""


class Thresholds(nn.Module):
    """A network that finds a structure above 0.5, and BASE above 1.5."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        scores = torch.cat([torch.zeros_like(images), images - 0.5, 2 * images - 2], dim=1)
        return self.scale * scores


@pytest.fixture
def case() -> TrainingCase:
    """The base would find HAND in rows 4 to 7 and BASE in rows 8 to 11; by hand rows 6 to 9 are drawn."""
    image = np.zeros((1, 16, 12, 8), np.float32)
    image[:, 4:8], image[:, 8:12] = 1, 2
    label = np.zeros((16, 12, 8), np.uint16)
    label[6:10] = HAND
    return TrainingCase.make(image, label, np.array([True, True, False]))


@pytest.fixture
def taught(case: TrainingCase) -> TrainingCase:
    inference = Inference(window=(8, 8, 8), overlap=0.5)
    return rehearsed(case, Thresholds(), outputs=[BASE], inference=inference)


def test_the_base_draws_what_it_alone_knows_where_nothing_was_drawn_by_hand(taught: TrainingCase):
    rows = taught.label[:, 0, 0].tolist()
    assert rows == [0] * 6 + [HAND] * 4 + [BASE] * 2 + [0] * 4
    assert (taught.label == taught.label[:, :1, :1]).all()
    assert taught.known.tolist() == [True, True, False]
    assert taught.taught is not None
    assert taught.taught.tolist() == [False, False, True]


def test_patches_are_centred_on_what_was_drawn_by_hand_as_before(case: TrainingCase, taught: TrainingCase):
    assert taught.voxels.keys() == case.voxels.keys() == {HAND}


def batch_of(case: TrainingCase, *, mirror: Mirror | None = None, step: int = 0) -> Batch:
    source = PatchSource([case], patch=(16, 12, 8), batch=1, seed=0, vary=None, mirror=mirror)
    return source.batch(step)


def logits_for(labels: torch.Tensor, *, sure: float = 6.0) -> torch.Tensor:
    """(batch, 3, ...), sure of these labels."""
    return sure * nn.functional.one_hot(labels[:, 0], 3).movedim(-1, 1).float()


def loss_of(labels: torch.Tensor, batch: Batch) -> float:
    return float(supervised(make_loss("dice_ce"), [logits_for(labels)], batch))


def test_forgetting_costs_only_where_it_is_rehearsed(case: TrainingCase, taught: TrainingCase):
    plain, rehearsing = batch_of(case), batch_of(taught)
    remembered = rehearsing.labels
    forgotten = remembered.masked_fill(remembered == BASE, BACKGROUND)
    assert loss_of(forgotten, plain) == pytest.approx(loss_of(remembered, plain), abs=1e-2)
    assert loss_of(forgotten, rehearsing) > loss_of(remembered, rehearsing) + 0.1


def test_what_was_drawn_by_hand_still_counts(taught: TrainingCase):
    batch = batch_of(taught)
    missed = batch.labels.masked_fill(batch.labels == HAND, BACKGROUND)
    assert loss_of(missed, batch) > loss_of(batch.labels, batch) + 0.1


def test_many_structures_of_the_base_count_no_more_than_those_drawn_by_hand():
    labels = torch.randint(0, 2, (1, 1, 8, 8, 8), generator=torch.Generator().manual_seed(0))
    known = torch.tensor([[True, True, *[False] * 20]])
    batch = Batch(labels, labels, known, torch.tensor([[False, False, *[True] * 20]]))
    of_hand = Batch(labels, labels, known)
    logits = torch.randn(1, 22, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    loss = make_loss("dice_ce")
    added = float(supervised(loss, [logits], batch) - supervised(loss, [logits], of_hand))
    alone = float(loss(logits, torch.zeros_like(labels), torch.tensor([[True, False, *[True] * 20]])))
    assert added == pytest.approx(alone / 20, rel=1e-4)


def test_sides_are_exchanged_in_a_mirror_whoever_drew_them(taught: TrainingCase):
    mirror = Mirror.of(["Parotid_L", "Parotid_R"])
    found = [batch_of(taught, mirror=mirror, step=step) for step in range(8)]
    seen = set()
    for batch in found:
        assert batch.taught is not None
        by_hand, by_base = (int(mask[0, 1:].nonzero()) + 1 for mask in (batch.known, batch.taught))
        assert {by_hand, by_base} == {HAND, BASE}
        assert int((batch.labels == by_hand).sum()) == int((taught.label == HAND).sum())
        seen.add(by_hand)
    assert seen == {HAND, BASE}
