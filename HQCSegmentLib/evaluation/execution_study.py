"""What finite shots and noise of its circuits do to a trained model: to its weights, and to its Dice."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from HQCSegmentLib import qpg
from HQCSegmentLib.bundle import Manifest
from HQCSegmentLib.cohort import Case, prepare
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.evaluation.metrics import dice
from HQCSegmentLib.inference import winning_outputs
from HQCSegmentLib.qpg.injection import start_weight

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""


@dataclass(frozen=True)
class Spread:
    """A number of several draws."""

    mean: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Spread:
        """Of at least one number."""
        return cls(float(np.mean(numbers)), min(numbers), max(numbers))


@dataclass(frozen=True)
class Draw:
    """A model whose weights were made once under some conditions.

    Attributes:
        seed: Of this draw.
        weight_error: |W - W_exact| / |W_exact - W0| over all generated weights: 0 is exact, and at 1 the error is as
            large as all that the circuits learned.
        dice: Mean Dice of each structure over the cases where it is drawn; empty without cases.
    """

    seed: int
    weight_error: float
    dice: dict[str, float] = field(default_factory=dict)

    @property
    def mean_dice(self) -> float | None:
        """Mean over the structures."""
        return float(np.mean([*self.dice.values()])) if self.dice else None


@dataclass(frozen=True)
class Outcome:
    """What becomes of a model under one set of conditions.

    Attributes:
        execution: The conditions.
        draws: At least one; exactly one where nothing is random.
    """

    execution: qpg.Execution
    draws: tuple[Draw, ...]

    @property
    def weight_error(self) -> Spread:
        """Relative error of the generated weights, see `Draw`."""
        return Spread.of([draw.weight_error for draw in self.draws])

    @property
    def mean_dice(self) -> Spread | None:
        """Mean over the structures; None without cases."""
        found = [draw.mean_dice for draw in self.draws if draw.mean_dice is not None]
        return Spread.of(found) if found else None

    @property
    def dice(self) -> dict[str, Spread]:
        """Of each structure; empty without cases."""
        return {name: Spread.of([draw.dice[name] for draw in self.draws]) for name in self.draws[0].dice}

    def to_json(self) -> dict[str, Any]:
        """Conditions, spreads, and every draw."""
        mean_dice = self.mean_dice
        return {
            "execution": asdict(self.execution),
            "weight_error": asdict(self.weight_error),
            "mean_dice": None if mean_dice is None else asdict(mean_dice),
            "dice": {name: asdict(spread) for name, spread in self.dice.items()},
            "draws": [{**asdict(draw), "mean_dice": draw.mean_dice} for draw in self.draws],
        }


def study(
    network: nn.Module,
    executions: Sequence[qpg.Execution],
    *,
    manifest: Manifest,
    cases: Sequence[Case] = (),
    structures: Mapping[int, str] | None = None,
    draws: int = 1,
    seed: int = 0,
    device: torch.device | None = None,
    on_progress: Progress = lambda *_: None,
) -> list[Outcome]:
    """Make the weights under each of several conditions, and measure Dice on whole images.

    In memory is one network for each condition, not for each draw: so a simulation serves all conditions that differ
    in shots only, and a case is read once a draw.

    Args:
        network: With circuits, after training (`bundle.updates.network_with_updates`); not changed.
        executions: Conditions.
        manifest: Of the model.
        cases: With contours; none: only weights are compared.
        structures: Names of the cohort's structures by label value.
        draws: How often each condition is drawn; one where nothing is random is evaluated once.
        seed: Of the first draw, the same for all conditions; the next has the next seed.
        device: Where images are segmented (default: the CPU).
        on_progress: Called now and then.

    Raises:
        InputError: if the model has none of the structures, a case cannot be read, or draws are below 1.
        qpg.QPGError: if the circuits cannot be run under a condition.
    """
    if draws < 1:
        msg = f"`draws` must be at least 1, got {draws}."
        raise InputError(msg)
    shared = shared_structures(structures or {}, manifest) if cases else {}
    exact = qpg.merge(copy.deepcopy(network))
    # A draw makes and measures these of the conditions.
    plan = [[order for order, one in enumerate(executions) if number == 0 or one.is_drawn] for number in range(draws)]
    runs, before = sum(len(some) for some in plan), 0
    found: list[list[Draw]] = [[] for _ in executions]
    for number, some in enumerate(plan):
        if not some:
            break

        def show(work: str, done: int, of: int, before: int = before, here: int = len(some)) -> None:
            # Every condition has the same number of circuits and of cases.
            on_progress(work, before * (of // here) + done, runs * (of // here))

        made = _drawn(
            network,
            [executions[order] for order in some],
            exact=exact,
            manifest=manifest,
            cases=cases,
            structures=structures or {},
            shared=shared,
            seed=seed + number,
            device=device,
            on_progress=show,
        )
        for order, draw in zip(some, made, strict=True):
            found[order].append(draw)
        before += len(some)
    return [Outcome(execution, tuple(drawn)) for execution, drawn in zip(executions, found, strict=True)]


def _drawn(
    network: nn.Module,
    executions: Sequence[qpg.Execution],
    *,
    exact: nn.Module,
    manifest: Manifest,
    cases: Sequence[Case],
    structures: Mapping[int, str],
    shared: Mapping[int, tuple[str, int]],
    seed: int,
    device: torch.device | None,
    on_progress: Progress,
) -> list[Draw]:
    """One draw of each condition."""
    made = qpg.noisy_copies(
        network, executions, seed=seed, on_progress=lambda done, of: on_progress("circuits", done, of)
    )
    errors = [weight_error(one, exact=exact, network=network) for one in made]
    scores: list[dict[str, list[float]]] = [{} for _ in made]
    for number, case in enumerate(cases):
        read = case.read(structures)
        prepared = prepare(read.image, manifest.preprocessing)
        for order, (one, score) in enumerate(zip(made, scores, strict=True)):
            on_progress("whole images", number * len(made) + order, len(cases) * len(made))
            winner = winning_outputs(
                one.to(device or "cpu"),
                prepared,
                window=manifest.inference.window,
                slices=manifest.inference.slices,
                overlap=manifest.inference.overlap,
            )
            for value in read.known & shared.keys():
                name, output = shared[value]
                score.setdefault(name, []).append(dice(winner == output, read.label == value))
    if cases:
        on_progress("whole images", len(cases) * len(made), len(cases) * len(made))
    names = [name for name, _ in shared.values()]
    return [
        Draw(seed, error, {name: float(np.mean(score[name])) for name in names if name in score})
        for error, score in zip(errors, scores, strict=True)
    ]


def shared_structures(structures: Mapping[int, str], manifest: Manifest) -> dict[int, tuple[str, int]]:
    """Name and output of the network, by label value of the cohort, of structures that both have.

    Raises:
        InputError: if there are none.
    """
    output = {structure.name: number for number, structure in enumerate(manifest.labels, start=1)}
    shared = {value: (name, output[name]) for value, name in structures.items() if name in output}
    if not shared:
        msg = f"the model has {', '.join(output)} and the cohort {', '.join(structures.values())}: none in common."
        raise InputError(msg)
    return shared


def weight_error(made: nn.Module, *, exact: nn.Module, network: nn.Module) -> float:
    """Distance of generated weights from the exact ones, relative to the distance of those from W0."""
    off, learned = 0.0, 0.0
    for name, layer in qpg.injected_layers(network):
        true = _weight(exact, name)
        off += float((_weight(made, name) - true).square().sum())
        learned += float((true - start_weight(layer).detach().double()).square().sum())
    return (off / learned) ** 0.5 if learned else float("nan")


def describe(execution: qpg.Execution) -> str:
    """The conditions in a few words."""
    unlimited = "unlimited shots" if execution.is_noisy else "exact probabilities"
    parts = [unlimited if execution.shots is None else f"{execution.shots:,} shots"]
    if any(execution.depolarising):
        one, two = execution.depolarising
        parts.append(f"depolarising {one:g}" + (f" and {two:g}" if two != one else ""))
    if execution.readout_error:
        parts.append(f"readout error {execution.readout_error:g}")
    if execution.device != "default.qubit":
        parts.append(execution.device)
    return ", ".join(parts)


def _weight(network: nn.Module, layer: str) -> torch.Tensor:
    weight = network.get_submodule(layer).weight
    assert isinstance(weight, torch.Tensor)
    return weight.detach().cpu().double()
