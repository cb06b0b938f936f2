"""The loss: Dice and cross-entropy, with structures that a case does not have left out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceCELoss
from torch import Tensor

from HQCSegmentLib.training.losses import EVEN_AFTER, make_loss, merge_unknown, rare_weights, supervised
from HQCSegmentLib.training.patches import Batch

SIZE = (3, 4, 5)


def random_logits(batch: int = 2, outputs: int = 4, *, scale: float = 3, seed: int = 0) -> Tensor:
    return scale * torch.randn((batch, outputs, *SIZE), generator=torch.Generator().manual_seed(seed))


def random_labels(batch: int = 2, outputs: int = 4, *, seed: int = 0) -> Tensor:
    return torch.randint(outputs, (batch, 1, *SIZE), generator=torch.Generator().manual_seed(seed))


@st.composite
def known_structures(draw: st.DrawFn) -> Tensor:
    """Which of three structures each of two cases has; background is always known."""
    return torch.tensor([[True, *draw(st.tuples(*[st.booleans()] * 3))] for _ in range(2)])


@settings(max_examples=30, deadline=None)
@given(known=known_structures(), seed=st.integers(0, 1000), scale=st.sampled_from([0.1, 3.0, 50.0]))
def test_the_probability_of_unknown_structures_counts_as_background(known: Tensor, seed: int, scale: float):
    logits = random_logits(scale=scale, seed=seed)
    before, after = logits.softmax(dim=1), merge_unknown(logits, known).softmax(dim=1)
    for case in range(2):
        unknown = [output for output in range(1, 4) if not known[case, output]]
        torch.testing.assert_close(after[case, 0], before[case, [0, *unknown]].sum(dim=0), rtol=1e-5, atol=1e-6)
        for output in range(1, 4):
            expected = torch.zeros(SIZE) if output in unknown else before[case, output]
            torch.testing.assert_close(after[case, output], expected, rtol=1e-4, atol=1e-6)


def test_nothing_changes_where_all_structures_are_known():
    logits = random_logits()
    assert torch.equal(merge_unknown(logits, torch.ones((2, 4), dtype=torch.bool)), logits)


def test_a_complete_case_is_not_changed_by_an_incomplete_one_beside_it():
    logits = random_logits()
    known = torch.tensor([[True] * 4, [True, False, True, False]])
    torch.testing.assert_close(merge_unknown(logits, known)[0], logits[0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("known", [[True, False, True, True], [True, False, False, False]])
def test_the_gradient_is_finite(known: list[bool], dtype: torch.dtype):
    logits = random_logits(scale=20).to(dtype).requires_grad_()
    present = torch.tensor(known).nonzero().ravel()
    labels = present[random_labels(outputs=len(present))]
    loss = make_loss("dice_ce")(logits, labels, torch.tensor([known, known]))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(logits.grad).all()


def test_the_gradient_is_right():
    logits = random_logits(scale=1).double().requires_grad_()
    known = torch.tensor([[True, False, True, True], [True, True, True, False]])
    labels = torch.where(known[torch.arange(2)[:, None, None, None, None], random_labels()], random_labels(), 0)
    assert torch.autograd.gradcheck(lambda x: make_loss("dice_ce")(x, labels, known), logits)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_it_is_the_loss_of_monai_where_all_structures_are_known(seed: int):
    logits, labels = random_logits(seed=seed), random_labels(seed=seed)
    known = torch.ones((2, 4), dtype=torch.bool)
    expected = DiceCELoss(to_onehot_y=True, softmax=True, batch=True)(logits, labels)
    torch.testing.assert_close(make_loss("dice_ce")(logits, labels, known), expected)


def sure_of(labels: Tensor, outputs: int = 4) -> Tensor:
    """Logits that predict `labels` with near certainty."""
    hot = torch.nn.functional.one_hot(labels[:, 0], outputs).movedim(-1, 1)
    return 60.0 * hot.float()


def test_predicting_an_unknown_structure_on_background_costs_nothing():
    labels = torch.where(random_labels() == 2, 0, random_labels())
    half = torch.arange(labels.numel()).reshape(labels.shape) % 2 == 0
    predicted = torch.where((labels == 0) & half, 2, labels)
    assert (predicted == 2).any()
    compute = make_loss("dice_ce")
    without = torch.tensor([[True, True, False, True]] * 2)
    perfect = compute(sure_of(labels), labels, without)
    torch.testing.assert_close(compute(sure_of(predicted), labels, without), perfect)
    # Where the structure was drawn, the same prediction is wrong.
    assert compute(sure_of(predicted), labels, torch.ones((2, 4), dtype=torch.bool)) > perfect + 1


def test_predicting_an_unknown_structure_on_a_known_one_costs():
    labels = torch.ones((1, 1, *SIZE), dtype=torch.int64)
    known = torch.tensor([[True, True, False, True]])
    right, wrong = sure_of(labels), sure_of(torch.full_like(labels, 2))
    assert make_loss("dice_ce")(wrong, labels, known) > make_loss("dice_ce")(right, labels, known) + 1


def test_training_on_it_pushes_no_unknown_structure_away():
    logits = torch.zeros((1, 3, *SIZE), requires_grad=True)
    labels = torch.zeros((1, 1, *SIZE), dtype=torch.int64)
    make_loss("dice_ce")(logits, labels, torch.tensor([[True, True, False]])).backward()
    background, known, unknown = logits.grad[0].flatten(1).mean(dim=1)
    torch.testing.assert_close(background, unknown)
    assert unknown < 0 < known


def test_a_better_prediction_costs_less():
    labels = random_labels()
    known = torch.ones((2, 4), dtype=torch.bool)
    costs = [float(make_loss("dice_ce")(part * sure_of(labels), labels, known)) for part in (0, 0.02, 0.05, 1)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] == pytest.approx(0, abs=1e-3)


def test_a_miss_costs_more_than_a_false_voxel_with_tversky():
    """Of a small structure; of one that fills half of the image the two are the same."""
    labels = torch.zeros((1, 1, 4, 4, 32), dtype=torch.int64)
    labels[..., :2] = 1
    sure = torch.full((1, 2, 4, 4, 32), -4.0)

    def cost(wrong: slice) -> float:
        told = labels.clone()
        told[..., wrong] = 1 - told[..., wrong]
        scores = sure.clone().scatter_(1, told, 4.0)
        return float(make_loss("tversky")(scores, labels, torch.ones((1, 2), dtype=torch.bool)))

    missed, false = slice(1, 2), slice(2, 3)
    assert cost(missed) > cost(false) > cost(slice(0, 0))


def test_rare_structures_have_larger_weights():
    weights = rare_weights([10_000, 100, 0])
    assert weights.mean() == pytest.approx(1)
    assert (weights[1] / weights[0]).item() == pytest.approx(10)
    assert weights[2] == weights[1]


@pytest.mark.parametrize("kind", ["dice_ce", "dice_focal", "tversky"])
def test_weights_of_structures_count_in_every_loss(kind: str):
    labels, known = random_labels(), torch.ones((2, 4), dtype=torch.bool)
    better = random_logits()
    better.scatter_(1, torch.where(labels == 3, labels, 0), 6.0)  # right where structure 3 is

    def gain(weight: float) -> float:
        loss = make_loss(kind, weights=torch.tensor([1.0, 1.0, 1.0, weight]))  # type: ignore[arg-type]
        return float(loss(random_logits(), labels, known, 0.0) - loss(better, labels, known, 0.0))

    assert gain(5.0) > gain(1.0)


def test_outputs_of_less_depth_count_half_of_the_one_before():
    labels, known = random_labels(), torch.ones((2, 4), dtype=torch.bool)
    outputs, loss = [random_logits(seed=seed) for seed in range(3)], make_loss("dice_ce")
    one, two, three = (loss(scores, labels, known) for scores in outputs)
    batch = Batch(torch.zeros(2, 1), labels, known)
    assert supervised(loss, outputs, batch).item() == pytest.approx(float((one + two / 2 + three / 4) / 1.75))


class TestWeights:
    WEIGHTS = torch.tensor([0.1, 0.9, 1.0, 2.0])

    @staticmethod
    def losses(kind: str, weights: Tensor | None, progress: float) -> Tensor:
        return make_loss(kind, weights=weights)(
            random_logits(), random_labels(), torch.ones((2, 4), dtype=torch.bool), progress
        )

    def test_they_count_fully_at_the_beginning(self):
        expected = DiceCELoss(to_onehot_y=True, softmax=True, batch=True, weight=self.WEIGHTS)
        found = self.losses("dice_ce", self.WEIGHTS, 0)
        torch.testing.assert_close(found, expected(random_logits(), random_labels()))

    @pytest.mark.parametrize("kind", ["dice_ce", "dice_focal", "tversky"])
    def test_they_become_even_by_and_by(self, kind: str):
        even = self.losses(kind, None, 0)
        away = [abs(float(self.losses(kind, self.WEIGHTS, part) - even)) for part in (0, 0.3, EVEN_AFTER, 1)]
        assert away[0] > away[1] > away[2] == away[3] == 0
