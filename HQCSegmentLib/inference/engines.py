"""Other programs than PyTorch that compute the network on a CPU: ONNX Runtime and OpenVINO."""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.networks.onnx_model import onnx_model

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

Engine = Literal["torch", "onnx", "openvino"]

PACKAGES: dict[Engine, str] = {"onnx": "onnxruntime", "openvino": "openvino"}


@dataclass(frozen=True)
class CompiledScorer:
    """Scores of windows by a network that another program computes, one window at a time.

    Attributes:
        run: From one window (1, channels, ...) to its logits (1, structures + 1, ...).
    """

    run: Callable[[npt.NDArray], npt.NDArray]

    def __call__(self, windows: Tensor) -> Tensor:
        """Score windows (batch, channels, ...)."""
        return torch.cat([torch.from_numpy(self.run(one[None].contiguous().numpy())) for one in windows])


def compiled_scorer(
    engine: Engine, network: nn.Module, *, window: tuple[int, ...], channels: int, threads: int | None = None
) -> CompiledScorer:
    """A network in another engine, for windows of one size.

    Args:
        engine: "onnx" or "openvino".
        network: In evaluation mode, on the CPU.
        window: Voxels of a window.
        channels: Of the image, times slices in 2.5D.
        threads: At most so many; None: as many as PyTorch uses.

    Raises:
        InputError: if the engine's package is not installed, with the command that installs it, or the network cannot
            be computed by it.
    """
    model = onnx_bytes(network, window=window, channels=channels)
    threads = threads or torch.get_num_threads()
    if engine == "onnx":
        return CompiledScorer(_by_onnxruntime(model, threads))
    return CompiledScorer(_by_openvino(model, threads))


def onnx_bytes(network: nn.Module, *, window: tuple[int, ...], channels: int) -> bytes:
    """The network as an ONNX model for one window (1, channels, ...).

    Raises:
        InputError: if the package onnx is not installed, or the network cannot be written as ONNX.
    """
    try:
        return onnx_model(network, torch.zeros((1, channels, *window)), names=("windows", "logits"))
    except ImportError as error:
        raise _missing("onnx", "onnx") from error


def _by_onnxruntime(model: bytes, threads: int) -> Callable[[npt.NDArray], npt.NDArray]:
    try:
        import onnxruntime
    except ImportError as error:
        raise _missing("onnx", "onnxruntime") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda window: session.run(None, {"windows": window})[0]


def _by_openvino(model: bytes, threads: int) -> Callable[[npt.NDArray], npt.NDArray]:
    # Its import tells Google Analytics that it was imported. Without this package it is silent; a hospital wants that.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise _missing("openvino", "openvino") from error
    core = openvino.Core()
    # Half precision, where a processor has it, is not what the network was trained in.
    settings: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    compiled = core.compile_model(core.read_model(io.BytesIO(model)), "CPU", settings)
    return lambda window: next(iter(compiled([window]).values()))


def _missing(engine: str, package: str) -> InputError:
    return InputError(
        f"the engine {engine} needs the package {package}, which is not installed; install it with: "
        f"pip install 'hqcsegment[{engine}]'."
    )
