"""The model on disk: a folder with `bundle.json`, `model.safetensors`, `MODEL_CARD.md` and `metadata.json`.

A model that was trained by a method with few numbers also has these alone, in `adapter.safetensors`. An ensemble has
the weights of its further members in `member2.safetensors`, `member3.safetensors`, ...
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
        _require(path, MANIFEST, WEIGHTS)
        try:
            manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            msg = f"{path / MANIFEST} is not valid: {place}: {first['msg']}."
            raise InputError(msg) from error
        bundle = cls(path, manifest)
        checksums = (manifest.weights_sha256, *manifest.further_weights_sha256)
        _require(path, *bundle._weight_files())
        for name, checksum in zip(bundle._weight_files(), checksums, strict=True):
            if sha256(path / name) != checksum:
                msg = f"{path / name} is not the file that {MANIFEST} names (SHA-256 differs); copy the bundle again."
                raise InputError(msg)
        return bundle

    @staticmethod
    def write(
        path: Path,
        *,
        manifest: dict[str, Any],
        state: dict[str, Tensor],
        adapter: dict[str, Tensor] | None = None,
        adapter_config: str | None = None,
        further: Sequence[dict[str, Tensor]] = (),
    ) -> Bundle:
        """Write a bundle; a folder that is there is replaced only when the new one is complete.

        Args:
            path: Folder to write.
            manifest: Fields of `Manifest` without `weights_sha256`.
            state: state_dict of the stock network.
            adapter: The trained part alone (`qpg.adapter_state`), or None.
            adapter_config: The method that it belongs to (`qpg.config_to_json`).
            further: state_dict of each further member of an ensemble.
        """
        from safetensors.torch import save_file

        checksums = []
        with replacing_folder(path) as folder:
            for number, one in enumerate((state, *further), start=1):
                # Copies, since a layer that a network has under two names (DynUNet) is written under both.
                tensors = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in one.items()}
                save_file(tensors, folder / _weight_file(number), metadata={"format": "pt"})
                checksums.append(sha256(folder / _weight_file(number)))
            if adapter is not None:
                small = {name: tensor.detach().cpu().contiguous() for name, tensor in adapter.items()}
                # One entry only: safetensors writes several in any order, and equal runs are to be equal files.
                save_file(small, folder / ADAPTER, metadata={"method": adapter_config or ""})
            complete = Manifest(**manifest, weights_sha256=checksums[0], further_weights_sha256=tuple(checksums[1:]))
            write_json(folder / MANIFEST, complete.model_dump(mode="json"))
            write_json(folder / "metadata.json", monai_metadata(complete))
            write_text(folder / "MODEL_CARD.md", model_card(complete))
        return Bundle(Path(path), complete)

    def state(self) -> dict[str, Tensor]:
        """The weights, by the names of the stock network class; on the CPU, of the types that were written.

        Raises:
            InputError: if the file holds no tensors, or the model is an ensemble.
        """
        self._require_one_network()
        return self._read(WEIGHTS)

    def adapter(self) -> tuple[dict[str, Tensor], str] | None:
        """The trained part alone and its method (`qpg.config_from_json`), or None if the bundle has none.

        The tensors are those of `qpg.adapter_state`, on the CPU.

        Raises:
            InputError: if the file cannot be read, or the model is an ensemble.
        """
        from safetensors import SafetensorError, safe_open

        self._require_one_network()
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
            InputError: if the weights do not fit the network that `bundle.json` names, or the model is an ensemble.
        """
        self._require_one_network()
        return self._build(WEIGHTS)

    def build_for(self, labels: Sequence[Structure], inputs: Sequence[str]) -> nn.Module:
        """As `build`, with an output for each of these structures and these inputs, matched by name.

        Args:
            labels: Structures in order of the outputs.
            inputs: As `Manifest.inputs` names them.

        Raises:
            InputError: as `build`.
        """
        manifest = self.manifest
        names = [structure.name for structure in manifest.labels]
        wanted = [structure.name for structure in labels]
        network, spec = with_outputs(self.build(), manifest.network, names=names, wanted=wanted)
        return with_inputs(network, spec, names=manifest.inputs, wanted=inputs)[0]

    @cached_property
    def networks(self) -> tuple[nn.Module, ...]:
        """As `build`, made once: a single network, or all members of an ensemble."""
        return tuple(self._build(name) for name in self._weight_files())

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.path.iterdir())

    def segment(self, image: Any, **options: Any) -> Segmentation:
        """Segment one image; see `HQCSegmentLib.inference.segment` for the arguments."""
        # The one arrow upwards in the package: users expect a model to be able to segment.
        from HQCSegmentLib.inference import segment

        return segment(self, image, **options)

    def _weight_files(self) -> list[str]:
        return [_weight_file(number) for number in range(1, self.manifest.members + 1)]

    def _require_one_network(self) -> None:
        if self.manifest.members > 1:
            msg = (
                f"{self.path} is an ensemble of {self.manifest.members} networks, which can segment but not be "
                "trained, taken apart or exported; use the bundle of one fold."
            )
            raise InputError(msg)

    def _read(self, name: str) -> dict[str, Tensor]:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(self.path / name)
        except SafetensorError as error:
            msg = f"{self.path / name} cannot be read as safetensors ({error})."
            raise InputError(msg) from error

    def _build(self, name: str) -> nn.Module:
        network = self.manifest.network.build()
        try:
            network.load_state_dict(self._read(name), strict=True)
        except RuntimeError as error:
            msg = f"{self.path}: the weights do not fit the network {self.manifest.network.name} of {MANIFEST}."
            raise InputError(msg) from error
        return network.eval()


def _weight_file(number: int) -> str:
    """File of a member of an ensemble, counted from 1."""
    return WEIGHTS if number == 1 else f"member{number}.safetensors"


def _require(folder: Path, *names: str) -> None:
    for name in names:
        if not (folder / name).is_file():
            msg = f"{folder} is not a model bundle: {name} is missing."
            raise InputError(msg)
