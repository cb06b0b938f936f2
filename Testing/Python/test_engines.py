"""Other engines than PyTorch give the same contours."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.inference.engines import compiled_scorer
from HQCSegmentLib.networks import NETWORKS, logits, specify


@pytest.mark.parametrize("engine", ["onnx", "openvino"])
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", [name for name in NETWORKS if name != "swinunetr"])
def test_scores_are_those_of_pytorch_up_to_rounding(name: str, dims: int, engine):
    spec = specify(name, dims=dims, preset="small", in_channels=2, out_channels=4)
    network = spec.build_seeded(0).eval()
    side = max(16, *spec.divisors)
    window = (2 * side, side, side)[:dims]
    windows = torch.randn((3, 2, *window), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = logits(network, windows)
    found = compiled_scorer(engine, network, window=window, channels=2)(windows)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4 * float(expected.abs().max()))


def test_a_network_that_onnx_cannot_express_is_refused():
    network = specify("swinunetr", dims=2, preset="small", in_channels=1, out_channels=2).build_seeded(0).eval()
    with pytest.raises(InputError, match="SwinUNETR cannot be written as ONNX"):
        compiled_scorer("onnx", network, window=(64, 32), channels=1)


@pytest.mark.parametrize(("engine", "package"), [("onnx", "onnxruntime"), ("openvino", "openvino"), ("onnx", "onnx")])
def test_a_missing_package_is_named_with_the_way_to_get_it(monkeypatch, engine, package: str):
    monkeypatch.setitem(sys.modules, package, None)
    network = specify("unet", dims=3, preset="small", in_channels=1, out_channels=2).build_seeded(0).eval()
    with pytest.raises(InputError, match=rf"needs the package {package}.*pip install 'hqcsegment\[{engine}\]'"):
        compiled_scorer(engine, network, window=(16, 16, 16), channels=1)


def test_openvino_tells_nobody_that_it_is_used():
    """Its telemetry is never loaded, and so sends nothing."""
    code = """
import sys
from HQCSegmentLib.inference.engines import compiled_scorer
from HQCSegmentLib.networks import specify
network = specify("unet", dims=2, preset="small", in_channels=1, out_channels=2).build().eval()
compiled_scorer("openvino", network, window=(16, 16), channels=1)
print([name for name, module in sys.modules.items() if name.startswith("openvino_telemetry") and module is not None])
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"
