"""Models for other tools: what they compute with them is what ours computes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import run

import HQCSegmentLib as hqc
from HQCSegmentLib.bundle.exporting import export
from HQCSegmentLib.bundle.importing import import_monai_bundle
from HQCSegmentLib.bundle.importing.preparation import recognise
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.imaging import write_array
from HQCSegmentLib.networks import logits


@pytest.fixture
def ct_model(tiny, tmp_path: Path) -> hqc.Bundle:
    path = tiny.write_threshold_bundle(
        tmp_path / "model", names=("Body", "Bone"), above=(-300, 250), floor=-1000, spacing=(2, 2, 2)
    )
    return hqc.Bundle.open(path)


def test_the_preparation_of_mr_comes_back_without_a_question(tiny_bundle: Path, tmp_path: Path):
    bundle = hqc.Bundle.open(tiny_bundle)
    assert bundle.manifest.preprocessing.channels[0].normalization == "zscore"
    export(bundle, "monai", tmp_path / "monai")
    config = json.loads((tmp_path / "monai" / "configs" / "inference.json").read_text())
    found = recognise(config, None, None)
    assert (found.spacing, found.intensities, found.notes) == (
        bundle.manifest.preprocessing.spacing, {"normalization": "zscore"}, []
    )  # fmt: skip


def test_a_monai_bundle_comes_back_as_it_was(ct_model: hqc.Bundle, tmp_path: Path):
    run("export", ct_model.path, "--to", "monai", "--out", tmp_path / "monai")
    back, _ = import_monai_bundle(tmp_path / "monai", tmp_path / "back")
    assert back.manifest.names == ct_model.manifest.names
    assert back.manifest.inference == ct_model.manifest.inference
    for name, tensor in ct_model.state().items():
        assert torch.equal(back.state()[name], tensor)
    image = np.random.default_rng(0).uniform(-1000, 1000, (20, 20, 20)).astype(np.float32)
    ours, theirs = (one.segment((image, np.diag([2, 2, 2, 1.0])), device="cpu").array for one in (ct_model, back))
    assert (ours == theirs).mean() > 0.999


@pytest.mark.slow
def test_monai_runs_the_bundle_and_contours_the_same(ct_model: hqc.Bundle, tmp_path: Path):
    """The transforms and the inferer of its configuration, as MONAI makes them."""
    from monai.bundle import ConfigParser

    export(ct_model, "monai", tmp_path / "monai")
    random = np.random.default_rng(1)
    image = np.kron(random.uniform(-1000, 1000, (4, 4, 4)), np.ones((6, 6, 6))).astype(np.float32)
    write_array(tmp_path / "image.nii.gz", image, np.diag([-2, -2, 2, 1.0]))
    parser = ConfigParser()
    parser.read_config(str(tmp_path / "monai" / "configs" / "inference.json"))
    parser["bundle_root"] = str(tmp_path / "monai")
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(tmp_path / "monai" / "models" / "model.pt", weights_only=True))
    prepared = parser.get_parsed_content("preprocessing")({"image": str(tmp_path / "image.nii.gz")})["image"]
    with torch.inference_mode():
        scores = parser.get_parsed_content("inferer")(torch.as_tensor(prepared)[None], network.eval())
    # MONAI has turned the image to RAS.
    theirs = scores.argmax(1)[0].numpy()[::-1, ::-1]
    ours = ct_model.segment(tmp_path / "image.nii.gz", device="cpu").array
    assert (ours == theirs).mean() > 0.99


@pytest.mark.slow
@pytest.mark.parametrize("name", ["network.ts", "network"])
def test_torchscript_computes_the_same(name: str, ct_model: hqc.Bundle, tmp_path: Path):
    run("export", ct_model.path, "--to", "torchscript", "--out", tmp_path / name)
    images = torch.randn(1, 1, 32, 32, 32)
    with torch.inference_mode():
        found, expected = torch.jit.load(tmp_path / name)(images), logits(ct_model.build(), images)
    torch.testing.assert_close(found, expected)
    about = json.loads((tmp_path / f"{name}.json").read_text())
    assert "Research use only" in about["notice"]
    assert [one["name"] for one in about["labels"]] == ["Body", "Bone"]


@pytest.mark.slow
def test_onnx_computes_the_same(ct_model: hqc.Bundle, tmp_path: Path):
    import onnxruntime

    export(ct_model, "onnx", tmp_path / "model.onnx")
    images = torch.randn(1, 1, 32, 32, 32)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    with torch.inference_mode():
        expected = logits(ct_model.build(), images)
    found = session.run(["logits"], {"images": images.numpy()})[0]
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-4, atol=1e-4)
    assert json.loads((tmp_path / "model.onnx.json").read_text())["inference"]["window"] == [32, 32, 32]


def test_what_is_there_is_not_replaced(ct_model: hqc.Bundle, tmp_path: Path):
    (tmp_path / "there").write_text("thesis")
    with pytest.raises(InputError, match="there already"):
        export(ct_model, "torchscript", tmp_path / "there")
    assert (tmp_path / "there").read_text() == "thesis"
