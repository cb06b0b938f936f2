"""Python and the packages that the library needs, without importing them."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Iterator

from HQCSegmentLib.doctor.diagnosis import Diagnosis

OLDEST_PYTHON = (3, 11)

REQUIREMENTS = (
    "torch>=2.10",
    "monai>=1.5.2",
    "pennylane>=0.44",
    "numpy>=1.26",
    "scikit-image>=0.25",
    "SimpleITK>=2.4",
    "pydicom>=3.0.1",
    "pynetdicom>=3.0.4",
    "highdicom>=0.27",
    "safetensors>=0.5",
    "pydantic>=2.10",
    "lightning-fabric>=2.6.1",
    "typer>=0.15",
    "rich>=13.9",
    "matplotlib>=3.9",
    "jinja2>=3.1.6",
    "einops>=0.8",
)
"""As in pyproject.toml, where the reasons stand; inside Slicer the library is not installed as a package that tells."""


def python() -> Diagnosis:
    """The interpreter."""
    found = f"{platform.python_version()} on {platform.system()} ({platform.machine()})"
    if sys.version_info >= OLDEST_PYTHON:
        return Diagnosis("Python", "good", found)
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return Diagnosis("Python", "missing", found, f"install Python {oldest} or newer")


def packages() -> Iterator[Diagnosis]:
    """One diagnosis for each package that is missing or too old, and one for all others."""
    there: list[str] = []
    for requirement in REQUIREMENTS:
        name, oldest = requirement.split(">=")
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Diagnosis(name, "missing", "not installed", _advice(requirement))
            continue
        if _numbers(version) < _numbers(oldest):
            yield Diagnosis(name, "missing", f"{version}, too old", _advice(requirement))
        else:
            there.append(f"{name} {version}")
    yield Diagnosis("packages", "good" if there else "missing", ", ".join(there) or "none of those that are needed")


def _advice(requirement: str) -> str:
    return f'install it: python -m pip install "{requirement}" (in Slicer: Set up in the HQCSegment panel)'


def _numbers(version: str) -> tuple[int, ...]:
    """The leading numbers of a version: 2.13.0+cpu is (2, 13, 0)."""
    numbers = []
    for part in version.partition("+")[0].split("."):
        if not part.isdigit():
            break
        numbers.append(int(part))
    return tuple(numbers)
