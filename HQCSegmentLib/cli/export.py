"""hqcsegment export."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from HQCSegmentLib.cli.output import console


class Form(StrEnum):
    """What a model can be written as."""

    monai = "monai"
    torchscript = "torchscript"
    onnx = "onnx"


def export(
    bundle: Annotated[Path, typer.Argument(help="Model bundle.")],
    *,
    to: Annotated[Form, typer.Option("--to", help="monai: a folder; torchscript, onnx: a file of the network alone.")],
    out: Annotated[Path, typer.Option("--out", help="Folder or file to write.")],
) -> None:
    """Write a model for other tools.

    TorchScript and ONNX hold the network for windows of the bundle's size; a JSON file beside them says how images are
    prepared. A MONAI bundle holds that as transforms and runs with `python -m monai.bundle run`.

    Example: hqcsegment export run1/bundle --to monai --out monai_bundle
    """
    from HQCSegmentLib.bundle import Bundle
    from HQCSegmentLib.bundle.exporting import export as write

    written = write(Bundle.open(bundle), to.value, out)
    console().print(f"Research use only; not a medical device.\nWritten: {written}", markup=False)
