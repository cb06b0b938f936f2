"""hqcsegment segment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from HQCSegmentLib.cli.failures import WRONG_INPUT, in_the_way, report
from HQCSegmentLib.cli.options import make, options_of, part_of
from HQCSegmentLib.cli.output import console, counting, emit_json, error_console
from HQCSegmentLib.cli.segment_options import FLAGS_OF_THEIR_OWN, SegmentOptions
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.planning.output import OutputFormat, check_source, check_value_names, write_segmentation

if TYPE_CHECKING:
    from HQCSegmentLib.bundle import Bundle
    from HQCSegmentLib.imaging import Image, Segmentation

JOINT = "+"
"""Joins the images of one patient on the command line."""

SECONDS_BETWEEN_EVENTS = 1.0


@options_of(SegmentOptions, leave_out=FLAGS_OF_THEIR_OWN)
def segment(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="Model bundle.", show_default=False)],
    inputs: Annotated[
        list[Path],
        typer.Argument(
            metavar="INPUT...",
            help="Image files or DICOM folders; several images of one patient joined by +.",
            show_default=False,
        ),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    formats: Annotated[
        list[OutputFormat] | None, typer.Option("--format", help="May be given several times (default: nifti).")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Windows overlap less: about half of the time.")] = False,
    best: Annotated[
        bool,
        typer.Option(
            "--best",
            help="Look at the image mirrored too; twice the time. Only for models that were trained with --flips.",
        ),
    ] = False,
    no_post_processing: Annotated[
        bool, typer.Option("--no-post-processing", help="Leave out what was chosen in training.")
    ] = False,
    json_events: Annotated[bool, typer.Option("--json-events", help="One JSON object a line on stdout.")] = False,
    settings: dict[str, Any],
) -> int:
    """Segment images with a model.

    Results are named after the inputs and lie in the inputs' own geometry; labels.json says what the values of label
    maps mean. A failed input does not stop the others;
    the exit code is then 2 if every failure is a wrong input, else 1.

    A model of several channels needs as many images of each patient, joined by + in the order of the channels. Results
    lie on the first; the others may have another grid in the same coordinates.

    Of a DICOM folder with several series the one of the model's modality with the most slices is taken, and said.

    Sentences beside a result tell where it is unlike the training cases or uncertain; look at these structures first.

    Example: hqcsegment segment run1/bundle patient7.nii.gz --out results --format nifti --format nrrd

    Example: hqcsegment segment cv/fold1/bundle ct_folder --ensemble cv/fold2/bundle --best --out results

    Example: hqcsegment segment petct/bundle p7_ct.nii.gz+p7_pet.nii.gz p8/CT+p8/PET --out results
    """
    from HQCSegmentLib.bundle import Bundle
    from HQCSegmentLib.devices import choose_device
    from HQCSegmentLib.inference import segment as segment_image
    from HQCSegmentLib.inference.config import SegmentConfig

    options = _options(settings, fast=fast, best=best, postprocessing=not no_post_processing)
    config = part_of(options, SegmentConfig)
    model = Bundle.open(bundle)
    members = [Bundle.open(path) for path in options.ensemble]
    choose_device(options.device)
    check_folder(out)
    chosen = list(dict.fromkeys(formats or [OutputFormat.nifti]))
    check_value_names(out, model.manifest.labels, chosen)
    names = output_names(inputs)
    failures = []
    for number, (source, name) in enumerate(zip(inputs, names, strict=True), start=1):
        notes: list[str] = []
        try:
            image = open_patient(source, name=name, model=model, on_note=notes.append)
            for kind in chosen:
                check_source(image, kind, name=str(source))
            with within_case(name, as_json=json_events) as on_progress:
                result = segment_image(
                    model, image, device=options.device, config=config, ensemble=members, on_progress=on_progress
                )
            notes += result.warnings
            written = [write_segmentation(out, name, result, kind) for kind in chosen]
        except Exception as error:
            failures.append(report(error, as_json=json_events, debug=bool(context.obj), case=name))
            continue
        if json_events:
            confidence = {structure: round(value, 3) for structure, value in result.confidence.items()}
            emit_json(
                {
                    "event": "progress", "step": number, "of": len(inputs), "case": name, "warnings": notes,
                    "confidence": confidence,
                }
            )  # fmt: skip
        else:
            found = ", ".join(f"{s.name} {volume:.1f} ml" for s, volume in volumes(result))
            console().print(
                f"{name}: {found} -> {', '.join(str(path) for path in written)}", markup=False, soft_wrap=True
            )
            for sentence in notes:
                console().print(f"  Note: {sentence}", markup=False, soft_wrap=True)
    if json_events and not failures:
        emit_json({"event": "done", "out": str(out), "cases": names})
    elif json_events and len(names) > 1:
        emit_json({"event": "error", "message": f"{len(failures)} of {len(names)} inputs could not be segmented."})
    if not failures:
        return 0
    return WRONG_INPUT if set(failures) == {WRONG_INPUT} else 1


def check_folder(out: Path) -> None:
    """Refuse a folder that cannot be made, before anything is done for it.

    Raises:
        InputError: if it, or a folder that it is to lie in, is a file.
    """
    there = next(place for place in (out.absolute(), *out.absolute().parents) if place.exists())
    if not there.is_dir():
        raise InputError(in_the_way(there))


def images_of(source: Path) -> list[Path]:
    """Images of one patient: the parts of a path that are joined by +."""
    if JOINT not in str(source) or source.exists():
        return [source]
    return [Path(part) for part in str(source).split(JOINT)]


def _options(settings: dict[str, Any], *, fast: bool, best: bool, postprocessing: bool) -> SegmentOptions:
    """Options as the user gave them.

    Raises:
        InputError: if two exclude each other, or a word is unknown.
    """
    if fast and best:
        msg = "--fast and --best exclude each other; choose one."
        raise InputError(msg)
    quality = "fast" if fast else "best" if best else "standard"
    return make(SegmentOptions, {**settings, "quality": quality, "postprocessing": postprocessing})


@contextmanager
def within_case(name: str, *, as_json: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Tells how far a case is: a bar with the time left on a terminal, or an event a second."""
    if not as_json:
        if not error_console().is_terminal:
            yield None
            return
        with counting() as show:
            yield lambda done, of: show(name, done, of)
        return
    began = last = time.monotonic()

    def tell(done: int, of: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < SECONDS_BETWEEN_EVENTS or done == of:
            return
        last = now
        left = (now - began) / done * (of - done)
        fraction = round(done / of, 4)
        emit_json({"event": "case-progress", "case": name, "fraction": fraction, "eta_s": round(left, 1)})

    yield tell


def open_patient(source: Path, *, name: str, model: Bundle, on_note: Callable[[str], None]) -> Image:
    """Image of one patient, with all channels that a model needs.

    Raises:
        InputError: if an image cannot be read, or there are not as many as channels.
    """
    from HQCSegmentLib.inference import modality_of, open_image

    manifest = model.manifest
    return open_image(
        [*images_of(source)],
        name=name,
        channels=manifest.preprocessing.names,
        modality=modality_of(manifest),
        on_note=on_note,
    )


def output_names(inputs: list[Path]) -> list[str]:
    """One name for each input: the (first) file or folder name without suffix.

    Raises:
        InputError: if two inputs would be written to the same name.
    """
    from HQCSegmentLib.imaging.image_files import image_stem

    firsts = [images_of(path)[0] for path in inputs]
    names = [image_stem(path) if path.is_file() else path.resolve().name for path in firsts]
    for name in names:
        if names.count(name) > 1:
            msg = f"two inputs are named {name!r}, so one result would replace the other; segment them separately."
            raise InputError(msg)
    return names


def volumes(result: Segmentation) -> list[tuple]:
    """Structures and their volumes in millilitres."""
    voxel = result.grid.voxel_millilitres
    return [(structure, (result.array == structure.value).sum() * voxel) for structure in result.structures]
