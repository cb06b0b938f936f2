"""hqcsegment demo."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from HQCSegmentLib.cli.output import console, duration, emit_json, error_console, showing


def demo(
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder for everything the demo writes.")] = Path(
        "hqcsegment-demo"
    ),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Other patients, other random draws.")] = 0,
    base_steps: Annotated[int, typer.Option("--base-steps", min=1, help="Training steps of the base model.")] = 260,
    steps: Annotated[int, typer.Option("--steps", min=1, help="Training steps of the fine-tuning.")] = 200,
    device: Annotated[str, typer.Option("--device", metavar="auto|cpu|cuda|mps")] = "auto",
    patients_only: Annotated[
        bool, typer.Option("--patients-only", help="Only make the patients, to try the other commands on.")
    ] = False,
    json_events: Annotated[
        bool, typer.Option("--json-events", help="With --patients-only: one JSON object a line on stdout.")
    ] = False,
) -> None:
    """Show everything once, offline, on made-up patients (about three minutes on 2 cores).

    Makes two synthetic hospitals as DICOM CT + RTSTRUCT, trains a base model at the first, fine-tunes it with
    Quantum Parameter Generation on four patients of the second, contours unseen patients there, and writes RTSTRUCT,
    DICOM SEG, NIfTI and report.html with pictures.
    """
    from rich.table import Table

    from HQCSegmentLib.demo.run import make_patients, run_demo

    if patients_only:
        make_patients(out, seed=seed, say=lambda text: error_console().print(text))
        if json_events:
            emit_json({"event": "done", "out": str(out)})
        return
    start = time.monotonic()
    result = run_demo(
        out,
        base_steps=base_steps,
        steps=steps,
        seed=seed,
        device=device,
        say=lambda text: error_console().print(text),
        training=lambda title: showing(title, as_json=False),
    )
    table = Table(
        "structure",
        "Dice of the base",
        "after fine-tuning",
        title="Unseen patients of hospital B (synthetic)",
    )
    for name, before in result.before.items():
        table.add_row(name, f"{before:.3f}", f"{result.after[name]:.3f}")
    screen = console()
    screen.print(table)
    screen.print(f"Trained numbers: {result.trainable_numbers:,} of the network's {result.network_numbers:,}")
    screen.print(f"Contours: {result.results}\nReport: {result.report}", markup=False, soft_wrap=True)
    screen.print(f"Research use only. Done in {duration(time.monotonic() - start)}.")
