"""On a Mac's graphics processor: nothing asks for what Apple's MPS does not have, and a run is that of the CPU.

Computed on a stand-in for MPS (`apple_stand_in.py`), not on MPS. Registering it changes PyTorch for the whole process,
so these are run by `Testing/Python/test_apple.py` in one of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from apple_stand_in import apple_device
from lightning_fabric import Fabric
from lightning_fabric.strategies import SingleDeviceStrategy
from tiny import SETTINGS as TINY
from tiny import stop_after

import HQCSegmentLib as hqc
from HQCSegmentLib import inference, qpg
from HQCSegmentLib.doctor import trials
from HQCSegmentLib.errors import Interrupted
from HQCSegmentLib.evaluation.training_report import read_events
from HQCSegmentLib.training.team import Team

SETTINGS = [
    {},
    {"depth": 2, "readout": "mapped"},
    {"ansatz": "ryrz_cz_chain", "depth": 2, "readout": "probability"},
    {"ansatz": "u3_cu3_ring", "depth": 1},
    {"coordinates": "register", "depth": 2},
    {"coordinates": "singular", "depth": 2},
    {"channel": "kernel", "depth": 2},
    {"method": "full", "loss": "dice_focal", "class_weights": "rare", "micro_batches": 2},
    {"method": "lora"},
    {"method": "randommap"},
    {"network": "unetpp", "dims": 2, "patch": (32, 32), "depth": 2},
]


@contextmanager
def computing_there() -> Iterator[None]:
    """Everything that asks for a device is given the stand-in."""
    with apple_device() as device, pytest.MonkeyPatch.context() as patch:
        for module in ("HQCSegmentLib.devices", "HQCSegmentLib.inference.segmenting"):
            patch.setattr(f"{module}.choose_device", lambda name: device)
        team = Team(Fabric(accelerator="cpu", strategy=SingleDeviceStrategy(device)))
        patch.setattr(Team, "gather", lambda **asked: team)
        yield


def finetuned(cohort: Path, out: Path, **settings: Any) -> hqc.Bundle:
    config = hqc.TrainConfig(**{"steps": 2, "held_out": 1, **TINY, "augment": True, **settings})
    hqc.finetune(hqc.Cohort.open(cohort), config=config, out=out)
    return hqc.Bundle.open(out / "bundle")


class TestTheStandIn:
    """Without these a run on it would show nothing."""

    def test_refuses_double_precision(self, apple: torch.device):
        with pytest.raises(TypeError, match="float64"):
            torch.zeros(2, device=apple).double()
        with pytest.raises(TypeError, match="float64"):
            torch.zeros(2, dtype=torch.float64).to(apple)

    def test_refuses_what_has_no_kernel(self, apple: torch.device):
        with pytest.raises(NotImplementedError, match="_linalg_svd"):
            torch.linalg.svdvals(torch.eye(2, device=apple))

    def test_refuses_tensors_of_the_cpu_among_its_own(self, apple: torch.device):
        with pytest.raises(RuntimeError, match="same device"):
            torch.ones(2, device=apple) + torch.ones(2)

    def test_computes_values_and_gradients(self, apple: torch.device):
        factors = torch.tensor([1.0, 2.0], device=apple, requires_grad=True)
        (factors.square().sum() * 3).backward()
        assert factors.grad.device.type == apple.type
        assert factors.grad.cpu().tolist() == [6.0, 12.0]


@pytest.mark.parametrize(
    "config",
    [
        qpg.QPGConfig(),
        qpg.QPGConfig(coordinates="register"),
        qpg.QPGConfig(coordinates="singular"),
        qpg.QPGConfig(readout="mapped"),
        qpg.QPGConfig(channel="kernel", ansatz="u3_cu3_ring"),
        qpg.LoRAConfig(),
        qpg.RandomMapConfig(),
    ],
)
def test_a_network_that_is_there_already_is_given_updates(config: qpg.MethodConfig, apple: torch.device):
    network = torch.nn.Sequential(torch.nn.Conv2d(8, 12, 3), torch.nn.ConvTranspose2d(12, 3, 2)).to(apple)
    qpg.inject(network, config)
    with qpg.accumulation(network):
        network(torch.randn(1, 8, 6, 6).to(apple)).square().mean().backward()
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert all(parameter.grad.device.type == apple.type for parameter in trained)


def losses(run: Path) -> list[float]:
    return [event["loss"] for event in read_events(run / "events.jsonl") if event["event"] == "progress"]


@pytest.mark.parametrize(
    "settings", SETTINGS, ids=lambda one: ",".join(f"{k}={v}" for k, v in one.items()) or "default"
)
def test_a_run_there_is_that_of_the_cpu(settings: dict[str, Any], tiny_cohort: Path, tmp_path: Path):
    wanted = finetuned(tiny_cohort, tmp_path / "cpu", **settings)
    with computing_there():
        found = finetuned(tiny_cohort, tmp_path / "apple", **settings)
    assert losses(tmp_path / "apple") == pytest.approx(losses(tmp_path / "cpu"), abs=2e-5)
    assert found.manifest.training.held_out_dice == pytest.approx(wanted.manifest.training.held_out_dice, abs=1e-3)


def test_fine_tuning_goes_on_there_after_a_stop(tiny_cohort: Path, tiny_bundle: Path, tmp_path: Path):
    settings = {**TINY, "steps": 3, "held_out": 1}
    asked = {"base": hqc.Bundle.open(tiny_bundle), "config": hqc.TrainConfig(**settings)}
    cohort = hqc.Cohort.open(tiny_cohort)
    hqc.finetune(cohort, out=tmp_path / "whole", **asked)
    with computing_there():
        with pytest.raises(Interrupted):
            hqc.finetune(cohort, out=tmp_path / "run", on_event=stop_after(2), **asked)
        hqc.finetune(cohort, out=tmp_path / "run", resume=True, **asked)
    assert losses(tmp_path / "run") == pytest.approx(losses(tmp_path / "whole"), abs=2e-5)


@pytest.mark.parametrize("quality", ["fast", "standard", "best"])
def test_contours_made_there_are_those_of_the_cpu(quality: str, tiny_cohort: Path, tiny_bundle: Path):
    image = tiny_cohort / "images" / "patient0.nii.gz"
    config = inference.SegmentConfig(quality=quality)
    wanted = inference.segment(hqc.Bundle.open(tiny_bundle), image, device="cpu", config=config)
    with computing_there():
        found = inference.segment(hqc.Bundle.open(tiny_bundle), image, device="mps", config=config)
    assert found.warnings == wanted.warnings
    assert np.mean(found.array == wanted.array) > 0.9999


def test_the_doctor_tries_it(apple: torch.device):
    assert trials.device_trial(apple.type, like=trials.training_step("cpu")).state == "good"


def test_the_doctor_says_when_it_computes_otherwise(apple: torch.device):
    wrong = trials.Step(seconds=1.0, gradient=2 * trials.training_step("cpu").gradient)
    found = trials.device_trial(apple.type, like=wrong)
    assert found.state == "note"
    assert "differ" in found.found
    assert "--device cpu" in found.advice
