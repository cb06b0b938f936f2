"""The trained part of a model as one small file, for exchange between hospitals: no base weights, no images, no code.

Averaging the parts that several hospitals trained from one base is federated averaging (McMahan et al. 2017, AISTATS)
with one round; what is averaged are angles, scales and the few classical weights, not the network.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from HQCSegmentLib import qpg
from HQCSegmentLib.bundle.bundle import Bundle
from HQCSegmentLib.bundle.manifest import Manifest
from HQCSegmentLib.bundle.updates import method_of, with_updates
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import replacing

if TYPE_CHECKING:
    from torch import Tensor

ENTRY = "adapter"
"""Key of the description in the file's metadata."""

SAME = ("network", "labels", "preprocessing", "inference")
"""Parts of the manifests that must be equal for the trained parts to be averaged."""


class Description(BaseModel):
    """What the numbers of an adapter belong to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest: Manifest = Field(description="of the model that it was taken from")
    method: str = Field(description="the method and its settings, as JSON")
    parts: int = Field(default=1, ge=1, description="models that were averaged")


@dataclass(frozen=True, eq=False)
class Adapter:
    """The trained part of a model.

    Attributes:
        tensors: Trained numbers and running statistics by name (`qpg.adapter_state`).
        description: What they belong to.
    """

    tensors: dict[str, Tensor]
    description: Description

    @classmethod
    def of(cls, bundle: Bundle) -> Adapter:
        """The trained part of a bundle.

        Raises:
            InputError: if it has none, because all weights were trained.
        """
        method_of(bundle)
        found = bundle.adapter()
        assert found is not None
        return cls(found[0], Description(manifest=bundle.manifest, method=found[1]))

    @classmethod
    def open(cls, path: str | Path) -> Adapter:
        """Read and check a file.

        Raises:
            InputError: if it is missing or no adapter.
        """
        from safetensors import SafetensorError, safe_open

        path = Path(path)
        if not path.is_file():
            msg = f"the adapter {path} does not exist."
            raise InputError(msg)
        try:
            with safe_open(path, framework="pt") as file:
                text = (file.metadata() or {}).get(ENTRY, "")
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dictionary)
            return cls(tensors, Description.model_validate_json(text))
        except (SafetensorError, ValidationError) as error:
            reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
            msg = f"{path} is no adapter of HQCSegment ({reason}); make one with `hqcsegment adapter export`."
            raise InputError(msg) from error

    def write(self, path: str | Path) -> Path:
        """Write one file, atomically."""
        from safetensors.torch import save_file

        path = Path(path)
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.tensors.items()}
        with replacing(path) as temporary:
            save_file(tensors, temporary, metadata={ENTRY: self.description.model_dump_json()})
        return path

    def apply(self, *, base: Bundle | None, out: str | Path) -> Bundle:
        """Make the model again: base weights, and what the adapter changes in them.

        Args:
            base: The model that training started from; None: training was from scratch, from a seed.
            out: Folder of the new bundle.

        Raises:
            InputError: if the base is missing, another one or not wanted, or the adapter does not fit.
        """
        manifest = self.description.manifest
        try:
            method = qpg.config_from_json(self.description.method)
        except qpg.QPGError as error:
            msg = f"the adapter does not name its method: {error}."
            raise InputError(msg) from error
        network = with_updates(manifest, method, self.tensors, base=base, name="the adapter")
        return Bundle.write(
            Path(out),
            manifest=manifest.without_checksums(),
            state=qpg.merge(network).state_dict(),
            adapter=self.tensors,
            adapter_config=self.description.method,
        )


def aggregate(adapters: Sequence[Adapter], *, weights: Sequence[float] | None = None) -> Adapter:
    """The mean of adapters that were trained from the same start by the same method.

    Args:
        adapters: Two or more.
        weights: Of each; None: the numbers of cases that they were trained on (federated averaging).

    Returns:
        Their weighted mean. Its fingerprint is that of the adapter with the largest weight; its held-out Dice is empty,
        since nobody has measured the averaged model.

    Raises:
        InputError: if they do not belong together, or the weights are not positive numbers, one for each.
    """
    import torch

    if len(adapters) < 2:
        msg = f"{len(adapters)} adapter(s) cannot be averaged; give two or more."
        raise InputError(msg)
    descriptions = [adapter.description for adapter in adapters]
    for place, other in enumerate(descriptions[1:], start=2):
        _check_same(descriptions[0], other, place=place)
    shares = [float(one.manifest.training.cases) for one in descriptions] if weights is None else list(weights)
    if len(shares) != len(adapters) or not all(0 < share < float("inf") for share in shares):
        given = ", ".join(map(str, shares))
        msg = f"the weights {given} do not fit {len(adapters)} adapters; give a number above 0 for each."
        raise InputError(msg)
    total = sum(shares)
    tensors = {}
    for name, first in adapters[0].tensors.items():
        stack = torch.stack([adapter.tensors[name] for adapter in adapters])
        if first.is_floating_point():
            parts = torch.tensor([share / total for share in shares], dtype=torch.float64)
            tensors[name] = torch.tensordot(parts, stack.double(), dims=1).to(first.dtype)
        else:
            tensors[name] = stack.amax(dim=0)  # counters of batches seen
    heaviest = descriptions[max(range(len(shares)), key=lambda index: shares[index])]
    training = heaviest.manifest.training.model_copy(
        update={"cases": sum(one.manifest.training.cases for one in descriptions), "held_out_dice": {}}
    )
    manifest = heaviest.manifest.model_copy(update={"training": training})
    description = heaviest.model_copy(update={"manifest": manifest, "parts": sum(one.parts for one in descriptions)})
    return Adapter(tensors, description)


def _check_same(first: Description, other: Description, *, place: int) -> None:
    """Refuse adapters whose numbers do not mean the same."""
    one, two = first.manifest, other.manifest
    if one.training.base_weights_sha256 != two.training.base_weights_sha256:
        msg = f"adapter {place} was trained from another base model than adapter 1; all must start from the same one."
        raise InputError(msg)
    if first.method != other.method or (not one.training.from_base and one.training.seed != two.training.seed):
        msg = (
            f"adapter {place} was trained by other settings of the method than adapter 1, or with another seed, so "
            "that its numbers mean something else; train with the same method, settings and --seed."
        )
        raise InputError(msg)
    for name in SAME:
        if getattr(one, name) != getattr(two, name):
            msg = f"adapter {place} has other {name} than adapter 1; train from the same base with the same settings."
            raise InputError(msg)
