"""hqcsegment segment."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from HQCSegmentLib.cli.output import console, emit_json, error_console
from HQCSegmentLib.errors import HQCSegmentError, InputError
from HQCSegmentLib.planning.output import OutputFormat, write_segmentation

if TYPE_CHECKING:
    from HQCSegmentLib.imaging import Segmentation


def segment(
    bundle: Annotated[Path, typer.Argument(help="Model bundle.", show_default=False)],
    inputs: Annotated[
        list[Path],
        typer.Argument(metavar="INPUT...", help="Image files or DICOM folders.", show_default=False),
    ],
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for the results.")],
    formats: Annotated[
        list[OutputFormat] | None, typer.Option("--format", help="May be given several times (default: nifti).")
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda|mps")] = "auto",
    json_events: Annotated[bool, typer.Option("--json-events", help="One JSON object a line on stdout.")] = False,
) -> int:
    """Segment images with a model.

    Results are named after the inputs and lie in the inputs' own geometry. A failed input does not stop the others;
    the exit code is then 2 (wrong input) or 1 (the work failed).

    Example: hqcsegment segment run1/bundle patient7.nii.gz --out results --format nifti --format nrrd
    """
    from HQCSegmentLib.bundle import Bundle
    from HQCSegmentLib.devices import choose_device
    from HQCSegmentLib.inference import open_image
    from HQCSegmentLib.inference import segment as segment_image

    model = Bundle.open(bundle)
    choose_device(device)
    chosen = list(dict.fromkeys(formats or [OutputFormat.nifti]))
    names = output_names(inputs)
    code = failed = 0
    for number, (source, name) in enumerate(zip(inputs, names, strict=True), start=1):
        try:
            result = segment_image(model, open_image(source, name=name), device=device)
            written = [write_segmentation(out, name, result, kind) for kind in chosen]
        except HQCSegmentError as error:
            code = max(code, error.exit_code)
            failed += 1
            if json_events:
                emit_json({"event": "error", "case": name, "message": str(error)})
            else:
                error_console().print(f"Error: {error}", markup=False, style="red", soft_wrap=True)
            continue
        if json_events:
            emit_json({"event": "progress", "step": number, "of": len(inputs), "case": name})
        else:
            found = ", ".join(f"{s.name} {volume:.1f} ml" for s, volume in volumes(result))
            console().print(
                f"{name}: {found} -> {', '.join(str(path) for path in written)}", markup=False, soft_wrap=True
            )
    if json_events and code == 0:
        emit_json({"event": "done", "out": str(out), "cases": names})
    elif json_events and len(names) > 1:
        emit_json({"event": "error", "message": f"{failed} of {len(names)} inputs could not be segmented."})
    return code


def output_names(inputs: list[Path]) -> list[str]:
    """One name for each input: the file or folder name without suffix.

    Raises:
        InputError: if two inputs would be written to the same name.
    """
    from HQCSegmentLib.imaging.image_files import image_stem

    names = [image_stem(path) if path.is_file() else path.resolve().name for path in inputs]
    for name in names:
        if names.count(name) > 1:
            msg = f"two inputs are named {name!r}, so one result would replace the other; segment them separately."
            raise InputError(msg)
    return names


def volumes(result: Segmentation) -> list[tuple]:
    """Structures and their volumes in millilitres."""
    voxel = result.grid.voxel_millilitres
    return [(structure, (result.array == structure.value).sum() * voxel) for structure in result.structures]
