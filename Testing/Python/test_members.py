"""Ensembles and mirrored images: averages, exchanged sides, and how far members agree."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from HQCSegmentLib.imaging import Structure
from HQCSegmentLib.inference.confidence import ExpectedDice
from HQCSegmentLib.inference.members import Average, Mirrored, mirrored_outputs


def structures(*names: str) -> list[Structure]:
    return [Structure(value=value, name=name) for value, name in enumerate(names, start=1)]


@pytest.mark.parametrize(
    ("names", "outputs"),
    [
        (("SpinalCord", "Parotid_L", "Parotid_R"), (0, 1, 3, 2)),
        (("Brainstem",), (0, 1)),
        (("Kidney_R", "Liver", "Lung_L", "Kidney_L", "Lung_R"), (0, 4, 2, 5, 1, 3)),
        (("Parotid_L", "Brainstem"), None),
    ],
)
def test_structures_of_a_side_become_their_partner_in_a_mirror(names, outputs):
    assert mirrored_outputs(structures(*names)) == outputs


def by_place(windows: Tensor) -> Tensor:
    """Scores of a network that knows left from right: output 1 where R is small, output 2 where it is large."""
    place = torch.arange(windows.shape[2]).reshape(1, 1, -1, *[1] * (windows.ndim - 3)).expand_as(windows)
    middle = (windows.shape[2] - 1) / 2
    return torch.cat([torch.zeros_like(windows), windows * (middle - place), windows * (place - middle)], dim=1)


@pytest.mark.parametrize("shape", [(2, 1, 6, 4, 4), (2, 1, 6, 4)])
def test_a_mirrored_image_gives_the_same_scores_where_the_network_is_symmetric(shape):
    windows = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(Mirrored(by_place, (0, 2, 1))(windows), by_place(windows))
    # Without the exchange left would be taken for right.
    assert not torch.allclose(Mirrored(by_place, (0, 1, 2))(windows), by_place(windows))


def test_an_average_is_the_mean_of_the_scores():
    windows = torch.randn((1, 1, 6, 4, 4), generator=torch.Generator().manual_seed(0))
    average = Average([by_place, lambda inputs: 3 * by_place(inputs)])
    torch.testing.assert_close(average(windows), 2 * by_place(windows))


def test_one_member_alone_is_not_changed_and_agrees_with_nobody():
    windows = torch.randn((1, 1, 6, 4, 4))
    average = Average([by_place])
    assert torch.equal(average(windows), by_place(windows))
    assert average.agreement() is None


def test_agreement_is_the_dice_of_the_members_with_their_mean():
    first = torch.tensor([[0.0, 0, 0, 0], [5, 5, -1, -1]]).reshape(1, 2, 4, 1, 1)
    second = torch.tensor([[0.0, 0, 0, 0], [1, -1, -1, -1]]).reshape(1, 2, 4, 1, 1)
    average = Average([lambda _: first, lambda _: second])
    average(torch.zeros((1, 1, 4, 1, 1)))
    # The mean chooses 1 twice, the first member too, the second once: (2*2 + 2*1) / (2+2 + 1+2).
    assert average.agreement() == pytest.approx([(2 * 2 + 2 * 2) / (2 + 2 + 3 + 2), 6 / 7])


class TestExpectedDice:
    def test_a_sure_network_expects_1(self):
        scores = torch.full((3, 4, 4), -20.0)
        scores[0], scores[1, 1:3, 1:3] = 0, 20
        expected = ExpectedDice()
        list(expected.watch([scores, scores]))
        assert expected.dice()[1] == pytest.approx(1, abs=1e-6)
        assert expected.dice()[2] == 0

    def test_it_is_the_soft_dice_of_the_contour(self):
        scores = torch.randn((4, 30, 30), generator=torch.Generator().manual_seed(0)).double()
        expected = ExpectedDice()
        expected.add(scores[:, :10])
        expected.add(scores[:, 10:])
        probabilities, winner = scores.softmax(dim=0), scores.argmax(dim=0)
        for index in range(4):
            inside = winner == index
            soft = 2 * probabilities[index][inside].sum() / (inside.sum() + probabilities[index].sum())
            assert expected.dice()[index] == pytest.approx(float(soft), abs=1e-6)

    def test_less_sure_is_less(self):
        scores = torch.randn((3, 30, 30), generator=torch.Generator().manual_seed(0))
        values = []
        for factor in (1, 3, 9):
            expected = ExpectedDice()
            expected.add(factor * scores)
            values.append(expected.dice()[1])
        assert values == sorted(values)
        assert values[0] < 0.7 < values[2]
