"""hqcsegment convert."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from HQCSegmentLib.cli.output import console, emit_json
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import read_json
from HQCSegmentLib.planning.output import OutputFormat, label_map_on

if TYPE_CHECKING:
    from HQCSegmentLib.imaging import Structure


def convert(
    label_maps: Annotated[
        list[Path],
        typer.Argument(
            metavar="LABELMAP...",
            help="Label maps on the grid of the series; several where structures overlap, each structure in one.",
            show_default=False,
        ),
    ],
    *,
    series: Annotated[Path, typer.Option("--series", help="Folder of the original DICOM series.")],
    structures: Annotated[
        Path,
        typer.Option(
            "--structures", help='JSON file: {"1": "Parotid_L", ...}, or a list of structures as in bundle.json.'
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    output_format: Annotated[
        OutputFormat, typer.Option("--format", help="rtstruct or seg; both refer to the slices of the series.")
    ] = OutputFormat.rtstruct,
    json_events: Annotated[bool, typer.Option("--json-events", help="One JSON object a line on stdout.")] = False,
) -> None:
    """Write label maps, such as edited contours, as RTSTRUCT or DICOM SEG of the series that they were drawn on.

    Example: hqcsegment convert edited.nii.gz --series patient7/CT --structures names.json --out patient7.rtstruct.dcm
    """
    from HQCSegmentLib.imaging.dicom_series import read_series
    from HQCSegmentLib.planning.layers import write_layers

    listed = _structures(structures)
    image = read_series(series)
    layers = [label_map_on(image, path, listed) for path in label_maps]
    write_layers(out, layers, output_format)
    if json_events:
        emit_json({"event": "done", "out": str(out)})
    else:
        console().print(f"{out}: {', '.join(one.name for one in listed)}", markup=False, soft_wrap=True)


def _structures(path: Path) -> tuple[Structure, ...]:
    """Structures of a JSON file.

    Raises:
        InputError: if it cannot be read or lists nothing.
    """
    from pydantic import ValidationError

    from HQCSegmentLib.imaging import Structure
    from HQCSegmentLib.naming import structure_for

    content = read_json(path)
    try:
        if isinstance(content, dict):
            found = [structure_for(str(name), int(value)) for value, name in content.items()]
        else:
            found = [Structure.model_validate(one) for one in content]
    except (ValueError, TypeError, ValidationError) as error:
        msg = f"{path} lists no structures: {str(error).splitlines()[0]}."
        raise InputError(msg) from error
    if not found:
        msg = f"{path} lists no structures."
        raise InputError(msg)
    return tuple(sorted(found, key=lambda one: one.value))
