"""hqcsegment extract."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from HQCSegmentLib.cli.output import console, emit_json
from HQCSegmentLib.errors import InputError


def extract(
    cohort: Annotated[Path, typer.Argument(help="Folder of the cohort.", show_default=False)],
    case: Annotated[str, typer.Argument(help="Name of the case, as the check lists it.", show_default=False)],
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for image.nii, label.nii and structures.json.")],
    json_events: Annotated[bool, typer.Option("--json-events", help="One JSON object a line on stdout.")] = False,
) -> None:
    """Write one case of a cohort as image and label map, as the training sees it.

    Example: hqcsegment extract my_cohort patient3 --out patient3
    """
    from HQCSegmentLib.cohort import Cohort
    from HQCSegmentLib.files import replacing_folder, write_json
    from HQCSegmentLib.imaging import write_array
    from HQCSegmentLib.naming import structure_for

    opened = Cohort.open(cohort)
    if out.exists():
        msg = f"{out} exists; choose a new folder with --out."
        raise InputError(msg)
    (found,) = opened.subset([case]).cases
    labelled = found.read(opened.structures)
    with replacing_folder(out) as folder:
        write_array(folder / "image.nii", labelled.image.array, labelled.image.affine)
        write_array(folder / "label.nii", labelled.label, labelled.image.affine)
        drawn = [structure_for(name, value) for value, name in opened.structures.items() if value in labelled.known]
        write_json(folder / "structures.json", [structure.model_dump(mode="json") for structure in drawn])
    if json_events:
        emit_json({"event": "done", "out": str(out)})
        return
    for note in labelled.notes:
        console().print(note, markup=False, soft_wrap=True)
    console().print(f"{out}: {', '.join(structure.name for structure in drawn)}", markup=False, soft_wrap=True)
