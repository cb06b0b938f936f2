"""A network with other outputs or inputs than the one that it takes its weights from.

Output layers keep what they know by name: the output of a structure that both have comes over with its weights, and
computes what it did. A new structure begins as a part of the background, one step less likely, so that before training
nothing is contoured differently. A new input begins with weights of zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from HQCSegmentLib.networks.catalogue import NetworkSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

NEW_OUTPUT_MARGIN = 1.0
"""By how much the logit of a new structure is below that of the background, before training."""

BACKGROUND = "background"


def with_outputs(
    network: nn.Module, spec: NetworkSpec, *, names: Sequence[str], wanted: Sequence[str]
) -> tuple[nn.Module, NetworkSpec]:
    """A network with one output for each wanted structure, and background.

    Args:
        network: As `spec` builds it.
        spec: Of the network.
        names: Structures in order of its outputs, background left out.
        wanted: Structures of the new network in order, background left out.

    Returns:
        A new network, or the same one if it has these outputs already; and what builds it.
    """
    if list(names) == list(wanted):
        return network, spec
    import torch

    changed = spec.model_copy(update={"out_channels": len(wanted) + 1})
    place = {name: index for index, name in enumerate((BACKGROUND, *names))}
    origin = torch.tensor([place.get(name, 0) for name in (BACKGROUND, *wanted)])
    new = torch.tensor([index for index, name in enumerate(wanted, start=1) if name not in place], dtype=torch.long)
    state, transposed = network.state_dict(), _transposed_weights(network)
    axes = _axes_of(spec, "out_channels")
    for name, of_outputs in axes.items():
        tensor = state[name]
        for axis in of_outputs:
            tensor = tensor.index_select(axis, origin)
        # Layers from outputs to outputs: what a new one was computed into is not changed by it.
        into = 1 if name in transposed else 0
        for axis in of_outputs:
            if len(of_outputs) > 1 and axis != into:
                tensor = tensor.index_fill(axis, new, 0.0)
        state[name] = tensor
    last = [name for name in axes if name.endswith(".bias")][-1]
    state[last] = state[last].index_add(0, new, torch.full((len(new),), -NEW_OUTPUT_MARGIN))
    return _built(changed, state, like=network), changed


def with_inputs(
    network: nn.Module, spec: NetworkSpec, *, names: Sequence[str], wanted: Sequence[str]
) -> tuple[nn.Module, NetworkSpec]:
    """A network with one input for each wanted image of a patient, or slice of one (`networks.slices.input_names`).

    Args:
        network: As `spec` builds it.
        spec: Of the network.
        names: Of its inputs in order.
        wanted: Of the new network's inputs in order.

    Returns:
        A new network, or the same one if it has these inputs already; and what builds it.
    """
    if list(names) == list(wanted):
        return network, spec
    import torch

    changed = spec.model_copy(update={"in_channels": len(wanted)})
    place = {name: index for index, name in enumerate(names)}
    origin = torch.tensor([place.get(name, 0) for name in wanted])
    new = torch.tensor([index for index, name in enumerate(wanted) if name not in place], dtype=torch.long)
    state = network.state_dict()
    for name, of_inputs in _axes_of(spec, "in_channels").items():
        for axis in of_inputs:
            state[name] = state[name].index_select(axis, origin).index_fill(axis, new, 0.0)
    return _built(changed, state, like=network), changed


def _axes_of(spec: NetworkSpec, field: str) -> dict[str, list[int]]:
    """Axes of each tensor that have one entry for each output, or input, by name of the tensor."""
    one_more = spec.model_copy(update={field: getattr(spec, field) + 1})
    mine, other = (made.build_seeded(0).state_dict() for made in (spec, one_more))
    found = {
        name: [axis for axis, (a, b) in enumerate(zip(tensor.shape, other[name].shape, strict=True)) if a != b]
        for name, tensor in mine.items()
    }
    return {name: axes for name, axes in found.items() if axes}


def _transposed_weights(network: nn.Module) -> set[str]:
    """Names of the weights whose first axis is that of the inputs."""
    from torch.nn import ConvTranspose1d, ConvTranspose2d, ConvTranspose3d

    kinds = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)
    return {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, kinds)}


def _built(spec: NetworkSpec, state: Mapping[str, Tensor], *, like: nn.Module) -> nn.Module:
    network = spec.build_seeded(0)
    network.load_state_dict(dict(state))
    return network.train(like.training)
