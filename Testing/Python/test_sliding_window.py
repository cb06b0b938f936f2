"""A volume is scored plane by plane, and the scores are those of MONAI's sliding window over the whole of it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.inferers.utils import sliding_window_inference
from torch import Tensor, nn

from HQCSegmentLib.errors import WorkError
from HQCSegmentLib.inference.scorer import NetworkScorer, number_that_fits
from HQCSegmentLib.inference.sliding_window import planes, predict
from HQCSegmentLib.inference.windows import WindowGrid


def small_network(dims: int, *, channels: int = 2, outputs: int = 4) -> nn.Module:
    """Convolutions and a normalisation over the window, so that a score depends on all of its window."""
    conv = nn.Conv3d if dims == 3 else nn.Conv2d
    norm = nn.InstanceNorm3d if dims == 3 else nn.InstanceNorm2d
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(conv(channels, 5, 3, padding=1), norm(5), conv(5, outputs, 3, padding=1)).eval()


def by_monai(network: nn.Module, volume: Tensor, window: tuple[int, ...], overlap: float) -> Tensor:
    """Scores (structures + 1, R, A, S) of a volume of one channel by MONAI."""
    dims = len(window)
    batch = volume[None] if dims == 3 else volume.permute(3, 0, 1, 2)
    with torch.inference_mode():
        scores = sliding_window_inference(
            batch, window, 1, network, overlap=overlap, mode="gaussian", padding_mode="constant",
            cval=float(volume.min()),
        )  # fmt: skip
    assert isinstance(scores, Tensor)
    return scores[0] if dims == 3 else scores.permute(1, 2, 3, 0)


sizes = st.tuples(*[st.integers(1, 23)] * 3)
overlaps = st.sampled_from([0.0, 0.25, 0.5, 0.7])


@settings(max_examples=25, deadline=None)
@given(shape=sizes, window=st.sampled_from([(8, 8, 8), (8, 6, 10), (12, 4, 8), (8, 8)]), overlap=overlaps)
def test_scores_are_monais_up_to_rounding(shape, window, overlap: float):
    network = small_network(len(window), channels=1)
    volume = torch.from_numpy(np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32))
    torch.testing.assert_close(
        predict(network, volume, window=window, overlap=overlap), by_monai(network, volume, window, overlap),
        rtol=0, atol=3e-6,
    )  # fmt: skip


@settings(max_examples=10, deadline=None)
@given(shape=st.tuples(st.integers(16, 40), st.integers(8, 15), st.integers(8, 15)), overlap=overlaps)
def test_scores_are_monais_to_the_bit_where_windows_move_along_the_first_axis(shape, overlap: float):
    network = small_network(3, channels=1)
    volume = torch.from_numpy(np.random.default_rng(0).normal(size=(1, *shape)).astype(np.float32))
    assert WindowGrid.lay(shape, (8, 8, 8), overlap).axis == 0
    found = predict(network, volume, window=(8, 8, 8), overlap=overlap)
    assert torch.equal(found, by_monai(network, volume, (8, 8, 8), overlap))


class Counting(nn.Module):
    """Counts the windows that a network is shown."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.windows = 0

    def forward(self, images: Tensor) -> Tensor:
        self.windows += len(images)
        return self.network(images)


def test_windows_of_air_alone_are_scored_once_and_the_scores_stay_the_same():
    network = Counting(small_network(3, channels=1))
    volume = torch.full((1, 48, 24, 16), -2.0)
    volume[:, 20:28, 8:16, 4:12] = torch.randn((8, 8, 8), generator=torch.Generator().manual_seed(0))
    found = predict(network, volume, window=(8, 8, 8), overlap=0.5)
    grid = WindowGrid.lay((48, 24, 16), (8, 8, 8), 0.5)
    with_content = sum(bool((volume[0, r : r + 8, a : a + 8, s : s + 8] != -2).any()) for r, a, s in grid)
    assert network.windows == with_content + 1 < len(grid)
    assert torch.equal(found, by_monai(network.network, volume, (8, 8, 8), 0.5))


@pytest.mark.parametrize("window", [(8, 8, 8), (8, 8)])
def test_scores_do_not_depend_on_how_windows_are_grouped(window):
    volume = torch.randn((2, 21, 17, 13), generator=torch.Generator().manual_seed(0))
    grid = WindowGrid.lay((21, 17, 13), window, 0.5)
    scorer = NetworkScorer(small_network(len(window)))
    with torch.inference_mode():
        alone, *others = (
            torch.stack([p.clone() for p in planes(scorer, volume, grid, dims=len(window), window_batch=number)])
            for number in (1, 2, 5, 100)
        )
    assert all(torch.equal(alone, other) for other in others)


def test_only_as_many_planes_are_kept_as_a_window_is_long():
    """The memory of scores does not grow with the length of the volume."""
    most = {}
    for length in (64, 640):
        grid = WindowGrid.lay((12, 12, length), (8, 8, 8), 0.5)
        assert grid.axis == 2
        volume = torch.randn((1, 12, 12, length))
        kept: set[int] = set()
        with torch.inference_mode():
            for plane in planes(NetworkScorer(small_network(3, channels=1)), volume, grid):
                kept.add(plane.untyped_storage().data_ptr())
                most[length] = plane.untyped_storage().nbytes()
        assert len(kept) == 1
    assert most[64] == most[640] == 4 * 8 * 12 * 12 * 4


def test_every_window_is_told():
    told: list[tuple[int, int]] = []
    volume = torch.randn((1, 20, 9, 9))
    predict(
        small_network(3, channels=1), volume, window=(8, 8, 8), on_progress=lambda done, of: told.append((done, of))
    )
    number = len(WindowGrid.lay((20, 9, 9), (8, 8, 8), 0.5))
    assert told == [(index, number) for index in range(1, number + 1)]


class SmallMemory(nn.Module):
    """A network that runs out of memory for more than some windows, as on a device that is not the CPU."""

    def __init__(self, *, most: int, error: Exception) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.most, self.error, self.moved = most, error, False

    def forward(self, images: Tensor) -> Tensor:
        if len(images) > self.most and not self.moved:
            raise self.error
        return torch.cat([images * self.weight, -images], dim=1)

    def to(self, *arguments, **options):  # what a real device would do
        self.moved = True
        return super().to(*arguments, **options)


class ElsewhereScorer(NetworkScorer):
    """Believes its network to be on another device until it is moved: this computer has no GPU."""

    @property
    def device(self) -> torch.device:
        return torch.device("cpu" if self.network.moved else "meta")

    def _score(self, windows: Tensor) -> Tensor:
        return self.network(windows)


OUT_OF_MEMORY = [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError("DefaultCPUAllocator: not enough memory")]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["torch", "allocator"])
@pytest.mark.parametrize(("most", "said"), [(2, "fewer were taken"), (0, "the CPU did the work")])
def test_out_of_memory_takes_fewer_windows_and_then_the_cpu(error: Exception, most: int, said: str):
    scorer = ElsewhereScorer(SmallMemory(most=most, error=error))
    windows = torch.randn((7, 1, 4, 4, 4))
    for _ in range(2):
        assert torch.equal(scorer(windows), torch.cat([windows, -windows], dim=1))
    assert said in scorer.warnings[-1]
    assert len(scorer.warnings) == len(set(scorer.warnings))
    assert scorer.network.moved == (most == 0)


def test_a_computer_without_memory_for_one_window_is_told_so():
    with pytest.raises(WorkError, match="too little free memory for one window"):
        NetworkScorer(SmallMemory(most=0, error=OUT_OF_MEMORY[0]))(torch.zeros((1, 1, 4, 4, 4)))


def test_another_failure_of_the_network_stays_what_it_is():
    with pytest.raises(RuntimeError, match="sizes of tensors"):
        NetworkScorer(SmallMemory(most=0, error=RuntimeError("sizes of tensors must match")))(torch.zeros((1, 1, 4)))


def test_windows_at_a_time_follow_the_free_memory():
    assert [number_that_fits(needed=10, free=free) for free in (0, 5, 15, 30, 10**6)] == [1, 1, 1, 2, 16]
