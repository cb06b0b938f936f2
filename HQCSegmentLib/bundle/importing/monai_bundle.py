"""A MONAI bundle (https://docs.monai.io/en/stable/mb_specification.html) as a bundle of ours.

Read are its JSON files and the weights; its scripts are left alone. The network must be one of the catalogue. How
images are prepared is taken from the inference configuration where it can be said in our terms, else the user is asked.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

import HQCSegmentLib
from HQCSegmentLib.bundle.bundle import Bundle
from HQCSegmentLib.bundle.importing.expressions import NotPlain, resolve
from HQCSegmentLib.bundle.importing.preparation import Preparation, recognise
from HQCSegmentLib.bundle.manifest import Inference, TrainingSummary
from HQCSegmentLib.cohort import Fingerprint, Preprocessing
from HQCSegmentLib.errors import InputError, WorkError
from HQCSegmentLib.files import read_json
from HQCSegmentLib.naming import propose, structure_for
from HQCSegmentLib.networks import NETWORKS, NetworkSpec

if TYPE_CHECKING:
    from torch import Tensor

    from HQCSegmentLib.imaging import Structure

CONFIGS = ("inference.json", "evaluate.json", "train.json")
WEIGHTS = ("models/model.pt", "models/model.safetensors")

NOT_PASSED_ON = ("spatial_dims", "in_channels", "out_channels", "img_size", "use_checkpoint")
"""Arguments that the specification has in fields of its own, or that change nothing of the network."""

CONVERTER = Path(__file__).with_name("convert_weights.py")

MOST_SECONDS = 600


@dataclass(frozen=True)
class Answers:
    """What the user says where the bundle does not.

    Attributes:
        spacing: Along R, A, S in mm.
        intensities: (low, high) that are mapped to 0 and 1, or "zscore".
        window: Voxels of a window.
        names: Names of the structures in order of the outputs, background left out.
    """

    spacing: tuple[float, float, float] | None = None
    intensities: tuple[float, float] | str | None = None
    window: tuple[int, ...] | None = None
    names: tuple[str, ...] | None = None


def import_monai_bundle(source: Path, out: Path, answers: Answers | None = None) -> tuple[Bundle, list[str]]:
    """Make a bundle.

    Args:
        source: Folder of the MONAI bundle.
        out: Folder to write.
        answers: What the user says; it goes before what the bundle says.

    Returns:
        The bundle, and sentences on what should be known about it.

    Raises:
        InputError: if something is missing, not supported or has to be asked for, or the weights do not fit.
    """
    answers = answers or Answers()
    config, metadata = _configuration(source), _read_object(source / "configs" / "metadata.json")
    network = _network(config)
    labels = _labels(metadata, network, answers.names)
    prepared = recognise(config, answers.spacing, answers.intensities)
    window = answers.window or _window(config, metadata, network)
    state = _weights(source)
    count = sum(tensor.numel() for tensor in state.values() if tensor.is_floating_point())
    manifest = {
        "software": HQCSegmentLib.__version__,
        "network": network,
        "labels": labels,
        "preprocessing": _preprocessing(prepared, network),
        "inference": Inference(window=window, overlap=prepared.overlap),
        "fingerprint": _fingerprint(prepared, window, network),
        "training": TrainingSummary(
            method="imported", cases=0, steps=0, seed=0, trainable_numbers=0, network_numbers=count, from_base=False
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        # Tried elsewhere first, so that nothing is written if the weights do not fit.
        Bundle.write(Path(folder) / "bundle", manifest=manifest, state=state).build()
    return Bundle.write(out, manifest=manifest, state=state), [*prepared.notes, *_notes(metadata)]


def _configuration(source: Path) -> dict[str, Any]:
    for name in CONFIGS:
        if (source / "configs" / name).is_file():
            return _read_object(source / "configs" / name)
    if source.is_dir() and any((source / "configs").glob("*.y*ml")):
        msg = f"{source} has its configuration as YAML; only JSON ({', '.join(CONFIGS)}) can be read."
        raise InputError(msg)
    msg = f"{source} is no MONAI bundle: configs/{CONFIGS[0]} is missing."
    raise InputError(msg)


def _read_object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        msg = f"{path} holds no JSON object."
        raise InputError(msg)
    return content


def _network(config: dict[str, Any]) -> NetworkSpec:
    try:
        found = resolve(config, config.get("network_def", config.get("network")))
    except NotPlain as error:
        msg = f"the network of the bundle cannot be read: {error}"
        raise InputError(msg) from error
    if not isinstance(found, dict) or "_target_" not in found:
        msg = "the bundle's configuration names no network (network_def)."
        raise InputError(msg)
    wanted = str(found["_target_"]).rpartition(".")[2]
    name = next((name for name, (cls, _) in NETWORKS.items() if cls.lower() == wanted.lower()), None)
    if name is None:
        known = ", ".join(cls for cls, _ in NETWORKS.values())
        msg = f"the bundle's network is {found['_target_']}; only stock MONAI networks can be used: {known}."
        raise InputError(msg)
    arguments = {key: value for key, value in found.items() if not key.startswith("_") and key not in NOT_PASSED_ON}
    try:
        return NetworkSpec.model_validate(
            {
                "name": name,
                "dims": found.get("spatial_dims", 3),
                "in_channels": found.get("in_channels", 1),
                "out_channels": found.get("out_channels", 2),
                "arguments": arguments,
            }
        )
    except ValidationError as error:
        first = error.errors()[0]
        msg = f"the bundle's network has {'.'.join(map(str, first['loc']))} that cannot be used: {first['msg']}."
        raise InputError(msg) from error


def _labels(metadata: dict[str, Any], network: NetworkSpec, names: tuple[str, ...] | None) -> tuple[Structure, ...]:
    wanted = network.out_channels - 1
    if names is None:
        outputs = metadata.get("network_data_format", {}).get("outputs", {})
        first: Any = next(iter(outputs.values()), {}) if isinstance(outputs, dict) else {}
        channels = first.get("channel_def", {}) if isinstance(first, dict) else {}
        names = tuple(str(channels[str(index)]) for index in range(1, wanted + 1) if str(index) in channels)
    if len(names) != wanted or len(set(names)) != wanted:
        msg = f"the network has {wanted} structure(s), but {len(names)} are named; give them in order with --names."
        raise InputError(msg)
    proposals = propose(names)
    sure = [one.tg263_name if one.is_certain and one.tg263_name else one.name for one in proposals]
    final = sure if len(set(sure)) == wanted else list(names)
    return tuple(structure_for(name, value) for value, name in enumerate(final, start=1))


def _window(config: dict[str, Any], metadata: dict[str, Any], network: NetworkSpec) -> tuple[int, ...]:
    inputs = metadata.get("network_data_format", {}).get("inputs", {}).get("image", {})
    for place in (config.get("inferer", {}).get("roi_size"), inputs.get("spatial_shape")):
        try:
            sides = resolve(config, place)
        except NotPlain:
            continue
        sides = [sides] * network.dims if isinstance(sides, int) else sides
        if isinstance(sides, list) and len(sides) == network.dims and all(isinstance(one, int) for one in sides):
            return tuple(sides)
    msg = "the bundle does not say how large a window its network takes; give it with --window, such as 96,96,96."
    raise InputError(msg)


def _preprocessing(prepared: Preparation, network: NetworkSpec) -> Preprocessing:
    if network.in_channels != 1:
        msg = f"the bundle's network takes {network.in_channels} images of a patient; only one can be imported so far."
        raise InputError(msg)
    return Preprocessing.model_validate({"spacing": prepared.spacing, **prepared.intensities})


def _fingerprint(prepared: Preparation, window: tuple[int, ...], network: NetworkSpec) -> Fingerprint:
    """Of images that nobody here has seen: what the configuration lets one suppose."""
    sides = window if network.dims == 3 else (*window, window[-1])
    is_ct = prepared.intensities["normalization"] == "ct"
    return Fingerprint.model_validate(
        {
            "cases": 0,
            "median_spacing": prepared.spacing,
            "median_extent": [side * step for side, step in zip(sides, prepared.spacing, strict=True)],
            "hounsfield": is_ct,
            "foreground_low": prepared.intensities.get("low", 0.0),
            "foreground_high": prepared.intensities.get("high", 0.0),
            "foreground_mean": prepared.intensities.get("mean", 0.0),
            "foreground_deviation": prepared.intensities.get("deviation", 1.0),
        }
    )


def _weights(source: Path) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = next((source / name for name in WEIGHTS if (source / name).is_file()), None)
    if path is None:
        msg = f"{source} has no weights: {WEIGHTS[0]} is missing."
        raise InputError(msg)
    with tempfile.TemporaryDirectory() as folder:
        safe = path
        if path.suffix == ".pt":
            safe = Path(folder) / "model.safetensors"
            _convert(path, safe)
        try:
            return load_file(safe)
        except SafetensorError as error:
            msg = f"{path} cannot be read as safetensors ({error})."
            raise InputError(msg) from error


def _convert(path: Path, target: Path) -> None:
    """In a process of its own, which sees neither this program nor its environment."""
    command = [sys.executable, "-I", str(CONVERTER), str(path), str(target)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=MOST_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        msg = f"reading the weights {path} took longer than {MOST_SECONDS} s and was given up."
        raise WorkError(msg) from error
    if result.returncode != 0:
        reason = result.stderr.strip().splitlines()[-1:] or [f"the process ended with {result.returncode}"]
        msg = f"{path} cannot be read as plain weights ({reason[0].rstrip('.')})."
        raise InputError(msg)


def _notes(metadata: dict[str, Any]) -> list[str]:
    said = [str(metadata[key]).rstrip(".") for key in ("copyright", "intended_use") if metadata.get(key)]
    return [f"The bundle says: {'; '.join(said)}."] if said else []
