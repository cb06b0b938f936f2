"""What finite shots and noise of its circuits do to a trained model: to its weights, and to its Dice."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

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
class Outcome:
    """A model whose weights were made under one set of conditions.

    Attributes:
        execution: The conditions.
        weight_error: |W - W_exact| / |W_exact - W0| over all generated weights: 0 is exact, and at 1 the error is as
            large as all that the circuits learned.
        dice: Mean Dice of each structure over the cases where it is drawn; empty without cases.
    """

    execution: qpg.Execution
    weight_error: float
    dice: dict[str, float] = field(default_factory=dict)

    @property
    def mean_dice(self) -> float | None:
        """Mean over the structures."""
        return float(np.mean([*self.dice.values()])) if self.dice else None


def study(
    network: nn.Module,
    executions: Sequence[qpg.Execution],
    *,
    manifest: Manifest,
    cases: Sequence[Case] = (),
    structures: Mapping[int, str] | None = None,
    seed: int = 0,
    device: torch.device | None = None,
    on_progress: Progress = lambda *_: None,
) -> list[Outcome]:
    """Make the weights under each of several conditions, and measure Dice on whole images.

    Args:
        network: With circuits, after training (`bundle.updates.network_with_updates`); not changed.
        executions: Conditions.
        manifest: Of the model.
        cases: With contours; none: only weights are compared.
        structures: Names of the cohort's structures by label value.
        seed: Of the random draws, the same for all conditions.
        device: Where images are segmented (default: the CPU).
        on_progress: Called now and then.

    Raises:
        InputError: if the model has none of the structures, or a case cannot be read.
        qpg.QPGError: if the circuits cannot be run under a condition.
    """
    shared = shared_structures(structures or {}, manifest) if cases else {}
    exact = qpg.merge(copy.deepcopy(network))
    made = qpg.noisy_copies(
        network, executions, seed=seed, on_progress=lambda done, of: on_progress("circuits", done, of)
    )
    errors = [weight_error(one, exact=exact, network=network) for one in made]
    scores: list[dict[str, list[float]]] = [{} for _ in made]
    for number, case in enumerate(cases):
        read = case.read(structures or {})
        prepared = prepare(read.image, manifest.preprocessing)
        for order, (one, score) in enumerate(zip(made, scores, strict=True)):
            on_progress("whole images", number * len(made) + order, len(cases) * len(made))
            winner = winning_outputs(
                one.to(device or "cpu"),
                prepared,
                window=manifest.inference.window,
                overlap=manifest.inference.overlap,
            )
            for value in read.known & shared.keys():
                name, output = shared[value]
                score.setdefault(name, []).append(dice(winner == output, read.label == value))
    if cases:
        on_progress("whole images", len(cases) * len(made), len(cases) * len(made))
    names = [name for name, _ in shared.values()]
    return [
        Outcome(execution, error, {name: float(np.mean(score[name])) for name in names if name in score})
        for execution, error, score in zip(executions, errors, scores, strict=True)
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
