"""Python packages that are installed into Slicer when the user asks for it, never before."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

from slicer.i18n import tr as _

TORCH_REQUIREMENT = ">=2.10"
"""As in pyproject.toml, where the reason stands."""


def missing_packages(requirements_file: Path) -> tuple[str, ...]:
    """Packages that are missing or too old, torch first; found without importing any of them."""
    lines = requirements_file.read_text(encoding="utf-8").splitlines()
    wanted = [f"torch{TORCH_REQUIREMENT}", *(line.strip() for line in lines)]
    return tuple(_name(line) for line in wanted if line and not line.startswith("#") and not _is_there(line))


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
    # The version is read without importing torch, which would stay in Slicer's memory.
    if _is_there(f"torch{TORCH_REQUIREMENT}"):
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


def _is_there(requirement: str) -> bool:
    from packaging.requirements import Requirement

    wanted = Requirement(requirement)
    try:
        version = importlib.metadata.version(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        return False
    return wanted.specifier.contains(version, prereleases=True)


def _name(requirement: str) -> str:
    from packaging.requirements import Requirement

    return Requirement(requirement).name
