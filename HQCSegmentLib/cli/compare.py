"""hqcsegment compare."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from HQCSegmentLib.cli.options import make, numbers, options_of
from HQCSegmentLib.cli.output import console, showing
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.training.config import TrainConfig

SET_BY_THE_COMPARISON = ("method", "seed", "held_out", "folds", "after_folds")


@options_of(TrainConfig, leave_out=SET_BY_THE_COMPARISON)
def compare(
    cohort: Annotated[Path, typer.Argument(help="Folder of the cohort.", show_default=False)],
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder of the comparison; one that is begun is gone on with.")],
    methods: Annotated[
        str,
        typer.Option(
            "--methods",
            help="Methods to compare, the first is what others are compared with; a method may have settings of its "
            "own: qpg:depth=4:readout=probability.",
        ),
    ] = "full,lora,qpg",
    cases: Annotated[str, typer.Option("--cases", help="Numbers of patients to train on.")] = "2,4",
    seeds: Annotated[int, typer.Option("--seeds", help="How often patients are drawn anew.")] = 3,
    test_cases: Annotated[
        int | None, typer.Option("--test-cases", help="Patients that judge (default: about three of ten).")
    ] = None,
    base: Annotated[
        Path | None, typer.Option("--base", help="Model bundle to start from (default: random weights).")
    ] = None,
    no_cache: Annotated[bool, typer.Option("--no-cache", help="Keep no prepared images on disk.")] = False,
    json_events: Annotated[bool, typer.Option("--json-events", help="One JSON object a line on stdout.")] = False,
    settings: dict[str, Any],
) -> None:
    """Compare training methods on your own cohort.

    Every method trains on the same drawn patients and is judged by the same others, which train none of the models.
    It takes methods x cases x seeds training runs; it can be stopped at any time and gone on with by the same command,
    also with more methods, cases or seeds. Settings hold for all methods.

    Example: hqcsegment compare my_cohort --base base_model --methods full,lora,qpg --cases 2,4 --seeds 3 --out study
    """
    from rich.table import Table

    from HQCSegmentLib.cohort import Cohort

    configs = {name: _config(name, settings) for name in methods.split(",")}
    patients = numbers("--cases", cases, int)
    opened = Cohort.open(cohort)
    # Takes seconds to import, which a mistyped option need not wait for.
    from HQCSegmentLib.comparison import compare as compare_methods

    with showing("comparing", as_json=json_events) as show:
        found = compare_methods(
            opened,
            methods=configs,
            patients=patients,
            seeds=seeds,
            test_patients=test_cases,
            base=base,
            out=out,
            on_event=show,
            cache=not no_cache,
        )
        show({"event": "done", "report": str(out / "report.html")})
    if json_events:
        return
    table = Table("method", "patients", "trained numbers", "Dice of each seed", "mean", "difference", "")
    for row in found.summary():
        difference = "" if row.difference is None else f"{row.difference:+.3f}"
        each = " ".join(f"{mean:.3f}" for mean in row.means)
        count = f"{row.trainable_numbers:,}"
        table.add_row(row.method, str(row.patients), count, each, f"{row.mean:.3f}", difference, row.verdict)
    console().print(table)
    console().print(f"Report: {out / 'report.html'}", markup=False)


def _config(method: str, settings: dict[str, Any]) -> TrainConfig:
    """Settings of one method, `name:setting=value:...`."""
    name, *own = method.split(":")
    parts = [setting.split("=", 1) for setting in own]
    known = set(TrainConfig.model_fields) - set(SET_BY_THE_COMPARISON)
    for part in parts:
        if len(part) != 2 or part[0] not in known:
            msg = (
                f"--methods {method}: {'='.join(part)!r} is no setting; write them as qpg:depth=4:readout=probability."
            )
            raise InputError(msg)
    try:
        config: TrainConfig = make(TrainConfig, {**settings, "method": name, **{key: value for key, value in parts}})
    except InputError as error:
        msg = f"--methods {method}: {error}"
        raise InputError(msg) from error
    return config
