"""The model on disk: a folder with `bundle.json`, `model.safetensors`, `MODEL_CARD.md` and `metadata.json`.

A model that was trained by a method with few numbers also has these alone, in `adapter.safetensors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from HQCSegmentLib.bundle.manifest import Manifest, monai_metadata
from HQCSegmentLib.bundle.model_card import model_card
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.files import replacing_folder, sha256, write_json, write_text
from HQCSegmentLib.networks import with_inputs, with_outputs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor, nn

    from HQCSegmentLib.imaging import Segmentation, Structure

MANIFEST, WEIGHTS, ADAPTER = "bundle.json", "model.safetensors", "adapter.safetensors"


@dataclass(frozen=True)
class Bundle:
    """A trained model.

    Attributes:
        path: The folder.
        manifest: Contents of its `bundle.json`, checked.
    """

    path: Path
    manifest: Manifest

    @classmethod
    def open(cls, path: str | Path) -> Bundle:
        """Read and check a bundle; the weights are read when they are first needed.

        Raises:
            InputError: if the folder or a file is missing, `bundle.json` is not valid, or the weights have changed
                since they were written.
        """
        path = Path(path)
        for name in (MANIFEST, WEIGHTS):
            if not (path / name).is_file():
                msg = f"{path} is not a model bundle: {name} is missing."
                raise InputError(msg)
        try:
            manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            msg = f"{path / MANIFEST} is not valid: {place}: {first['msg']}."
            raise InputError(msg) from error
        if sha256(path / WEIGHTS) != manifest.weights_sha256:
            msg = f"{path / WEIGHTS} is not the file that {MANIFEST} names (SHA-256 differs); copy the bundle again."
            raise InputError(msg)
        return cls(path, manifest)

    @staticmethod
    def write(
        path: Path,
        *,
        manifest: dict[str, Any],
        state: dict[str, Tensor],
        adapter: dict[str, Tensor] | None = None,
        adapter_config: str | None = None,
    ) -> Bundle:
        """Write a bundle; a folder that is there is replaced only when the new one is complete.

        Args:
            path: Folder to write.
            manifest: Fields of `Manifest` without `weights_sha256`.
            state: state_dict of the stock network.
            adapter: The trained part alone (`qpg.adapter_state`), or None.
            adapter_config: The method that it belongs to (`qpg.config_to_json`).
        """
        from safetensors.torch import save_file

        with replacing_folder(path) as folder:
            # Copies, since a layer that a network has under two names (DynUNet) is written under both.
            tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in state.items()}
            save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
            if adapter is not None:
                small = {name: tensor.detach().cpu().contiguous() for name, tensor in adapter.items()}
                # One entry only: safetensors writes several in any order, and equal runs are to be equal files.
                save_file(small, folder / ADAPTER, metadata={"method": adapter_config or ""})
            complete = Manifest(**manifest, weights_sha256=sha256(folder / WEIGHTS))
            write_json(folder / MANIFEST, complete.model_dump(mode="json"))
            write_json(folder / "metadata.json", monai_metadata(complete))
            write_text(folder / "MODEL_CARD.md", model_card(complete))
        return Bundle(Path(path), complete)

    def state(self) -> dict[str, Tensor]:
        """The weights, by the names of the stock network class.

        Raises:
            InputError: if the file holds no tensors.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(self.path / WEIGHTS)
        except SafetensorError as error:
            msg = f"{self.path / WEIGHTS} cannot be read as safetensors ({error})."
            raise InputError(msg) from error

    def adapter(self) -> tuple[dict[str, Tensor], str] | None:
        """The trained part alone and its method (`qpg.config_from_json`), or None if the bundle has none.

        Raises:
            InputError: if the file cannot be read.
        """
        from safetensors import SafetensorError, safe_open

        path = self.path / ADAPTER
        if not path.is_file():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no dictionary)
                return tensors, (file.metadata() or {}).get("method", "")
        except SafetensorError as error:
            msg = f"{path} cannot be read as safetensors ({error})."
            raise InputError(msg) from error

    def build(self) -> nn.Module:
        """The stock MONAI network with the bundle's weights, in evaluation mode.

        Raises:
            InputError: if the weights do not fit the network that `bundle.json` names.
        """
        network = self.manifest.network.build()
        try:
            network.load_state_dict(self.state(), strict=True)
        except RuntimeError as error:
            msg = f"{self.path}: the weights do not fit the network {self.manifest.network.name} of {MANIFEST}."
            raise InputError(msg) from error
        return network.eval()

    def build_for(self, labels: Sequence[Structure], images: Sequence[str]) -> nn.Module:
        """As `build`, with an output for each of these structures and an input for each image, matched by name.

        Raises:
            InputError: as `build`.
        """
        manifest = self.manifest
        names = [structure.name for structure in manifest.labels]
        wanted = [structure.name for structure in labels]
        network, spec = with_outputs(self.build(), manifest.network, names=names, wanted=wanted)
        return with_inputs(network, spec, names=manifest.preprocessing.names, wanted=images)[0]

    @cached_property
    def network(self) -> nn.Module:
        """As `build`, made once."""
        return self.build()

    def segment(self, image: Any, **options: Any) -> Segmentation:
        """Segment one image; see `HQCSegmentLib.inference.segment` for the arguments."""
        # The one arrow upwards in the package: users expect a model to be able to segment.
        from HQCSegmentLib.inference import segment

        return segment(self, image, **options)
