"""From a cohort to a model: learning, what a run leaves behind, stopping and going on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from monai.losses import DiceCELoss

import HQCSegmentLib as hqc
from HQCSegmentLib.errors import InputError, Interrupted
from HQCSegmentLib.training.losses import dice_cross_entropy, merge_unknown


def train(cohort: Path, out: Path, tiny, *, base=None, on_event=None, resume=False, **settings):
    config = hqc.TrainConfig(**{"steps": 3, "held_out": 1, **tiny.SETTINGS, **settings})
    return hqc.finetune(hqc.Cohort.open(cohort), base=base, config=config, out=out, on_event=on_event, resume=resume)


def weights(run: Path) -> bytes:
    return (run / "bundle" / "model.safetensors").read_bytes()


def test_a_network_learns_and_is_judged_on_the_patient_that_was_held_out(tiny_run: Path):
    dice = hqc.Bundle.open(tiny_run / "bundle").manifest.training.held_out_dice
    assert set(dice) == {"Ball", "Cube"}
    assert min(dice.values()) > 0.8


def test_a_run_leaves_model_report_settings_splits_and_events(tiny_run: Path):
    assert {path.name for path in tiny_run.iterdir()} == {
        "bundle", "report.html", "config.json", "splits.json", "events.jsonl", "checkpoints",
    }  # fmt: skip
    events = [json.loads(line) for line in (tiny_run / "events.jsonl").read_text().splitlines()]
    progress = [event for event in events if event["event"] == "progress"]
    assert [event["step"] for event in progress] == list(range(1, 61))
    assert {"step", "of", "loss", "eta_s"} <= set(progress[0])
    assert events[-1]["event"] == "done"
    splits = json.loads((tiny_run / "splits.json").read_text())
    assert len(splits["training"]) == 3
    assert len(splits["held_out"]) == 1
    assert "Research use only" in (tiny_run / "report.html").read_text()


def test_nothing_of_a_case_and_no_path_is_in_the_model(tiny_run: Path):
    for path in (tiny_run / "bundle").iterdir():
        content = path.read_bytes()
        assert b"patient0" not in content
        assert str(tiny_run.parent).encode() not in content


def test_fine_tuning_starts_at_the_base_and_trains_few_numbers(tiny_run: Path, tiny_cohort: Path, tmp_path, tiny):
    base = hqc.Bundle.open(tiny_run / "bundle")
    still = {"angle_rate": 1e-12, "scale_rate": 1e-12, "learning_rate": 1e-12}
    tuned = train(tiny_cohort, tmp_path / "run", tiny, base=base, method="qpg", steps=1, **still)
    for name, tensor in base.state().items():
        torch.testing.assert_close(tuned.state()[name], tensor, atol=1e-6, rtol=1e-5)
    summary = tuned.manifest.training
    assert summary.trainable_numbers < summary.network_numbers / 20
    assert summary.from_base


def test_qpg_lowers_the_loss_from_scratch(tiny_cohort: Path, tmp_path, tiny):
    losses = []
    train(
        tiny_cohort, tmp_path / "run", tiny, method="qpg", steps=30, held_out=0,
        on_event=lambda event: losses.append(event.get("loss")),
    )  # fmt: skip
    losses = [loss for loss in losses if loss is not None]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


@pytest.mark.slow
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("network", ["unet", "unetpp", "attentionunet", "segresnet"])
def test_every_network_trains_and_segments(tiny_cohort: Path, tmp_path, tiny, network: str, dims: int):
    side = 32 if network == "unetpp" else 16
    patch = (side,) * dims
    bundle = train(tiny_cohort, tmp_path / "run", tiny, network=network, dims=dims, patch=patch, steps=2)
    image, _ = tiny.tiny_patient(9)
    result = hqc.Bundle.open(bundle.path).segment((image, torch.eye(4).numpy()))
    assert result.array.shape == image.shape


@pytest.mark.parametrize("method", ["full", "qpg"])
def test_a_stopped_run_goes_on_to_the_same_bits(tiny_cohort: Path, tmp_path, tiny, method: str):
    settings = {"method": method, "steps": 6, "augment": True}
    train(tiny_cohort, tmp_path / "straight", tiny, **settings)

    def stop(event) -> None:
        if event.get("step") == 4 and event["event"] == "progress":
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="--resume"):
        train(tiny_cohort, tmp_path / "stopped", tiny, on_event=stop, **settings)
    assert not (tmp_path / "stopped" / "bundle").exists()
    train(tiny_cohort, tmp_path / "stopped", tiny, resume=True, **settings)
    assert weights(tmp_path / "stopped") == weights(tmp_path / "straight")


def test_the_same_seed_gives_the_same_model_and_another_seed_another(tiny_cohort: Path, tmp_path, tiny):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(tiny_cohort, tmp_path / name, tiny, seed=seed)
    assert weights(tmp_path / "a") == weights(tmp_path / "b") != weights(tmp_path / "c")


def test_a_run_is_not_overwritten_nor_continued_with_other_settings(tiny_run: Path, tiny_cohort: Path, tiny):
    before = weights(tiny_run)
    with pytest.raises(InputError, match="already holds a run"):
        train(tiny_cohort, tiny_run, tiny)
    with pytest.raises(InputError, match="other settings"):
        train(tiny_cohort, tiny_run, tiny, resume=True)
    assert weights(tiny_run) == before


def test_structures_that_the_base_does_not_know_are_refused(tiny_run: Path, tmp_path, tiny):
    cohort = tiny.write_tiny_cohort(tmp_path / "cohort", patients=2)
    (cohort / "labels.json").write_text('{"1": "Ball", "2": "Spleen"}')
    with pytest.raises(InputError, match="Spleen"):
        train(cohort, tmp_path / "run", tiny, base=tiny_run / "bundle")
    assert not (tmp_path / "run").exists()


class TestUnknownStructures:
    logits = torch.randn(2, 4, 3, 3, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.randint(0, 4, (2, 1, 3, 3, 3), generator=torch.Generator().manual_seed(1))
    known = torch.tensor([[True, True, False, True], [True, True, True, True]])

    def test_with_all_known_the_loss_is_monais(self):
        loss = dice_cross_entropy()(self.logits, self.labels, torch.ones(2, 4, dtype=torch.bool))
        assert loss == DiceCELoss(to_onehot_y=True, softmax=True, batch=True)(self.logits, self.labels)

    def test_unknown_probability_counts_as_background(self):
        before = torch.softmax(self.logits, 1)
        after = torch.softmax(merge_unknown(self.logits, self.known), 1)
        torch.testing.assert_close(after[0, 0], before[0, 0] + before[0, 2])
        torch.testing.assert_close(after[0, [1, 3]], before[0, [1, 3]])
        torch.testing.assert_close(after[1], before[1])

    def test_predicting_an_unknown_structure_on_background_costs_nothing(self):
        labels = torch.zeros(1, 1, 3, 3, 3, dtype=torch.int64)
        loss = dice_cross_entropy()
        scores = torch.zeros(1, 4, 3, 3, 3)
        scores[:, 0] = 20
        right = loss(scores, labels, self.known[:1])
        scores[:, 2] = 40
        scores.requires_grad_()
        unknown = loss(scores, labels, self.known[:1])
        assert unknown <= right
        unknown.backward()
        assert torch.isfinite(scores.grad).all()


@pytest.mark.parametrize(
    ("patch", "said"), [((16, 16, 12), "multiples of 8"), ((8, 8, 8), "at least 16"), ((16, 16), "3")]
)
def test_a_patch_that_the_network_cannot_take_is_refused(tiny_cohort: Path, tmp_path, tiny, patch, said: str):
    with pytest.raises(InputError, match=said):
        train(tiny_cohort, tmp_path / "run", tiny, patch=patch)
    assert not (tmp_path / "run").exists()
