"""`MODEL_CARD.md`: the model described for a person who is asked to use it."""

from __future__ import annotations

from HQCSegmentLib.bundle.manifest import Manifest

METHODS = {
    "qpg": "Quantum Parameter Generation (circuits in training only; the model is an ordinary network)",
    "full": "classical training of all weights",
}


def model_card(manifest: Manifest) -> str:
    """Markdown text."""
    training, network = manifest.training, manifest.network
    start = "fine-tuned from a base model" if training.from_base else "trained from a random initialisation"
    made = [
        f"- {start[0].upper() + start[1:]} on {training.cases} case(s), {training.steps} steps, seed {training.seed}.",
        f"- Method: {METHODS.get(training.method, training.method)}.",
        f"- {training.trainable_numbers:,} of {training.network_numbers:,} numbers were trained.",
    ]
    if manifest.members > 1:
        made.append(f"- Ensemble: the scores of {manifest.members} networks of this kind are averaged.")
    if training.method == "imported":
        made = ["- Imported from a model of another tool, which was trained there: see what its makers say of it."]
    rows = [
        f"| {structure.value} | {structure.name} | {structure.interpreted_type or '-'} | "
        f"{_dice(training.held_out_dice.get(structure.name))} |"
        for structure in manifest.labels
    ]
    spacing = " x ".join(f"{value:g}" for value in manifest.preprocessing.spacing)
    return "\n".join(
        [
            "# Segmentation model",
            "",
            f"**{manifest.notice}**",
            "",
            "## What it does",
            "",
            f"Labels {len(manifest.labels)} structure(s) in {_images(manifest)} "
            f"with the MONAI network `{network.name}` ({_dimensions(manifest)}), working at {spacing} mm.",
            "",
            "| value | structure | type | held-out Dice |",
            "|---|---|---|---|",
            *rows,
            "",
            "## How it was made",
            "",
            *made,
            *([f"- {described}"] if (described := describe_postprocessing(manifest)) else []),
            f"- Written by HQCSegment {manifest.software}.",
            "",
            "## What to know before use",
            "",
            "- Held-out Dice comes from few cases of the same hospital; other scanners and protocols can be worse.",
            "- Every contour must be checked and corrected by a qualified person before it is used for anything.",
            "",
        ]
    )


def describe_postprocessing(manifest: Manifest) -> str:
    """What is done after the network, by which cases it was chosen, and what it adds; empty if nothing is done."""
    if not manifest.postprocessing:
        return ""
    gain = manifest.training.postprocessing_gain
    told = ", ".join(f"{name} ({gain[name]:+.3f})" if name in gain else name for name in manifest.postprocessing)
    if not gain:
        return f"Post-processing is done for {told}."
    cases = "the held-out cases" if manifest.training.held_out_dice else "the held-out cases of all folds"
    return (
        f"Post-processing is done for {told}. It was chosen by {cases}, and all Dice told here are without it; in "
        "brackets what it adds where each case gets the steps that the others chose."
    )


def _dimensions(manifest: Manifest) -> str:
    """How much of an image the network sees at once."""
    slices = manifest.inference.slices
    return f"{manifest.network.dims}D" if slices == 1 else f"2.5D: it labels a slice and sees {slices} at once"


def _images(manifest: Manifest) -> str:
    """What the model looks at, in words."""
    channels = manifest.fingerprint.channels
    if len(channels) == 1:
        return "a CT" if channels[0].hounsfield else "a volume"
    return f"{len(channels)} images of a patient ({', '.join(channel.name for channel in channels)}, in this order)"


def _dice(value: float | None) -> str:
    return "not measured" if value is None else f"{value:.3f}"
