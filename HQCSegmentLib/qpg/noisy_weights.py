"""What finite shots and noise do to a trained network: its weights made from estimated probabilities."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from HQCSegmentLib.qpg.circuits import ANSATZES
from HQCSegmentLib.qpg.execution import Execution
from HQCSegmentLib.qpg.injection import Network, merge, start_weight
from HQCSegmentLib.qpg.methods import CircuitUpdate, hash_seed
from HQCSegmentLib.qpg.noise import check_feasible, estimates
from HQCSegmentLib.qpg.readout import values, values_of_probabilities
from HQCSegmentLib.qpg.resources import circuit_updates


def noisy_copy(
    network: Network,
    execution: Execution,
    *,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Network:
    """A plain network whose weights are made from estimated in place of exact probabilities.

    All other trained numbers (scales, shifts, biases, normalisation) are those of the network. Under exact conditions
    the result is that of `merge`, to rounding.

    Args:
        network: After `inject` with a QPGConfig; it is not changed.
        execution: Shots, noise and device.
        seed: Of all random draws.
        on_progress: Called with (circuits done, of) now and then.

    Returns:
        A merged deep copy.

    Raises:
        QPGError: if the network carries no circuits, if they are too large for the density matrix that the noise asked
            for needs, or if the device cannot run them.

    Examples:
        >>> network = inject(nn.Sequential(nn.Conv2d(16, 8, 3)), QPGConfig())
        >>> noisy_copy(network, Execution(shots=1000))
        Sequential(
          (0): Conv2d(16, 8, kernel_size=(3, 3), stride=(1, 1))
        )
    """
    (copied,) = noisy_copies(network, [execution], seed=seed, on_progress=on_progress)
    return copied


def noisy_copies(
    network: Network,
    executions: Sequence[Execution],
    *,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Network]:
    """As `noisy_copy`, for several conditions; simulations of noise that differ in shots only are done once.

    Args:
        network: After `inject` with a QPGConfig; it is not changed.
        executions: Conditions.
        seed: Of all random draws, the same for all conditions.
        on_progress: Called with (circuits done, of) now and then, every condition counting its own.

    Raises:
        QPGError: as `noisy_copy`.
    """
    carrying = circuit_updates(network)
    for execution in executions:
        for *_, update in carrying:
            check_feasible(update.qubits, execution, ansatz=update.config.ansatz)
    channels = [update.view.channels for *_, update in carrying]
    total, done = len(executions) * sum(channels), 0
    copies = [merge(copy.deepcopy(network)) for _ in executions]
    with torch.no_grad():
        for order, (name, layer, update) in enumerate(carrying):

            def report(number: int, before: int = done) -> None:
                if on_progress is not None:
                    on_progress(before + number, total)

            generated = _estimated_values(update, executions, seed=hash_seed(seed, order), on_progress=report)
            for copied, block in zip(copies, generated, strict=True):
                weight = update.weight_of(start_weight(layer), block)
                copied.get_submodule(name).weight.copy_(weight)  # type: ignore[operator]
            done += len(executions) * channels[order]
    return copies


def _estimated_values(
    update: CircuitUpdate, executions: Sequence[Execution], *, seed: int, on_progress: Callable[[int], None]
) -> list[Tensor]:
    """Values of a layer's circuits under each condition, as `CircuitUpdate.weight_of` takes them."""
    config, angles = update.config, update.angles
    readout = "probability" if config.readout == "mapped" else config.readout
    uniform = ANSATZES[config.ansatz].start_angles(qubits=update.qubits, depth=update.depth)
    phi = angles.double() if update.start is None else angles.double() + update.start
    theta = phi + torch.tensor(uniform, dtype=phi.dtype, device=phi.device)
    numbers = update.coordinates.values
    at_start = torch.zeros((), dtype=phi.dtype, device=phi.device)
    if update.start is not None and config.readout != "mapped":
        # Values at the start are constants, known exactly without a quantum computer.
        at_start = values(update.start.double(), numbers=numbers, readout=readout, ansatz=config.ansatz)[:, :numbers]
    found = estimates(theta, executions, ansatz=config.ansatz, seed=seed, on_progress=on_progress)
    dtype = torch.promote_types(angles.dtype, torch.float32)
    return [(values_of_probabilities(one.to(phi), readout=readout)[:, :numbers] - at_start).to(dtype) for one in found]
