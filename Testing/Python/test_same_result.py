"""A result does not depend on how the work is cut into pieces, nor on what was segmented before."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import HQCSegmentLib as hqc
from HQCSegmentLib.cohort.restoring import outlines
from HQCSegmentLib.inference import segmenting
from HQCSegmentLib.inference.scorer import NetworkScorer

AFFINE = np.diag([1.0, 1.0, 2.0, 1.0])


@pytest.fixture
def bundle(tiny, tmp_path: Path) -> hqc.Bundle:
    """Many small windows, at another spacing than the images have, so that outlines are interpolated."""
    folder = tiny.write_threshold_bundle(
        tmp_path / "model", names=("Ball", "Cube"), above=(30, 90), floor=-100, spacing=(1.4, 1.2, 1.7)
    )
    content = json.loads((folder / "bundle.json").read_text())
    content["inference"]["window"] = [8, 8, 8]
    (folder / "bundle.json").write_text(json.dumps(content))
    return hqc.Bundle.open(folder)


def image(tiny, seed: int) -> tuple[np.ndarray, np.ndarray]:
    return tiny.tiny_patient(seed)[0], AFFINE


@pytest.mark.parametrize("number", [2, 5, 100])
def test_windows_at_a_time(bundle: hqc.Bundle, tiny, monkeypatch: pytest.MonkeyPatch, number: int):
    alone = bundle.segment(image(tiny, 0))
    monkeypatch.setattr(NetworkScorer, "windows_at_a_time", lambda *_: number)
    together = bundle.segment(image(tiny, 0))
    assert np.array_equal(together.array, alone.array)
    assert together.confidence == alone.confidence


@pytest.mark.parametrize("size", [1, 100])
def test_voxels_interpolated_at_a_time(bundle: hqc.Bundle, tiny, monkeypatch: pytest.MonkeyPatch, size: int):
    expected = bundle.segment(image(tiny, 0)).array
    monkeypatch.setattr(outlines, "SCORES_AT_ONCE", size)
    assert np.array_equal(bundle.segment(image(tiny, 0)).array, expected)


def test_images_before_and_after(bundle: hqc.Bundle, tiny):
    one_by_one = [hqc.Bundle.open(bundle.path).segment(image(tiny, seed)) for seed in (0, 1)]
    in_a_row = [bundle.segment(image(tiny, seed)) for seed in (0, 1, 0)]
    for expected, found in zip([*one_by_one, one_by_one[0]], in_a_row, strict=True):
        assert np.array_equal(found.array, expected.array)
        assert found.warnings == expected.warnings


class SmallDevice(nn.Module):
    """A network on a device that has room for few windows, until it is moved to the CPU."""

    def __init__(self, network: nn.Module, most: int) -> None:
        super().__init__()
        self.network, self.most, self.moved = network, most, False

    def forward(self, windows: Tensor) -> Tensor:
        if len(windows) > self.most and not self.moved:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return self.network(windows)

    def to(self, device: torch.device | str) -> SmallDevice:
        self.moved = str(device) == "cpu"
        return self


class ElsewhereScorer(NetworkScorer):
    """Takes 8 windows at a time on a device that this computer does not have."""

    @property
    def device(self) -> torch.device:
        return torch.device("cpu" if self.network.moved else "meta")

    def windows_at_a_time(self, window: tuple[int, ...], channels: int) -> int:
        return 8

    def _score(self, windows: Tensor) -> Tensor:
        return self.network(windows)


@pytest.mark.parametrize(
    ("most", "said"), [(3, ["fewer were taken"]), (0, ["fewer were taken", "the CPU did the work"])]
)
def test_a_device_without_memory(bundle: hqc.Bundle, tiny, monkeypatch: pytest.MonkeyPatch, most: int, said: list[str]):
    """The whole way from `segment`: smaller batches first, then the CPU, with a sentence each."""
    expected = bundle.segment(image(tiny, 0))
    monkeypatch.setitem(bundle.__dict__, "networks", (SmallDevice(bundle.networks[0], most),))
    monkeypatch.setattr(segmenting, "choose_device", lambda _: torch.device("meta"))
    monkeypatch.setattr(segmenting, "NetworkScorer", ElsewhereScorer)
    found = bundle.segment(image(tiny, 0))
    assert np.array_equal(found.array, expected.array)
    new = [sentence for sentence in found.warnings if sentence not in expected.warnings]
    assert len(new) == len(said)
    assert all(part in sentence for part, sentence in zip(said, new, strict=True))
