"""Segmenting on a GPU: the CPU's result, and what happens where memory is short (a real limit, really exceeded)."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from HQCSegmentLib.cohort import Prepared, Preprocessing, prepare, restore_planes
from HQCSegmentLib.imaging import Grid, Image, Reorientation
from HQCSegmentLib.inference import winning_outputs
from HQCSegmentLib.inference.confidence import ExpectedDice
from HQCSegmentLib.inference.scorer import NetworkScorer
from HQCSegmentLib.networks import specify

WINDOW = (96, 96, 96)


@contextmanager
def little_memory(gpu: torch.device, allowed: int) -> Generator[None]:
    """This process may take so many more bytes of the GPU than it holds."""
    total = torch.cuda.get_device_properties(gpu).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved(gpu) + allowed) / total, gpu)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, gpu)


@pytest.fixture
def network(gpu: torch.device) -> torch.nn.Module:
    spec = specify("unet", dims=3, preset="small", in_channels=1, out_channels=9)
    return spec.build_seeded(0).eval().to(gpu)


def image() -> Image:
    """(160, 140, 120), smooth blobs."""
    random = np.random.default_rng(0)
    coarse = torch.from_numpy(random.normal(size=(1, 1, 20, 18, 15)))
    fine = torch.nn.functional.interpolate(coarse, size=(160, 140, 120), mode="trilinear")[0, 0]
    return Image(fine.numpy().astype(np.float32), np.diag([1.0, 1.0, 1.0, 1.0]))


PREPROCESSING = Preprocessing(spacing=(1.0, 1.0, 1.0), normalization="zscore")


def test_the_label_map_is_the_cpus(network: torch.nn.Module):
    prepared = prepare(image(), PREPROCESSING)
    by_gpu = winning_outputs(network, prepared, window=WINDOW, overlap=0.5)
    by_cpu = winning_outputs(network.cpu(), prepared, window=WINDOW, overlap=0.5)
    # A network that learned nothing is nowhere sure: half precision turns more voxels here than of a trained one.
    assert (by_gpu == by_cpu).mean() > 0.98


def test_half_precision_is_used_and_may_be_left_out(network: torch.nn.Module):
    windows = torch.randn(2, 1, *WINDOW)
    exact = NetworkScorer(network, mixed_precision=False)(windows).cpu()
    half = NetworkScorer(network)(windows).cpu()
    wanted = NetworkScorer(network.cpu())(windows)
    scale = float(wanted.abs().max())
    assert float((exact - wanted).abs().max()) < 0.01 * scale
    assert 0 < float((half - exact).abs().max()) < 0.03 * scale


def test_windows_are_taken_together_as_free_memory_allows(network: torch.nn.Module, gpu: torch.device):
    scorer = NetworkScorer(network)
    many = scorer.windows_at_a_time(WINDOW, channels=1)
    assert many > 1
    assert scorer(torch.zeros(many, 1, *WINDOW)).shape[0] == many
    assert scorer.warnings == []


def bytes_of(scorer: NetworkScorer, windows: torch.Tensor, gpu: torch.device) -> int:
    """Memory of the GPU that scoring windows takes beside what is held."""
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved(gpu)
    torch.cuda.reset_peak_memory_stats(gpu)
    scorer(windows)
    return torch.cuda.max_memory_reserved(gpu) - before


def test_a_batch_that_does_not_fit_is_halved_until_it_does(network: torch.nn.Module, gpu: torch.device):
    windows = torch.randn(16, 1, *WINDOW)
    wanted = NetworkScorer(network)(windows).cpu()
    one, all_of_them = (bytes_of(NetworkScorer(network), windows[:number], gpu) for number in (1, 16))
    with little_memory(gpu, (one + all_of_them) // 2):
        scorer = NetworkScorer(network)
        found = scorer(windows)
        again = scorer(windows)
    assert scorer.device.type == "cuda"
    assert len(scorer.warnings) == 1
    assert "fewer were taken" in scorer.warnings[0]
    # Not to the bit: with less memory cuDNN chooses other algorithms.
    for scores in (found, again):
        torch.testing.assert_close(scores.cpu(), wanted, atol=0.02 * float(wanted.abs().max()), rtol=0)


def test_where_one_window_does_not_fit_the_cpu_goes_on(network: torch.nn.Module, gpu: torch.device):
    windows = torch.randn(2, 1, *WINDOW)
    with little_memory(gpu, bytes_of(NetworkScorer(network), windows[:1], gpu) // 4):
        scorer = NetworkScorer(network)
        found = scorer(windows)
    assert scorer.device.type == "cpu"
    assert any("the CPU did the work" in sentence for sentence in scorer.warnings)
    torch.testing.assert_close(found, NetworkScorer(network.cpu())(windows), atol=1e-4, rtol=1e-4)


def test_a_whole_image_is_finished_where_memory_is_short(network: torch.nn.Module, gpu: torch.device):
    prepared = prepare(image(), PREPROCESSING)
    wanted = winning_outputs(network, prepared, window=WINDOW, overlap=0.5)
    one = bytes_of(NetworkScorer(network), torch.randn(1, 1, *WINDOW), gpu)
    for allowed in (one // 4, 2 * one):
        with little_memory(gpu, allowed):
            found = winning_outputs(network.to(gpu), prepared, window=WINDOW, overlap=0.5)
        assert (found == wanted).mean() > 0.98


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("outputs", [3, 31, 300])
def test_scores_become_the_same_label_map_and_leads_as_on_the_cpu(outputs: int, axis: int, gpu: torch.device):
    affine = np.diag([-0.9, -0.9, 1.5, 1.0])
    shape, own = (40, 36, 44), (66, 60, 44)
    prepared = Prepared(
        np.zeros((1, *shape), np.float32), Grid(shape, np.eye(4)), Grid(own, affine), Reorientation.to_ras(affine)
    )
    coarse = torch.randn(1, outputs, 5, 6, 7, generator=torch.Generator().manual_seed(0))
    scores = torch.nn.functional.interpolate(coarse, size=shape, mode="trilinear")[0]
    labels, leads = [], []
    for device in (gpu, torch.device("cpu")):
        leads.append(np.zeros(own, np.float16, order="F"))
        planes = (plane.to(device) for plane in scores.unbind(axis + 1))
        labels.append(restore_planes(planes, prepared, axis=axis, leads=leads[-1]))
    assert np.array_equal(*labels)
    assert (leads[0] >= leads[1] - 1e-3).all()


def test_certainty_is_that_of_the_cpu(gpu: torch.device):
    scores = 3 * torch.randn(9, 50, 40, 10, generator=torch.Generator().manual_seed(0))
    found = []
    for device in (gpu, torch.device("cpu")):
        expected = ExpectedDice()
        for _ in expected.watch(plane.to(device) for plane in scores.unbind(3)):
            pass
        found.append(expected.dice())
    assert found[0] == pytest.approx(found[1], abs=1e-5)
