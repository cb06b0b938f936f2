"""A network as an ONNX model, for engines and for other tools."""

from __future__ import annotations

import io
import warnings

import torch
from torch import Tensor, nn

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.networks.forward import logits


class SimplyCalled(nn.Module):
    """A network that answers with one tensor: its logits."""

    def __init__(self, network: nn.Module) -> None:
        """Of any network of the catalogue, which is kept as it is."""
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits (batch, structures + 1, ...) of images (batch, channels, ...)."""
        return logits(self.network, images)


def onnx_model(network: nn.Module, example: Tensor, *, names: tuple[str, str] = ("images", "logits")) -> bytes:
    """The network as ONNX, for any batch of images of one size.

    Args:
        network: In evaluation mode, on the CPU.
        example: Images (batch, channels, ...) of that size.
        names: Of input and output.

    Raises:
        InputError: if the network holds something that ONNX cannot express (SwinUNETR's normalisation).
        ImportError: if the package onnx is not installed.
    """
    import onnx  # noqa: F401 (torch writes with it)

    buffer = io.BytesIO()
    images, scores = names
    with warnings.catch_warnings():
        # The exporter that needs no further package is called deprecated; the other one does no better.
        warnings.simplefilter("ignore")
        try:
            torch.onnx.export(
                SimplyCalled(network),
                (example,),
                buffer,  # type: ignore[arg-type]  # a file in memory too, for this exporter
                input_names=[images],
                output_names=[scores],
                opset_version=17,
                dynamic_axes={images: {0: "batch"}, scores: {0: "batch"}},
                dynamo=False,
            )
        except torch.onnx.errors.OnnxExporterError as error:
            name = type(network).__name__
            msg = f"the network {name} cannot be written as ONNX; use PyTorch for it (--engine torch)."
            raise InputError(msg) from error
    return buffer.getvalue()
