"""What CMake packages is what the source tree has."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_spec = importlib.util.spec_from_file_location("update_cmake_lists", ROOT / "Testing" / "update_cmake_lists.py")
update_cmake_lists = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(update_cmake_lists)


@pytest.mark.parametrize("package", update_cmake_lists.PACKAGES)
def test_lists_equal_the_tree(package):
    text = (ROOT / package / "CMakeLists.txt").read_text(encoding="utf-8")
    lists = update_cmake_lists.packaged_files(ROOT / package)
    assert update_cmake_lists.updated(text, lists) == text, "run python Testing/update_cmake_lists.py"


def test_what_is_listed():
    lists = update_cmake_lists.packaged_files(ROOT / "HQCSegment")
    assert {"HQCSegment.py", "HQCSegmentSlicer/__init__.py", "HQCSegmentSlicer/panel/section.py"} <= set(
        lists["scripts"]
    )
    assert {
        "Resources/Icons/HQCSegment.png",
        "Resources/UI/HQCSegment.ui",
        "Resources/requirements.txt",
    } <= set(lists["resources"])
    library = update_cmake_lists.packaged_files(ROOT / "HQCSegmentLib")
    assert "imaging/geometry.py" in library["scripts"]
    assert "py.typed" in library["resources"]


def test_update_replaces_only_between_the_markers():
    text = "set(A\n  # begin scripts\n  old.py\n  # end scripts\n  )\n# begin resources\n# end resources\nrest\n"
    new = update_cmake_lists.updated(text, {"scripts": ["a.py", "b/c.py"], "resources": ["d.json"]})
    assert new == (
        "set(A\n  # begin scripts\n  a.py\n  b/c.py\n  # end scripts\n  )\n"
        "# begin resources\nd.json\n# end resources\nrest\n"
    )
    assert update_cmake_lists.updated(new, {"scripts": ["a.py", "b/c.py"], "resources": ["d.json"]}) == new
    with pytest.raises(ValueError, match="begin scripts"):
        update_cmake_lists.updated("", {"scripts": []})


def test_requirements_are_those_of_the_package():
    """Without torch and SimpleITK, which come from elsewhere; the file says why."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = {
        requirement
        for requirement in project["dependencies"]
        if re.split(r"[<>=!~\[ ]", requirement)[0] not in {"torch", "SimpleITK"}
    }
    lines = (ROOT / "HQCSegment/Resources/requirements.txt").read_text(encoding="utf-8").splitlines()
    assert {line for line in lines if line and not line.startswith("#")} == wanted


def test_torch_requirement_is_that_of_the_package():
    from HQCSegmentSlicer.dependencies import TORCH_REQUIREMENT

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"torch{TORCH_REQUIREMENT}" in project["dependencies"]


def test_extension_metadata():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert "project(HQCSegment" in text
    assert 'set(EXTENSION_DEPENDS "PyTorch")' in text
    for folder in ("HQCSegment", "HQCSegmentLib", "Testing"):
        assert f"add_subdirectory({folder})" in text
        assert (ROOT / folder / "CMakeLists.txt").is_file()
