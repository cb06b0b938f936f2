"""hqcsegment circuits."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from HQCSegmentLib.cli.options import numbers
from HQCSegmentLib.cli.output import console, counting
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import replacing, write_json
from HQCSegmentLib.qpg.errors import QPGError
from HQCSegmentLib.qpg.execution import SIMULATORS, Execution
from HQCSegmentLib.qpg.gate_sets import GATE_SETS

if TYPE_CHECKING:
    from rich.table import Column, Table

    from HQCSegmentLib.bundle import Bundle
    from HQCSegmentLib.cohort import Cohort
    from HQCSegmentLib.evaluation.execution_study import Outcome, Spread
    from HQCSegmentLib.qpg import CircuitResources, LayerCircuits

HELP = {name: field.metadata["help"] for name, field in Execution.__dataclass_fields__.items()}


def circuits(
    model: Annotated[Path, typer.Argument(metavar="BUNDLE|RUN", help="Model, or run of training.", show_default=False)],
    *,
    base: Annotated[
        Path | None, typer.Option("--base", help="Model that was fine-tuned (default: trained from scratch).")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Folder for drawings, plot and circuits.json (default: none written).")
    ] = None,
    cohort: Annotated[
        Path | None, typer.Option("--cohort", help="Cases with contours, to measure Dice under shots and noise.")
    ] = None,
    cases: Annotated[
        int | None, typer.Option("--cases", min=1, help="At most so many cases (default: all that are used).")
    ] = None,
    shots: Annotated[str, typer.Option("--shots", metavar="N,N,N", help=f"{HELP['shots']}.")] = "100,1000,10000",
    depolarising: Annotated[
        str, typer.Option("--depolarising", metavar="P|P,P", help=f"{HELP['depolarising']}; one value for both.")
    ] = "0",
    readout_error: Annotated[
        float, typer.Option("--readout-error", metavar="P", help=f"{HELP['readout_error']}.")
    ] = 0.0,
    trajectories: Annotated[
        int, typer.Option("--trajectories", min=1, metavar="N", help=f"{HELP['trajectories']}.")
    ] = Execution.trajectories,
    draws: Annotated[
        int, typer.Option("--draws", min=1, help="How often shots and noise are drawn; shown are mean and range.")
    ] = 3,
    device: Annotated[str, typer.Option("--device", metavar="NAME", help=f"{HELP['device']}.")] = "default.qubit",
    gate_set: Annotated[
        str, typer.Option("--gate-set", metavar="|".join(GATE_SETS), help="Gates that circuits are decomposed to.")
    ] = "rotations-cnot",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of the first draw; the next has the next.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Also write everything as JSON here.")] = None,
) -> None:
    """Show the circuits of a trained model: what they cost, how they look, and what shots and noise do to them.

    Everything is a simulation; nothing runs on a quantum computer unless --device names one. The model itself needs
    no circuits: it is an ordinary network with the exact weights.

    Example: hqcsegment circuits run1 --base base_model --out circuits1 --cohort my_cohort --shots 1000,100000
    """
    conditions = _conditions(
        shots, depolarising=depolarising, trajectories=trajectories, readout_error=readout_error, device=device
    )
    if gate_set not in GATE_SETS:
        msg = f"--gate-set {gate_set!r} is unknown; choose one of {', '.join(GATE_SETS)}."
        raise InputError(msg)

    from HQCSegmentLib import qpg
    from HQCSegmentLib.bundle import RESEARCH_USE, Bundle
    from HQCSegmentLib.bundle.updates import method_of, network_with_updates
    from HQCSegmentLib.cli.segment import check_folder
    from HQCSegmentLib.cohort import Cohort
    from HQCSegmentLib.devices import choose_device
    from HQCSegmentLib.evaluation.execution_study import study

    for folder in [out] if json_file is None else [out, json_file.parent]:
        if folder is not None:
            check_folder(folder)
    bundle = _open(model)
    if not isinstance(method_of(bundle), qpg.QPGConfig):
        msg = (
            f"{bundle.path} was trained by method {bundle.manifest.training.method}, without circuits; give a model "
            "trained with --method qpg, noentangle or frozen."
        )
        raise InputError(msg)
    network = network_with_updates(bundle, base=None if base is None else Bundle.open(base))
    layers = qpg.layer_circuits(network)
    judged = None if cohort is None else _judged(Cohort.open(cohort), run=model, most=cases)
    try:
        with counting() as show:
            outcomes = study(
                network,
                conditions,
                manifest=bundle.manifest,
                cases=() if judged is None else judged.cases,
                structures=None if judged is None else judged.structures,
                draws=draws,
                seed=seed,
                device=choose_device("auto"),
                on_progress=show,
            )
    except QPGError as error:
        raise InputError(_in_options(error)) from error
    resources = {
        one: qpg.circuit_resources(qubits=one.qubits, depth=one.depth, ansatz=one.ansatz, gate_set=gate_set)
        for one in layers
    }
    smallest = min(layers, key=lambda one: (one.qubits, one.depth))
    screen = console()
    screen.print(_table_of_layers(layers))
    screen.print(_table_of_circuits(layers, resources, gate_set))
    screen.print(f"The smallest circuit, of {smallest.layer}:", markup=False)
    drawing = qpg.circuit_text(qubits=smallest.qubits, depth=smallest.depth, ansatz=smallest.ansatz)
    screen.print(drawing, markup=False, soft_wrap=True)
    screen.print(_table_of_outcomes(outcomes, 0 if judged is None else len(judged.cases)))
    content = {
        "notice": RESEARCH_USE,
        "weights_sha256": bundle.manifest.weights_sha256,
        "gate_set": gate_set,
        "layers": [{**asdict(one), "resources": asdict(resources[one])} for one in layers],
        "seed": seed,
        "cases": 0 if judged is None else len(judged.cases),
        "outcomes": [one.to_json() for one in outcomes],
    }
    if out is not None:
        write_json(out / "circuits.json", content)
        written = _write_pictures(out, layers, outcomes, bundle)
        screen.print(f"Written: {', '.join(str(path) for path in written)}", markup=False, soft_wrap=True)
    if json_file is not None:
        write_json(json_file, content)
    simulated = "A simulation; no quantum computer was used. " if device in SIMULATORS else ""
    screen.print(f"{simulated}{RESEARCH_USE}")


def _conditions(
    shots: str, *, depolarising: str, trajectories: int, readout_error: float, device: str
) -> list[Execution]:
    """Exact; with infinitely many shots where there is noise; and with each number of shots.

    Raises:
        InputError: for an option that is no number or not possible.
    """
    counts = sorted(set(numbers("--shots", shots, int)))
    probabilities = numbers("--depolarising", depolarising, float)
    if len(probabilities) > 2:
        msg = f"--depolarising {depolarising!r} is not possible: give one probability, or two with a comma."
        raise InputError(msg)
    noise: dict[str, Any] = {
        "depolarising": (probabilities[0], probabilities[-1]),
        "trajectories": trajectories,
        "readout_error": readout_error,
        "device": device,
    }
    try:
        unlimited = Execution(**noise)
        finite = [Execution(shots=number, **noise) for number in counts]
    except QPGError as error:
        raise InputError(_in_options(error)) from error
    return [Execution(), *([unlimited] if unlimited.is_noisy else []), *finite]


def _in_options(error: QPGError) -> str:
    """Sentence of an error with options in place of arguments: --readout-error for `readout_error`."""
    named = re.sub(r"`(\w+)`", lambda name: f"--{name[1].replace('_', '-')}", str(error))
    return f"{named.rstrip('.')}."


def _open(model: Path) -> Bundle:
    """The bundle of a path, which may be a run that holds it."""
    from HQCSegmentLib.bundle import Bundle

    inside = model / "bundle"
    return Bundle.open(inside if inside.is_dir() else model)


def _judged(cohort: Cohort, *, run: Path, most: int | None) -> Cohort:
    """Cases to measure on: of the cohort that a run was trained on, those that it held out."""
    from HQCSegmentLib.cohort import Split

    chosen = [case.name for case in cohort.cases]
    if (run / "splits.json").is_file():
        held_out = Split.model_validate_json((run / "splits.json").read_bytes()).held_out
        if held_out and set(held_out) <= set(chosen):
            chosen = list(held_out)
    return cohort.subset(chosen[:most])


def _table_of_layers(layers: Sequence[LayerCircuits]) -> Table:
    from rich.markup import escape
    from rich.table import Column

    table = _table_of_numbers(Column("layer", overflow="fold"), "circuits", "qubits", "angles", title="Layers")
    for one in layers:
        counts = (f"{number:,}" for number in (one.circuits, one.qubits, one.angles))
        table.add_row(escape(one.layer), *counts)
    table.add_section()
    table.add_row("all", f"{sum(one.circuits for one in layers):,}", "", f"{sum(one.angles for one in layers):,}")
    return table


def _table_of_circuits(
    layers: Sequence[LayerCircuits], resources: dict[LayerCircuits, CircuitResources], gate_set: str
) -> Table:
    """A row for every kind of circuit: many layers have the same."""
    names = ("circuits", "qubits", "gates", "two-qubit", "depth", "gates *", "two-qubit *", "depth *")
    table = _table_of_numbers(
        *names,
        title="Gates and depth of one circuit",
        caption=f"* decomposed to {gate_set} ({', '.join(GATE_SETS[gate_set])})",
    )
    for kind in sorted({_kind(one) for one in layers}):
        own = [one for one in layers if _kind(one) == kind]
        described, decomposed = resources[own[0]].described, resources[own[0]].decomposed
        counts = (
            *(sum(one.circuits for one in own), own[0].qubits),
            *(described.total, described.two_qubit, described.depth),
            *(decomposed.total, decomposed.two_qubit, decomposed.depth),
        )
        table.add_row(*(f"{number:,}" for number in counts))
    return table


def _kind(circuits: LayerCircuits) -> tuple[int, int, str]:
    return circuits.qubits, circuits.depth, circuits.ansatz


def _table_of_numbers(*names: str | Column, title: str, caption: str | None = None) -> Table:
    """Without rows; numbers are aligned, and their names whole also on a terminal of 80 columns."""
    from rich.table import Column, Table

    columns = (Column(name, justify="right", no_wrap=True) if isinstance(name, str) else name for name in names)
    return Table(*columns, title=title, caption=caption, padding=(0, 0, 0, 1))


def _table_of_outcomes(outcomes: Sequence[Outcome], cases: int) -> Table:
    from rich.table import Table

    from HQCSegmentLib.evaluation.execution_study import describe

    names, draws = list(outcomes[0].dice), max(len(one.draws) for one in outcomes)
    table = Table(
        "weights from",
        "error of the update",
        *(["mean Dice", *names] if cases else []),
        title=f"Shots and noise, Dice on {cases} whole image(s)" if cases else "Shots and noise",
        caption="error: distance from the exact weights, where 1 is as far as these are from the start"
        + (f"; mean (lowest to highest) of {draws} draws" if draws > 1 else ""),
    )
    for one in outcomes:
        scores = [] if one.mean_dice is None else [one.mean_dice, *(one.dice[name] for name in names)]
        several = len(one.draws) > 1
        cells = [_in_words(one.weight_error, ".3g", several), *(_in_words(score, ".3f", several) for score in scores)]
        table.add_row(describe(one.execution), *cells)
    return table


def _in_words(spread: Spread, digits: str, several: bool) -> str:
    """Mean, and where there are several draws their range."""
    mean, lowest, highest = (format(one, digits) for one in (spread.mean, spread.lowest, spread.highest))
    return f"{mean} ({lowest} to {highest})" if several else mean


def _write_pictures(
    out: Path, layers: Sequence[LayerCircuits], outcomes: Sequence[Outcome], bundle: Bundle
) -> list[Path]:
    """A drawing of each kind of circuit, and the plot where there is Dice; gives what lies in the folder."""
    from HQCSegmentLib.evaluation.execution_study import describe
    from HQCSegmentLib.evaluation.pictures import circuit_picture, shot_curves

    pictures = {
        f"{ansatz}-{qubits}x{depth}.png": circuit_picture(qubits=qubits, depth=depth, ansatz=ansatz)
        for ansatz, qubits, depth in sorted({(one.ansatz, one.qubits, one.depth) for one in layers})
    }
    if outcomes[0].dice:
        finite = [one for one in outcomes if one.execution.shots is not None]
        unlimited = [one for one in outcomes if one.execution.shots is None]
        curves = {name: [one.dice[name] for one in finite] for name in outcomes[0].dice}
        curves["mean"] = [one.mean_dice for one in finite if one.mean_dice is not None]
        pictures["dice_over_shots.png"] = shot_curves(
            [one.execution.shots or 0 for one in finite],
            curves,
            [(describe(one.execution), one.mean_dice) for one in unlimited if one.mean_dice is not None],
            title=f"Weights from finite shots ({bundle.manifest.training.method}), simulated",
        )
    for name, picture in pictures.items():
        with replacing(out / name) as temporary:
            temporary.write_bytes(picture)
    return [out / name for name in ("circuits.json", *pictures)]
