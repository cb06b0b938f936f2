"""How sure a network is of each structure: the Dice that its contour would have if its probabilities were true."""

from __future__ import annotations

import pytest
import torch

from HQCSegmentLib.inference.confidence import CLEAR_BACKGROUND, ExpectedDice, sums_everywhere, sums_where_near


def scores(*, planes: int = 5, structures: int = 3) -> torch.Tensor:
    """(structures + 1, 12, 10, planes), nowhere sure of the background."""
    return torch.randn(structures + 1, 12, 10, planes, generator=torch.Generator().manual_seed(0))


def test_it_is_the_soft_dice_of_the_contour_with_the_probabilities():
    of_all = scores()
    expected = ExpectedDice()
    for _ in expected.watch(of_all.unbind(3)):
        pass
    probabilities = of_all.softmax(dim=0)
    winner = of_all.argmax(dim=0)
    for index, found in enumerate(expected.dice()):
        contour = winner == index
        wanted = 2 * probabilities[index][contour].sum() / (contour.sum() + probabilities[index].sum())
        assert found == pytest.approx(float(wanted), abs=1e-5)


def test_a_structure_that_wins_nowhere_has_none():
    of_all = scores()
    of_all[2] = -50
    expected = ExpectedDice()
    expected.add(of_all)
    assert expected.dice()[2] == 0
    assert ExpectedDice().dice() == []


def test_a_gpu_adds_up_what_the_cpu_does():
    of_all = scores().flatten(1)
    # Half of the voxels are so clearly background that they do not count.
    of_all[0, :300] += 2 * CLEAR_BACKGROUND
    for mine, others in zip(sums_everywhere(of_all), sums_where_near(of_all), strict=True):
        torch.testing.assert_close(mine.double(), others.double(), rtol=1e-6, atol=0)
