"""hqcsegment train."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from HQCSegmentLib.cli.options import make, options_of, part_of
from HQCSegmentLib.cli.output import console, showing, silence
from HQCSegmentLib.cli.train_options import TrainOptions
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import read_json
from HQCSegmentLib.training.config import TrainConfig

if TYPE_CHECKING:
    from HQCSegmentLib.cohort import Cohort, Split
    from HQCSegmentLib.training.events import Event


@options_of(TrainOptions)
def train(
    cohort: Annotated[Path, typer.Argument(help="Folder of the cohort.", show_default=False)],
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; bundle/ and report.html come here.")],
    base: Annotated[
        Path | None, typer.Option("--base", help="Model bundle to start from (default: random weights).")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="JSON file of settings, such as a run's config.json.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out.")] = False,
    json_events: Annotated[bool, typer.Option("--json-events", help="One JSON object a line on stdout.")] = False,
    settings: dict[str, Any],
) -> None:
    """Fine-tune a network on a cohort.

    COHORT is a folder with images/ and labels/, an nnU-Net raw or Decathlon data set, or one folder per patient with
    a DICOM series and an RTSTRUCT.

    Example: hqcsegment train my_cohort --base base_model --out run1 --method qpg
    """
    from HQCSegmentLib.cohort import Cohort

    options: TrainOptions = make(TrainOptions, {**_settings_of(config, resume=resume, out=out), **settings})
    chosen = part_of(options, TrainConfig)
    opened = Cohort.open(cohort)
    parts = _parts(opened, options.splits, resume=resume, out=out)
    # Takes seconds to import, which a mistyped folder need not wait for.
    from HQCSegmentLib.training import finetune
    from HQCSegmentLib.training.tensorboard import TensorBoard

    # Of several processes that torchrun started, the first one tells.
    leads = os.environ.get("RANK", "0") == "0"
    with ExitStack() as open_now:
        show = open_now.enter_context(showing("training", as_json=json_events) if leads else silence())
        curves = open_now.enter_context(TensorBoard(out / "tensorboard")) if options.tensorboard and leads else None

        def tell(event: Event) -> None:
            show(_local(event, out))
            if curves is not None:
                curves(event)

        bundle = finetune(
            opened,
            base=base,
            config=chosen,
            out=out,
            resume=resume,
            on_event=tell,
            parts=parts,
            cache=options.cache,
        )
    if json_events or not leads:
        return
    summary = bundle.manifest.training
    screen = console()
    screen.print(
        f"Trained {summary.trainable_numbers:,} of {summary.network_numbers:,} numbers on {summary.cases} case(s)."
    )
    if chosen.folds is None or not (out / "folds.json").is_file():
        for name, dice in summary.held_out_dice.items():
            screen.print(f"  {name}: held-out Dice {dice:.3f}")
    else:
        folds = read_json(out / "folds.json")
        for name, dice in folds["mean_dice"].items():
            spread = folds["deviation"][name]
            screen.print(f"  {name}: held-out Dice {dice:.3f} ± {spread:.3f} over {len(folds['splits'])} folds")
    size = f"{bundle.size / 1e6:,.1f} MB"
    if bundle.manifest.members > 1:
        number = bundle.manifest.members
        size += f", an ensemble of {number} networks, which segments in about {number} times the time of one"
    screen.print(f"Model: {bundle.path} ({size})\nReport: {out / 'report.html'}")


def _parts(cohort: Cohort, splits: Path | None, *, resume: bool, out: Path) -> Split | None:
    """Cases as the user lists them, now or when the run was begun."""
    from HQCSegmentLib.cohort import read_splits

    if splits is not None:
        return read_splits(splits, cohort.cases)[0]
    begun = out / "splits.json"
    if resume and begun.is_file():
        try:
            was_listed = read_json(begun).get("listed", False)
        except (InputError, AttributeError):
            return None  # said by the run itself
        return read_splits(begun, cohort.cases)[0] if was_listed else None
    return None


def _settings_of(config: Path | None, *, resume: bool, out: Path) -> dict[str, Any]:
    """Settings of a file: the run's own when it is resumed."""
    if config is None and resume:
        config = out / "config.json"
        if not config.is_file():
            config = out / "folds.json"
        if not config.is_file():
            msg = f"{out} holds no run to resume."
            raise InputError(msg)
    if config is None:
        return {}
    content = read_json(config)
    settings = content.get("config", content) if isinstance(content, dict) else content
    unknown = sorted(set(settings) - set(TrainConfig.model_fields)) if isinstance(settings, dict) else []
    if unknown or not isinstance(settings, dict):
        what = f"the unknown setting {unknown[0]!r}" if unknown else "no JSON object of settings"
        msg = f"{config} holds {what}; known are {', '.join(TrainConfig.model_fields)}."
        raise InputError(msg)
    return settings


def _local(event: dict[str, Any], out: Path) -> dict[str, Any]:
    """Events on the screen may name the folder; those on disk do not, since runs are passed on."""
    if event["event"] == "done":
        return {**event, "bundle": str(out / "bundle"), "report": str(out / "report.html")}
    return event
