"""Operations of an NVIDIA GPU recorded once and replayed by one call (CUDA graphs).

To generate the weights of a network takes some hundred small operations, which a GPU finishes sooner than they are
called for one by one. What is recorded is always the same: only the numbers in the tensors change.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Compute = Callable[[], Sequence[Tensor]]


class Recorder:
    """Runs a computation as it is at first, then records it, and replays it from then on.

    On other devices than NVIDIA GPUs, and where recording fails (with a warning), it is always run as it is.
    """

    def __init__(self) -> None:
        """With nothing recorded."""
        self._key: Hashable = None
        self._recording: _Recording | None = None
        self._failed = False

    @property
    def has_recorded(self) -> bool:
        """Whether the next run of the same computation is a replay."""
        return self._recording is not None

    def run(self, compute: Compute, trained: Sequence[Tensor], *, key: Hashable) -> Sequence[Tensor]:
        """Results of a computation, valid until the next run.

        Args:
            compute: Without arguments; every tensor that it reads must stay where it is, as `key` tells.
            trained: Leaves that gradients are asked for.
            key: Changes whenever the computation is another one, or reads another tensor.

        Returns:
            What `compute` returns, differentiable by `trained`.
        """
        if self._failed or not _recordable(trained):
            return compute()
        if key != self._key:
            # The first run fills tables and chooses kernels, which cannot be recorded.
            self._key, self._recording = key, None
            return compute()
        if self._recording is None:
            try:
                self._recording = _Recording(compute, trained)
            except RuntimeError as error:
                self._failed = True
                warnings.warn(f"training goes on without CUDA graphs, slower: {error}", stacklevel=2)
                return compute()
        return self._recording.replay()


def _recordable(trained: Sequence[Tensor]) -> bool:
    """Whether tensors are on one GPU and their gradients fit into one tensor."""
    kinds = {(tensor.device, tensor.dtype) for tensor in trained}
    return len(kinds) == 1 and trained[0].device.type == "cuda"


class Branches:
    """Parts of a computation that need nothing of each other: recorded so that they may be done at the same time.

    Their way back is then recorded likewise, since autograd goes back on the streams of the way there. Without effect
    where nothing is recorded.

    Examples:
        >>> with Branches() as branches:
        ...     for part in parts:
        ...         with branches.one():
        ...             results.append(part())
    """

    def __enter__(self) -> Branches:
        """They begin after all that was asked for before."""
        recording = torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()
        self._before = torch.cuda.current_stream().record_event() if recording else None
        self._streams: list[torch.cuda.Stream] = []
        return self

    @contextmanager
    def one(self) -> Iterator[None]:
        """What is done inside is a branch."""
        if self._before is None:
            yield
            return
        self._streams.append(torch.cuda.Stream())
        self._streams[-1].wait_event(self._before)
        with torch.cuda.stream(self._streams[-1]):
            yield

    def __exit__(self, *error: object) -> None:
        """What comes later needs all of them."""
        for stream in self._streams:
            torch.cuda.current_stream().wait_stream(stream)


class _Recording:
    """A computation and its gradient, each as a graph of a GPU."""

    def __init__(self, compute: Compute, trained: Sequence[Tensor]) -> None:
        """Record; `trained` are the leaves of `compute`, all on one GPU."""
        self._trained = trained
        with ExitStack() as inside:
            inside.enter_context(torch.cuda.device(trained[0].device))
            # If recording fails, torch leaves its own stream as the current one.
            inside.enter_context(torch.cuda.stream(torch.cuda.current_stream()))
            # The backward pass is usually outside of it.
            inside.enter_context(torch.autocast("cuda", enabled=False))
            _warm_up(compute, trained)
            self._forward, self._backward = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
            # Other threads may go on with what a thread that records may not do.
            with torch.cuda.graph(self._forward, capture_error_mode="thread_local"):
                results = compute()
            differentiable = [result for result in results if result.requires_grad]
            self._by_results = [torch.empty_like(result) for result in differentiable]
            with torch.cuda.graph(self._backward, pool=self._forward.pool(), capture_error_mode="thread_local"):
                gradients = torch.autograd.grad(differentiable, trained, self._by_results, allow_unused=True)
                used = [gradient for gradient in gradients if gradient is not None]
                self._by_trained = torch.cat([gradient.flatten() for gradient in used])
        self._used = [gradient is not None for gradient in gradients]
        self._differentiable = [result.requires_grad for result in results]
        # Without what they were computed from, whose memory belongs to the graphs now.
        self._results = [result.detach() for result in results]

    def replay(self) -> list[Tensor]:
        """Results of the computation with the present numbers."""
        replayed = iter(_Replayed.apply(self, *self._trained))
        pairs = zip(self._results, self._differentiable, strict=True)
        return [next(replayed) if differentiable else result for result, differentiable in pairs]

    def forward(self) -> tuple[Tensor, ...]:
        """The differentiable results."""
        self._forward.replay()
        pairs = zip(self._results, self._differentiable, strict=True)
        return tuple(result.detach() for result, differentiable in pairs if differentiable)

    def backward(self, by_results: Sequence[Tensor]) -> list[Tensor | None]:
        """Gradients by what is trained; None where nothing depends on it."""
        torch._foreach_copy_(self._by_results, list(by_results))
        self._backward.replay()
        sizes = [tensor.numel() for tensor, used in zip(self._trained, self._used, strict=True) if used]
        # A copy: they are kept beyond the next replay.
        parts = iter(self._by_trained.clone().split(sizes))
        pairs = zip(self._trained, self._used, strict=True)
        return [next(parts).view_as(tensor) if used else None for tensor, used in pairs]


class _Replayed(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, recording: _Recording, *trained: Tensor) -> tuple[Tensor, ...]:
        ctx.recording = recording
        return recording.forward()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *by_results: Tensor) -> tuple[Any, ...]:
        return None, *ctx.recording.backward(by_results)


def _warm_up(compute: Compute, trained: Sequence[Tensor]) -> None:
    """Run on a stream that is not the usual one, as recording is: libraries take memory for every stream."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        results = [result for result in compute() if result.requires_grad]
        torch.autograd.grad(results, trained, [torch.zeros_like(result) for result in results], allow_unused=True)
    torch.cuda.current_stream().wait_stream(stream)
