"""Training on a GPU: precisions, methods, stopping and going on."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny import write_tiny_cohort

import HQCSegmentLib as hqc
from HQCSegmentLib.errors import Interrupted
from HQCSegmentLib.networks import logits, specify
from HQCSegmentLib.training.augmentation import Mirror, augmentation
from HQCSegmentLib.training.losses import make_loss
from HQCSegmentLib.training.memory import footprint
from HQCSegmentLib.training.patches import PatchSource, TrainingCase

SETTINGS = {"patch": (16, 16, 16), "steps": 30, "batch": 2, "device": "cuda"}


def losses(run: Path) -> list[float]:
    """Loss of each step."""
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    return [event["loss"] for event in events if event["event"] == "progress"]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory) -> hqc.Cohort:
    return hqc.Cohort.open(write_tiny_cohort(tmp_path_factory.mktemp("cohort")))


@pytest.fixture(scope="module")
def base(cohort, tmp_path_factory) -> hqc.Bundle:
    config = hqc.TrainConfig(**{**SETTINGS, "method": "full", "steps": 60})
    return hqc.finetune(cohort, config=config, out=tmp_path_factory.mktemp("base") / "run")


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("method", ["full", "qpg"])
def test_the_loss_falls_in_every_precision(method: str, precision: str, cohort, tmp_path: Path):
    config = hqc.TrainConfig(**SETTINGS, method=method, precision=precision)
    hqc.finetune(cohort, config=config, out=tmp_path / "run")
    found = losses(tmp_path / "run")
    assert np.isfinite(found).all()
    assert np.mean(found[-5:]) < np.mean(found[:5])


@pytest.mark.parametrize("method", ["qpg", "lora", "randommap", "norms", "frozen", "noentangle"])
def test_every_method_fine_tunes_and_gives_a_model_that_works_on_the_cpu(method: str, cohort, base, tmp_path: Path):
    config = hqc.TrainConfig(**SETTINGS, method=method)
    model = hqc.finetune(cohort, base=base, config=config, out=tmp_path / "run")
    case = cohort.cases[0].read(cohort.structures)
    by_gpu, by_cpu = (model.segment(case.image, device=device).array for device in ("cuda", "cpu"))
    assert (by_gpu == by_cpu).mean() > 0.999


def test_the_first_losses_are_those_of_the_cpu(cohort, tmp_path: Path):
    for device in ("cpu", "cuda"):
        # From the third step on weights are replayed.
        config = hqc.TrainConfig(**{**SETTINGS, "device": device, "steps": 5}, method="qpg")
        hqc.finetune(cohort, config=config, out=tmp_path / device)
    np.testing.assert_allclose(losses(tmp_path / "cuda"), losses(tmp_path / "cpu"), rtol=0.01)


@pytest.mark.parametrize("kind", ["usual", "strong"])
@pytest.mark.parametrize("patch", [(40, 32, 24), (40, 32)])
def test_patches_are_varied_as_on_the_cpu(patch: tuple[int, ...], kind: str, gpu: torch.device):
    random = np.random.default_rng(0)
    label = np.zeros((50, 50, 50), np.uint16)
    label[10:35, 12:40, 8:30] = 1
    image = (label + random.normal(0, 0.1, label.shape)).astype(np.float32)
    case = TrainingCase.make(image[None], label, np.ones(2, np.bool_))
    by_device = []
    for device in (torch.device("cpu"), gpu):
        vary = augmentation(dims=len(patch), kind=kind, device=device)
        source = PatchSource([case], patch=patch, batch=2, seed=0, vary=vary, mirror=Mirror.of(["A"]), device=device)
        by_device.append([source.batch(step) for step in range(10)])
    for by_cpu, by_gpu in zip(*by_device, strict=True):
        assert by_gpu.images.device == gpu
        assert float((by_gpu.images.cpu() - by_cpu.images).abs().mean()) < 1e-3
        assert float((by_gpu.labels.cpu() == by_cpu.labels).float().mean()) > 0.999


@pytest.mark.parametrize("precision", ["float32", "float16"])
def test_a_stopped_run_goes_on(precision: str, cohort, tmp_path: Path):
    def stop(event: dict) -> None:
        if event["event"] == "progress" and event["step"] == 12:
            raise KeyboardInterrupt

    config = hqc.TrainConfig(**SETTINGS, method="qpg", precision=precision)
    with pytest.raises(Interrupted):
        hqc.finetune(cohort, config=config, out=tmp_path / "stopped", on_event=stop)
    hqc.finetune(cohort, config=config, out=tmp_path / "stopped", resume=True)
    hqc.finetune(cohort, config=config, out=tmp_path / "straight")
    stopped, straight = (losses(tmp_path / name) for name in ("stopped", "straight"))
    # A GPU adds up in another order from run to run.
    np.testing.assert_allclose(stopped[-5:], straight[-5:], rtol=0.1)


@pytest.mark.parametrize(
    ("network", "preset", "patch", "batch"),
    [
        ("unet", "small", (96, 96, 96), 2),
        ("unet", "medium", (96, 96, 96), 2),
        ("segresnet", "medium", (96, 96, 96), 1),
        ("swinunetr", "small", (96, 96, 96), 1),
    ],
)
def test_a_step_takes_no_more_memory_than_planned(network: str, preset: str, patch, batch: int, gpu: torch.device):
    spec = specify(network, dims=3, preset=preset, in_channels=1, out_channels=8)
    predicted = footprint(spec).bytes_of_step(patch=patch, batch=batch)
    built = spec.build_seeded(0).to(gpu)
    optimizer = torch.optim.AdamW(built.parameters())
    images = torch.randn(batch, 1, *patch, device=gpu)
    labels = torch.randint(0, 8, (batch, 1, *patch), device=gpu)
    known = torch.ones(batch, 8, dtype=torch.bool, device=gpu)
    # What earlier tests left is in parts of blocks that this one may fill.
    before = torch.cuda.memory_reserved(gpu)
    torch.cuda.reset_peak_memory_stats(gpu)
    for _ in range(3):
        optimizer.zero_grad()
        make_loss("dice_ce")(logits(built, images), labels, known).backward()
        optimizer.step()
    used = torch.cuda.max_memory_reserved(gpu) - before
    print(f"{network} {preset}: {predicted / 2**30:.2f} GiB predicted, {used / 2**30:.2f} GiB used")
    assert used < predicted
