"""The network on a device: precision, windows at a time, and what happens when memory runs out."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from HQCSegmentLib.errors import WorkError
from HQCSegmentLib.networks import logits

MEMORY_PART = 0.7
"""Part of the free memory of a GPU that windows may fill; sums and other programs need the rest."""

MOST_WINDOWS = 16
"""More windows at a time make no GPU faster."""

MOST_VOXELS_OF_A_PAIR = 80**3
"""Voxels of a window up to which a CPU scores two at a time; two larger ones take more memory than they save time."""


@dataclass
class NetworkScorer:
    """Scores of windows by a network; on a GPU in half precision (automatic mixed precision).

    On the CPU windows are always scored in pairs (large ones one by one): PyTorch computes many layers of a single
    small window without oneDNN, which takes two to three times as long (Docs/inference.md). A batch rounds otherwise
    than a single window, but a pair as any other pair: a result does not depend on how windows are grouped. On a GPU a
    batch that does not fit is halved for good, and if one window alone does not fit, the network goes on on the CPU;
    each is said once in `warnings`.

    Attributes:
        network: In evaluation mode, on the device to work on.
        mixed_precision: Half precision where a GPU computes.
        warnings: What did not go as planned, in sentences.
    """

    network: nn.Module
    mixed_precision: bool = True
    warnings: list[str] = field(default_factory=list)
    _most: int = field(default=MOST_WINDOWS, init=False)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    @torch.inference_mode()
    def __call__(self, windows: Tensor) -> Tensor:
        """Logits (batch, structures + 1, ...) of windows (batch, channels, ...).

        Raises:
            WorkError: if a single window does not fit into the computer's memory.
        """
        while True:
            at_a_time = min(self._most, self._on_cpu(windows.shape[2:]) if self.device.type == "cpu" else len(windows))
            try:
                return self._in_parts(windows, at_a_time)
            except (torch.OutOfMemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Outside of the handler: the error keeps the memory of the failed call.
            self._make_room(at_a_time)

    def windows_at_a_time(self, window: tuple[int, ...], channels: int) -> int:
        """Windows that fit into the free memory of a GPU, found by scoring one; 1 or 2 on the CPU."""
        if self.device.type != "cuda":
            return self._on_cpu(window) if self.device.type == "cpu" else 1
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)
        before = torch.cuda.memory_allocated(self.device)
        self(torch.zeros((1, channels, *window)))
        if self.device.type != "cuda":
            return self._on_cpu(window)
        needed = torch.cuda.max_memory_allocated(self.device) - before
        free, _ = torch.cuda.mem_get_info(self.device)
        return number_that_fits(needed=needed, free=free)

    @staticmethod
    def _on_cpu(window: tuple[int, ...]) -> int:
        return 2 if math.prod(window) <= MOST_VOXELS_OF_A_PAIR else 1

    def _in_parts(self, windows: Tensor, at_a_time: int) -> Tensor:
        if len(windows) <= at_a_time:
            return self._part(windows, at_a_time)
        scores: Tensor | None = None
        for start in range(0, len(windows), at_a_time):
            part = self._part(windows[start : start + at_a_time], at_a_time)
            if scores is None:
                # Where a device was too small for all windows, it shall not hold all scores either.
                scores = torch.empty((len(windows), *part.shape[1:]))
            scores[start : start + at_a_time] = part
        assert scores is not None
        return scores

    def _part(self, windows: Tensor, at_a_time: int) -> Tensor:
        if self.device.type == "cpu" and len(windows) < at_a_time:
            # A single window is paired with itself, so that it is rounded as in any other pair.
            return self._score(torch.cat([windows, windows]))[:1]
        return self._score(windows)

    def _score(self, windows: Tensor) -> Tensor:
        device = self.device
        half = self.mixed_precision and device.type == "cuda"
        with torch.autocast(device.type, dtype=torch.float16) if half else contextlib.nullcontext():
            return logits(self.network, windows.to(device)).float()

    def _make_room(self, at_a_time: int) -> None:
        """A smaller batch, or the CPU."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        if at_a_time > 1:
            self._warn_once("The memory of the device was too small for several windows at a time; fewer were taken.")
            self._most = at_a_time // 2
            return
        if self.device.type == "cpu":
            msg = (
                "the computer has too little free memory for one window of the network; close other programs, or use a "
                "model with a smaller window or network."
            )
            raise WorkError(msg)
        self._warn_once(f"The memory of the device {self.device.type} was too small, so the CPU did the work.")
        self.network.to("cpu")
        self._most = MOST_WINDOWS

    def _warn_once(self, sentence: str) -> None:
        if sentence not in self.warnings:
            self.warnings.append(sentence)


def number_that_fits(*, needed: int, free: int) -> int:
    """Windows of `needed` bytes each that fit into `free` bytes with room to spare; at least 1."""
    return max(1, min(MOST_WINDOWS, int(MEMORY_PART * free) // max(needed, 1)))


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out; the CPU's allocator and some backends raise a plain RuntimeError."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    text = str(error).lower()
    return "out of memory" in text or "can't allocate memory" in text or "not enough memory" in text
