"""Installing what is missing, with stand-ins of the PyTorch extension and of slicer.packaging."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import slicer
from HQCSegmentSlicer.dependencies import ensure_dependencies

REQUIREMENTS = Path(__file__).resolve().parents[2] / "HQCSegment" / "Resources" / "requirements.txt"


@pytest.fixture
def calls(monkeypatch) -> list:
    """What was asked of the stand-ins, in order; torch is not installed."""
    calls: list = []
    packaging = ModuleType("slicer.packaging")
    packaging.load_requirements = lambda path: Path(path).name
    packaging.pip_ensure = lambda requirements, requester: calls.append(("pip", requirements, requester))
    monkeypatch.setitem(sys.modules, "slicer.packaging", packaging)
    monkeypatch.setattr(slicer, "packaging", packaging, raising=False)
    torch_extension(monkeypatch, calls, answer="torch")
    torch_version(monkeypatch, None)
    return calls


def torch_extension(monkeypatch, calls: list, answer: str | None) -> None:
    def install(askConfirmation: bool, torchVersionRequirement: str) -> str | None:
        assert askConfirmation
        calls.append(("torch", torchVersionRequirement))
        return answer

    extension = ModuleType("PyTorchUtils")
    extension.PyTorchUtilsLogic = lambda: SimpleNamespace(installTorch=install)
    monkeypatch.setitem(sys.modules, "PyTorchUtils", extension)


def torch_version(monkeypatch, version: str | None) -> None:
    def find(name: str) -> str:
        assert name == "torch"
        if version is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return version

    monkeypatch.setattr(importlib.metadata, "version", find)


def test_torch_comes_first(calls):
    ensure_dependencies(REQUIREMENTS)
    assert calls == [("torch", ">=2.10"), ("pip", "requirements.txt", "HQCSegment")]


@pytest.mark.parametrize("version", ["2.10.0+cpu", "2.11.0a0+git1234", "3.0"])
def test_torch_that_is_good_enough_is_kept(calls, monkeypatch, version):
    torch_version(monkeypatch, version)
    ensure_dependencies(REQUIREMENTS)
    assert [call[0] for call in calls] == ["pip"]


def test_old_torch_is_replaced(calls, monkeypatch):
    torch_version(monkeypatch, "2.9.1")
    ensure_dependencies(REQUIREMENTS)
    assert [call[0] for call in calls] == ["torch", "pip"]


def test_declined(calls, monkeypatch):
    torch_extension(monkeypatch, calls, answer=None)
    with pytest.raises(RuntimeError, match="was not installed"):
        ensure_dependencies(REQUIREMENTS)
    assert [call[0] for call in calls] == ["torch"]


def test_without_the_extension(calls, monkeypatch):
    monkeypatch.setitem(sys.modules, "PyTorchUtils", None)
    with pytest.raises(RuntimeError, match="Install the PyTorch extension"):
        ensure_dependencies(REQUIREMENTS)
    assert not calls
