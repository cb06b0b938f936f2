"""The whole way on made-up patients: train at one hospital, fine-tune at another, contour unseen patients there."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from HQCSegmentLib.bundle import RESEARCH_USE, Bundle
from HQCSegmentLib.cohort import Cohort
from HQCSegmentLib.demo.cohort import write_cohort
from HQCSegmentLib.demo.hospital import HOSPITAL_A, HOSPITAL_B
from HQCSegmentLib.devices import choose_device
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.evaluation.figures import contour_figure
from HQCSegmentLib.evaluation.metrics import dice_per_structure
from HQCSegmentLib.evaluation.pictures import data_url, png
from HQCSegmentLib.evaluation.templates import render
from HQCSegmentLib.files import write_json, write_text
from HQCSegmentLib.imaging import Segmentation
from HQCSegmentLib.inference import segment
from HQCSegmentLib.planning.output import OutputFormat, write_segmentation
from HQCSegmentLib.training import TrainConfig, finetune
from HQCSegmentLib.training.events import OnEvent

MARK = ".hqcsegment-demo"
"""File that tells a folder of the demo from one with somebody's work in it."""

BASE_PATIENTS, LOCAL_PATIENTS, UNSEEN_PATIENTS = 8, 4, 3


@dataclass(frozen=True)
class DemoResult:
    """What the demo found.

    Attributes:
        before: Mean Dice per structure of the base model on the unseen patients of hospital B.
        after: The same after fine-tuning.
        trainable_numbers: Numbers trained in fine-tuning.
        network_numbers: Numbers of the network.
        report: `report.html`.
        results: Folder of the contours.
    """

    before: dict[str, float]
    after: dict[str, float]
    trainable_numbers: int
    network_numbers: int
    report: Path
    results: Path


def run_demo(
    out: Path,
    *,
    base_steps: int = 260,
    steps: int = 200,
    seed: int = 0,
    device: str = "auto",
    say: Callable[[str], None] = lambda _: None,
    training: Callable[[str], Any] | None = None,
) -> DemoResult:
    """Run everything once.

    Args:
        out: Folder for everything; a folder of an earlier demo is replaced.
        base_steps: Training steps of the base model.
        steps: Training steps of the fine-tuning.
        seed: Of all random draws, the patients among them.
        device: Where to compute.
        say: Told what is done, in words.
        training: Makes a context that takes the events of a training with the given title.

    Raises:
        InputError: if `out` holds something else, or there is no such device.
    """
    training = training or _silent
    choose_device(device)
    make_patients(out, seed=seed, say=say)

    common: dict[str, Any] = {"seed": seed, "device": device, "held_out": 0, "patch": (64, 64, 32)}
    with training("base model, hospital A") as show:
        config = TrainConfig(method="full", steps=base_steps, **common)
        cohort = Cohort.open(out / "hospital_A")
        base = finetune(cohort, config=config, out=out / "base", on_event=show, cache=False)
    with training("fine-tuning with QPG, hospital B") as show:
        config = TrainConfig(method="qpg", steps=steps, **common)
        cohort = Cohort.open(out / "hospital_B")
        tuned = finetune(cohort, base=base, config=config, out=out / "run", on_event=show, cache=False)

    say(f"Contouring {UNSEEN_PATIENTS} unseen patients of hospital B")
    unseen = Cohort.open(out / "hospital_B_unseen")
    before, after, pictures = [], [], []
    for case in unseen.cases:
        labelled = case.read(unseen.structures)
        reference = labelled.segmentation(base.manifest.labels)
        old = segment(base, labelled.image, device=device)
        new = segment(tuned, labelled.image, device=device)
        before.append(_dice(old, reference))
        after.append(_dice(new, reference))
        _write(new, out / "results", case.name)
        for title, result in (("base model", old), ("after fine-tuning", new)):
            figure = contour_figure(
                labelled.image.array,
                labelled.image.affine,
                reference.array,
                result.array,
                result.structures,
                title=f"{case.name}, synthetic phantom: {title} (solid: reference, dashed: result)",
            )
            pictures.append((f"{case.name}: {title}", png(figure)))
    return _report(out, base, tuned, _mean(before), _mean(after), pictures)


def make_patients(out: Path, *, seed: int = 0, say: Callable[[str], None] = lambda _: None) -> None:
    """Write the patients of both hospitals: `hospital_A`, `hospital_B` and `hospital_B_unseen`.

    Args:
        out: Folder; one of an earlier demo is replaced.
        seed: Of all random draws.
        say: Told what is done, in words.

    Raises:
        InputError: if `out` holds something else.
    """
    _clear(out)
    first = 1000 * (seed + 1)
    say(f"Making {BASE_PATIENTS + LOCAL_PATIENTS + UNSEEN_PATIENTS} synthetic patients as DICOM CT + RTSTRUCT")
    write_cohort(out / "hospital_A", hospital=HOSPITAL_A, seeds=range(first, first + BASE_PATIENTS))
    first += BASE_PATIENTS
    write_cohort(out / "hospital_B", hospital=HOSPITAL_B, seeds=range(first, first + LOCAL_PATIENTS))
    first += LOCAL_PATIENTS
    write_cohort(out / "hospital_B_unseen", hospital=HOSPITAL_B, seeds=range(first, first + UNSEEN_PATIENTS))


def _report(
    out: Path,
    base: Bundle,
    tuned: Bundle,
    before: dict[str, float],
    after: dict[str, float],
    pictures: list[tuple[str, bytes]],
) -> DemoResult:
    training = tuned.manifest.training
    content = {
        "notice": RESEARCH_USE,
        "dice_before": before,
        "dice_after": after,
        "trainable_numbers": training.trainable_numbers,
        "network_numbers": training.network_numbers,
    }
    write_json(out / "demo.json", content)
    html = render(
        "demo.html.j2",
        before=before,
        after=after,
        base=base.manifest.training,
        training=training,
        unseen=UNSEEN_PATIENTS,
        pictures=[(title, data_url(picture)) for title, picture in pictures],
    )
    write_text(out / "report.html", html)
    return DemoResult(
        before,
        after,
        training.trainable_numbers,
        training.network_numbers,
        out / "report.html",
        out / "results",
    )


def _write(result: Segmentation, folder: Path, name: str) -> None:
    for output in (OutputFormat.nifti, OutputFormat.rtstruct, OutputFormat.seg):
        write_segmentation(folder, name, result, output)


def _dice(result: Segmentation, reference: Segmentation) -> dict[str, float]:
    return dice_per_structure(result.array, reference.array, result.labels)


def _mean(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


def _clear(out: Path) -> None:
    """Make `out` an empty folder of the demo."""
    if out.exists() and (not out.is_dir() or (any(out.iterdir()) and not (out / MARK).is_file())):
        msg = f"{out} holds something else than an earlier demo; choose another folder with --out."
        raise InputError(msg)
    if out.exists():
        shutil.rmtree(out)
    out.mkdir(parents=True)
    write_text(out / MARK, "This folder was made by `hqcsegment demo` and is replaced by the next one.\n")


@contextmanager
def _silent(_title: str) -> Iterator[OnEvent | None]:
    yield None
