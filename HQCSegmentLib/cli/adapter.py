"""hqcsegment adapter export, aggregate and apply."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from HQCSegmentLib.cli.failures import in_the_way
from HQCSegmentLib.cli.options import numbers
from HQCSegmentLib.cli.output import console
from HQCSegmentLib.errors import InputError

app = typer.Typer(
    help="The trained part of a model alone, for exchange between hospitals: kilobytes, and no patient's images.",
    no_args_is_help=True,
)


@app.command("export")
def export(
    bundle: Annotated[Path, typer.Argument(help="Model bundle that was trained by qpg or a control.")],
    *,
    out: Annotated[Path, typer.Option("--out", help="File to write, such as ours.safetensors.")],
) -> None:
    """Write the trained part of a model as one file.

    Whoever has the same base model makes the whole model of it with `hqcsegment adapter apply`.

    Example: hqcsegment adapter export run1/bundle --out ours.safetensors
    """
    from HQCSegmentLib.bundle import Bundle
    from HQCSegmentLib.bundle.adapters import Adapter

    _check_free(out)
    adapter = Adapter.of(Bundle.open(bundle))
    adapter.write(out)
    numbers = adapter.description.manifest.training.trainable_numbers
    console().print(f"{numbers:,} trained numbers, {out.stat().st_size / 1e3:,.0f} kB: {out}", markup=False)


@app.command("aggregate")
def aggregate(
    adapters: Annotated[list[Path], typer.Argument(metavar="ADAPTER...", help="Files of two or more hospitals.")],
    *,
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    weights: Annotated[
        str | None,
        typer.Option("--weights", help="Weight of each, such as 2,1,1 (default: the numbers of cases trained on)."),
    ] = None,
) -> None:
    """Average the trained parts of several hospitals (federated averaging, one round).

    All must have been trained from the same base with the same method, settings and --seed. Nobody has measured the
    averaged model yet: evaluate it before it is used.

    Example: hqcsegment adapter aggregate ours.safetensors theirs.safetensors --out mean.safetensors
    """
    from HQCSegmentLib.bundle.adapters import Adapter
    from HQCSegmentLib.bundle.adapters import aggregate as average

    _check_free(out)
    shares = None if weights is None else numbers("--weights", weights, float)
    mean = average([Adapter.open(path) for path in adapters], weights=shares)
    mean.write(out)
    cases = mean.description.manifest.training.cases
    console().print(f"Mean of {len(adapters)} adapters, {cases} cases in all: {out}", markup=False)


@app.command("apply")
def apply(
    adapter: Annotated[Path, typer.Argument(help="File of a trained part.")],
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder of the new bundle.")],
    base: Annotated[
        Path | None, typer.Option("--base", help="The model that training started from (none: it was from scratch).")
    ] = None,
) -> None:
    """Make the whole model of a base model and a trained part.

    Example: hqcsegment adapter apply mean.safetensors --base base_model --out model
    """
    from HQCSegmentLib.bundle import Bundle
    from HQCSegmentLib.bundle.adapters import Adapter

    _check_free(out)
    opened = Adapter.open(adapter)
    opened.apply(base=None if base is None else Bundle.open(base), out=out)
    console().print(f"Model: {out}", markup=False)


def _check_free(out: Path) -> None:
    """Refuse to replace what is there: it may be another hospital's part."""
    if out.exists():
        raise InputError(in_the_way(out))
