"""Python packages that are installed into Slicer when the user first asks for work, never before."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from slicer.i18n import tr as _

TORCH_REQUIREMENT = ">=2.10"
"""As in pyproject.toml, where the reason stands."""


def ensure_dependencies(requirements_file: Path) -> None:
    """Ask for and install what is missing: torch by the PyTorch extension, the rest from `requirements_file`.

    Raises:
        RuntimeError: if the PyTorch extension is missing or the user declines.
    """
    # torch first: other packages depend on it, and pip alone could take a build that does not fit the
    # graphics card.
    _ensure_torch()
    import slicer.packaging

    slicer.packaging.pip_ensure(slicer.packaging.load_requirements(requirements_file), requester="HQCSegment")


def _ensure_torch() -> None:
    from packaging.specifiers import SpecifierSet

    try:
        # The version is read without importing torch, which would stay in Slicer's memory.
        version = importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        version = None
    if version is not None and SpecifierSet(TORCH_REQUIREMENT).contains(version, prereleases=True):
        return
    try:
        import PyTorchUtils
    except ModuleNotFoundError as error:
        raise RuntimeError(
            _("Install the PyTorch extension in the Extensions Manager, restart Slicer, and try again.")
        ) from error
    installer = PyTorchUtils.PyTorchUtilsLogic()
    if installer.installTorch(askConfirmation=True, torchVersionRequirement=TORCH_REQUIREMENT) is None:
        raise RuntimeError(_("PyTorch is needed to segment and was not installed."))
