"""hqcsegment send."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from HQCSegmentLib.cli.options import make, options_of
from HQCSegmentLib.cli.output import console, counting, emit_json
from HQCSegmentLib.cli.send_options import SendOptions


@options_of(SendOptions)
def send(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="DICOM files, for example RTSTRUCT or SEG.", show_default=False),
    ],
    *,
    host: Annotated[str, typer.Option("--host", help="Name or address of the server.")],
    port: Annotated[int, typer.Option("--port", help="Its DICOM port, often 104 or 11112.")],
    called_ae: Annotated[str, typer.Option("--called-ae", help="AE title of the server.")],
    calling_ae: Annotated[
        str, typer.Option("--calling-ae", help="AE title of this computer, as the server knows it.")
    ] = "HQCSEGMENT",
    json_events: Annotated[bool, typer.Option("--json-events", help="One JSON object a line on stdout.")] = False,
    settings: dict[str, Any],
) -> None:
    """Send DICOM files to a planning system or archive (C-STORE).

    All files go over one connection and are not changed. If the server refuses the connection, an AE title, or the kind
    or encoding of a file, nothing is sent. Contours are for research: check them before anything is done with them.

    Example: hqcsegment send results/patient7.rtstruct.dcm --host pacs --port 104 --called-ae PLANNING
    """
    from HQCSegmentLib.planning.sending import Server, Tls, send_files

    options: SendOptions = make(SendOptions, settings)
    tls = Tls(authorities=options.tls_ca, certificate=options.tls_certificate, key=options.tls_key)
    server = Server(host, port, called_ae, calling_ae, tls if options.tls else None, options.timeout)
    if json_events:

        def sent(file: Path, step: int, of: int) -> None:
            emit_json({"event": "progress", "step": step, "of": of, "file": file.name})

        send_files(files, server, on_file=sent)
        emit_json({"event": "done", "sent": len(files)})
        return
    with counting() as count:
        send_files(files, server, on_file=lambda _file, step, of: count("sending", step, of))
    console().print(f"{len(files)} file(s) stored by {server}.", markup=False)
