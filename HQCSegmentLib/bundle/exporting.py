"""A bundle for other tools: as a MONAI bundle, as TorchScript, or as ONNX.

Only the network goes into TorchScript and ONNX: preparing images and putting windows together stays with the tool that
uses them. What it has to do is written beside the file, and in the MONAI bundle as its transforms.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from HQCSegmentLib.bundle.bundle import Bundle
from HQCSegmentLib.bundle.manifest import RESEARCH_USE, Manifest, monai_metadata
from HQCSegmentLib.bundle.model_card import model_card
from HQCSegmentLib.cohort.preprocessing import IMAGE_PERCENTILES
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import replacing, replacing_folder, write_json, write_text
from HQCSegmentLib.networks import NETWORKS

if TYPE_CHECKING:
    from torch import Tensor, nn

Target = Literal["monai", "torchscript", "onnx"]


def export(bundle: Bundle, target: Target, out: Path) -> Path:
    """Write a bundle in another form.

    Args:
        bundle: The model.
        target: monai: a folder; torchscript, onnx: a file, and `<name>.json` beside it.
        out: Where to write.

    Raises:
        InputError: if something is in the way, or a package for the form is missing.
    """
    if out.exists():
        msg = f"{out} is there already; choose another place."
        raise InputError(msg)
    if target == "monai":
        return _to_monai(bundle, out)
    network, example = bundle.build(), _example(bundle.manifest)
    with replacing(out) as temporary:
        (_to_torchscript if target == "torchscript" else _to_onnx)(network, example, temporary)
    write_json(out.with_name(out.name + ".json"), _about(bundle.manifest))
    return out


def _example(manifest: Manifest) -> Tensor:
    import torch

    return torch.zeros((1, manifest.network.in_channels, *manifest.inference.window))


def _to_torchscript(network: nn.Module, example: Tensor, path: Path) -> None:
    import torch

    from HQCSegmentLib.networks.onnx_model import SimplyCalled

    with torch.inference_mode(), warnings.catch_warnings():
        # Tracing warns of checks of sizes in the network, which hold for windows of this size.
        warnings.simplefilter("ignore")
        traced = torch.jit.trace(SimplyCalled(network).eval(), example)
    # Through a stream: PyTorch makes an archive's inner name of a path, and of one without an extension none.
    with path.open("wb") as stream:
        torch.jit.save(traced, stream)


def _to_onnx(network: nn.Module, example: Tensor, path: Path) -> None:
    from HQCSegmentLib.networks.onnx_model import onnx_model

    try:
        path.write_bytes(onnx_model(network, example))
    except ImportError as error:
        msg = "the package onnx is not installed; install it with: pip install 'hqcsegment[export]'."
        raise InputError(msg) from error


def _about(manifest: Manifest) -> dict[str, Any]:
    """What a program must do around the network."""
    axes, slices = "R, A, S" if manifest.network.dims == 3 else "R, A", manifest.inference.slices
    seen = "" if manifest.network.dims == 3 else ", of one slice across S"
    if slices > 1:
        seen = f", of {slices} slices across S for the one in the middle; outside the image the outermost is repeated"
    return {
        "notice": RESEARCH_USE,
        "input": f"images (batch, inputs, {axes}), float32, axes nearest to RAS, prepared as below{seen}",
        "inputs": list(manifest.inputs),
        "output": f"logits (batch, structures + 1, {axes}), 0 background; the highest wins",
        "labels": [one.model_dump(mode="json") for one in manifest.labels],
        "preprocessing": manifest.preprocessing.model_dump(mode="json"),
        "percentiles_of_zscore": list(IMAGE_PERCENTILES),
        "inference": manifest.inference.model_dump(mode="json"),
    }


def _to_monai(bundle: Bundle, out: Path) -> Path:
    """A folder as the MONAI bundle specification has it, run by `python -m monai.bundle run`."""
    import torch

    with replacing_folder(out) as folder:
        for name in ("configs", "models", "docs"):
            (folder / name).mkdir()
        write_json(folder / "configs" / "metadata.json", monai_metadata(bundle.manifest))
        write_json(folder / "configs" / "inference.json", _inference_config(bundle.manifest))
        torch.save(bundle.state(), folder / "models" / "model.pt")
        write_text(folder / "docs" / "README.md", model_card(bundle.manifest))
    return out


def _inference_config(manifest: Manifest) -> dict[str, Any]:
    network = manifest.network
    if network.dims == 2:
        msg = "a network for slices cannot be written as a MONAI bundle yet; export it as torchscript or onnx."
        raise InputError(msg)
    definition = {
        "_target_": NETWORKS[network.name][0],
        "spatial_dims": network.dims,
        "in_channels": network.in_channels,
        "out_channels": network.out_channels,
        **network.arguments,
    }
    keys = {"keys": "image"}
    prepared = [
        {"_target_": "LoadImaged", **keys},
        {"_target_": "EnsureChannelFirstd", **keys},
        {"_target_": "Orientationd", **keys, "axcodes": "RAS"},
        {"_target_": "Spacingd", **keys, "pixdim": list(manifest.preprocessing.spacing), "mode": "bilinear"},
        *_intensities(manifest),
        {"_target_": "EnsureTyped", **keys},
    ]
    undone = [
        {
            "_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image",
            "nearest_interp": False, "to_tensor": True,
        },
        {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
        {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir", "output_postfix": "seg"},
    ]  # fmt: skip
    return {
        "imports": ["$import glob"],
        "bundle_root": ".",
        "dataset_dir": "/data",
        "output_dir": "$@bundle_root + '/eval'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "network_def": definition,
        "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": prepared},
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': i} for i in sorted(glob.glob(@dataset_dir + '/*.nii.gz'))]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1, "num_workers": 0},
        "inferer": {
            "_target_": "SlidingWindowInferer",
            "roi_size": list(manifest.inference.window),
            "overlap": manifest.inference.overlap,
            "mode": "gaussian",
        },
        "postprocessing": {"_target_": "Compose", "transforms": undone},
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "checkpointloader": {
            "_target_": "CheckpointLoader",
            "load_path": "$@bundle_root + '/models/model.pt'",
            "load_dict": {"model": "@network"},
        },
        "initialize": ["$@checkpointloader(@evaluator)"],
        "run": ["$@evaluator.run()"],
    }


def _intensities(manifest: Manifest) -> list[dict[str, Any]]:
    """Transforms of the intensities of one image.

    Raises:
        InputError: for several images of a patient.
    """
    if manifest.network.in_channels != 1:
        msg = "a model of several images per patient cannot be written as a MONAI bundle yet; export it as torchscript."
        raise InputError(msg)
    how = _channel_settings(manifest)
    if how["normalization"] == "ct":
        low, high = how["low"], how["high"]
        return [
            {
                "_target_": "ScaleIntensityRanged", "keys": "image", "a_min": low, "a_max": high, "clip": True,
                "b_min": (low - how["mean"]) / how["deviation"], "b_max": (high - how["mean"]) / how["deviation"],
            }
        ]  # fmt: skip
    low, high = IMAGE_PERCENTILES
    return [
        {"_target_": "ClipIntensityPercentilesd", "keys": "image", "lower": low, "upper": high},
        {"_target_": "NormalizeIntensityd", "keys": "image"},
    ]


def _channel_settings(manifest: Manifest) -> dict[str, Any]:
    """How the only image of a patient is normalised."""
    settings = manifest.preprocessing.model_dump(mode="json")
    return settings["channels"][0] if "channels" in settings else settings
