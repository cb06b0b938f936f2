"""What goes through the network at once: patches that it can take, and that fit into the device's memory."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.networks import NetworkSpec
from HQCSegmentLib.training.config import TrainConfig


@dataclass(frozen=True)
class StepSizes:
    """What goes through the network at once, chosen to fit into the device's memory.

    Attributes:
        patch: Voxels along R, A, S.
        micro_batches: Parts of a step's patches.
        reasons: Why, in words.
        warnings: What will not fit, and what to do.
    """

    patch: tuple[int, ...]
    micro_batches: int
    reasons: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def fit_memory(config: TrainConfig, patch: tuple[int, ...], network: NetworkSpec) -> StepSizes:
    """Sizes of a step that fits into the device's memory.

    Patches go through the network in several parts first, which changes time but, without batch normalisation, not
    what is learned; where a single one is still too large, it is made smaller. What the user asked for stays as it is,
    with a warning where it does not fit.
    """
    from HQCSegmentLib.devices import choose_device
    from HQCSegmentLib.training import memory

    there = memory.bytes_of_device(choose_device(config.device))
    needs = memory.footprint(network)
    patches = [patch] if config.patch is not None else list(smaller_patches(patch, network))
    numbers = range(1, config.batch + 1) if config.micro_batches is None else [config.micro_batches]

    def needed(patch: tuple[int, ...], parts: int) -> float:
        return needs.bytes_of_step(patch=patch, batch=math.ceil(config.batch / parts))

    def fits(patch: tuple[int, ...], parts: int) -> bool:
        return there is None or needed(patch, parts) <= memory.USABLE_PART * there

    choices = [(smaller, parts) for smaller in patches for parts in numbers]
    chosen, parts = next((choice for choice in choices if fits(*choice)), choices[-1])
    size = "an unknown amount" if there is None else f"{there / 1e9:.1f} GB"
    told = f"memory: a step needs about {needed(chosen, parts) / 1e9:.2f} GB of {size}"
    if chosen != patch:
        told += f", so the patch is {chosen} instead of {patch}"
    batch = f"batch {config.batch}: as asked, or 2 by default"
    if parts > 1:
        why = "as asked" if config.micro_batches is not None else "to fit into memory"
        batch += f"; the patches go through the network in {parts} parts, {why}"
    warnings: tuple[str, ...] = ()
    if not fits(chosen, parts):
        warnings = (
            f"a training step needs about {needed(chosen, parts) / 1e9:.2f} GB, more than the "
            f"{memory.USABLE_PART:.0%} of {size} that should be used: it may fail or be slow; ask for a smaller patch, "
            "more micro-batches or a smaller network.",
        )
    return StepSizes(chosen, parts, (told, batch), warnings)


def smaller_patches(patch: tuple[int, ...], network: NetworkSpec) -> Iterator[tuple[int, ...]]:
    """The patch, and ever smaller ones."""
    smaller: tuple[int, ...] | None = patch
    while smaller is not None:
        yield smaller
        smaller = smaller_patch(smaller, network)


def smaller_patch(patch: tuple[int, ...], network: NetworkSpec) -> tuple[int, ...] | None:
    """The patch with its longest sides halved, or None if it cannot be smaller."""
    longest = max(patch)
    if any(side == longest and side // 2 <= divisor for side, divisor in zip(patch, network.divisors, strict=True)):
        return None
    halved = [
        side if side < longest else math.ceil(side / 2 / divisor) * divisor
        for side, divisor in zip(patch, network.divisors, strict=True)
    ]
    return check_patch(tuple(halved), network)


def multiples(network: NetworkSpec) -> str:
    """What sides of a patch must be multiples of, in words: one number where it is the same for all."""
    divisors = network.divisors
    return str(divisors[0]) if len(set(divisors)) == 1 else ",".join(map(str, divisors))


def check_patch(patch: tuple[int, ...], network: NetworkSpec) -> tuple[int, ...]:
    """The patch, if the network can take it.

    Raises:
        InputError: if it has not a side for every dimension, or a side that the network cannot divide or is too small.
    """
    asked = ",".join(map(str, patch))
    if len(patch) != network.dims:
        msg = f"patch {asked} has {len(patch)} number(s), but a {network.dims}D network needs {network.dims}."
        raise InputError(msg)
    divisors = network.divisors
    if any(side < 1 or side % divisor for side, divisor in zip(patch, divisors, strict=True)):
        nearest = ",".join(
            str(max(1, round(side / divisor)) * divisor) for side, divisor in zip(patch, divisors, strict=True)
        )
        msg = (
            f"patch {asked} does not fit {network.name}: every side must be a multiple of {multiples(network)}, "
            f"such as {nearest}."
        )
        raise InputError(msg)
    if all(side <= divisor for side, divisor in zip(patch, divisors, strict=True)):
        needed = min(2 * divisor for divisor in divisors)
        msg = f"patch {patch} is too small: one side must have at least {needed} voxels for {network.name}."
        raise InputError(msg)
    return patch
