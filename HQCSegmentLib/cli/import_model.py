"""hqcsegment import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from HQCSegmentLib.cli.failures import in_the_way
from HQCSegmentLib.cli.options import numbers
from HQCSegmentLib.cli.output import console, counting
from HQCSegmentLib.errors import InputError

if TYPE_CHECKING:
    from HQCSegmentLib.bundle.importing import Answers


def import_model(
    source: Annotated[
        str, typer.Argument(help="Folder of a MONAI bundle, or the name of a model of the MONAI Model Zoo.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle to write.")],
    spacing: Annotated[
        str | None, typer.Option("--spacing", help="Spacing in mm along R, A, S that the network works at: 1.5,1.5,2.")
    ] = None,
    intensities: Annotated[
        str | None,
        typer.Option("--intensities", help="LOW,HIGH: clipped and mapped to 0 and 1; zscore: each image by its own."),
    ] = None,
    window: Annotated[str | None, typer.Option("--window", help="Voxels of the network's window: 96,96,96.")] = None,
    names: Annotated[
        str | None, typer.Option("--names", help="Structures in order of the outputs: Spleen,Liver.")
    ] = None,
    downloads: Annotated[
        Path | None, typer.Option("--downloads", help="Where downloaded models are kept (default: with the cache).")
    ] = None,
) -> None:
    """Make a base model of a MONAI bundle, without running anything of it.

    The weights are read by torch as plain tensors in a process of its own without network, and written as safetensors.
    The network must be a stock MONAI network. What the bundle does not say in plain words is asked for.

    A model named instead of a folder is downloaded over HTTPS; a proxy is taken from HTTPS_PROXY.

    Example: hqcsegment import spleen_ct_segmentation --out base_model
    """
    from HQCSegmentLib.bundle.importing import download_model, import_monai_bundle

    if out.exists():
        raise InputError(in_the_way(out))
    answers = _answers(spacing, intensities, window, names)
    folder = Path(source)
    if not folder.is_dir():
        if "/" in source or "\\" in source or folder.exists():
            msg = f"{source} is not a folder; give the folder of a MONAI bundle, or the name of a model."
            raise InputError(msg)
        from HQCSegmentLib.cohort.cache import default_folder

        with counting() as show:
            folder = download_model(
                source,
                downloads or default_folder() / "models",
                on_progress=lambda done, of: show(f"downloading {source}", done, of),
            )
    bundle, notes = import_monai_bundle(folder, out, answers)
    manifest = bundle.manifest
    screen = console()
    steps = " x ".join(f"{side:g}" for side in manifest.preprocessing.spacing)
    screen.print(f"{manifest.network.name} of {manifest.training.network_numbers:,} numbers, working at {steps} mm.")
    screen.print(f"Structures: {', '.join(manifest.names.values())}.", markup=False)
    for note in notes:
        screen.print(f"Note: {note}", markup=False)
    screen.print(f"Model: {bundle.path}", markup=False)


def _answers(spacing: str | None, intensities: str | None, window: str | None, names: str | None) -> Answers:
    from HQCSegmentLib.bundle.importing import Answers

    sides = None if spacing is None else numbers("--spacing", spacing, float, counts=(3,))
    voxels = None if window is None else numbers("--window", window, int, counts=(2, 3))
    levels: tuple[float, float] | str | None = intensities
    if intensities is not None and intensities != "zscore":
        low, high = numbers("--intensities", intensities, float, counts=(2,))
        levels = (low, high)
    return Answers(
        spacing=None if sides is None else (sides[0], sides[1], sides[2]),
        intensities=levels,
        window=None if voxels is None else tuple(voxels),
        names=None if names is None else tuple(name.strip() for name in names.split(",")),
    )
