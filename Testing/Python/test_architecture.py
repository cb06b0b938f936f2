"""The arrows between the packages go one way, and importing the library stays cheap."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "HQCSegmentLib"
NAME = LIBRARY.name

SLICER = {"slicer", "qt", "ctk", "vtk", "mrml", "vtkmodules", "PythonQt"}
HEAVY = ("torch", "monai", "SimpleITK", "matplotlib", "pennylane")
WORKING = {"training", "inference", "planning", "evaluation"}
FRONT = {"cli", "demo"}
STUDIES = {"comparison", "doctor"}
MAY_IMPORT_FRONT = {*FRONT, "__main__.py"}
# What each package may not import, lowest first. qpg has its own, stricter test.
FORBIDDEN = {
    "imaging": {"cohort", "networks", "bundle"} | WORKING | STUDIES | FRONT,
    "cohort": WORKING | STUDIES | FRONT,
    "networks": WORKING | STUDIES | FRONT,
    "bundle": WORKING | STUDIES | FRONT,
    "training": STUDIES | FRONT,
    "inference": STUDIES | FRONT,
    "planning": STUDIES | FRONT,
    "evaluation": STUDIES | FRONT,
    "comparison": FRONT,
    "doctor": FRONT,
}
# `Bundle.segment` is public: it hands over to inference when it is called.
ALLOWED_UPWARDS = {
    "HQCSegmentLib/bundle/bundle.py imports HQCSegmentLib.inference",
    "HQCSegmentLib/bundle/bundle.py imports HQCSegmentLib.inference.segment",
}
# The one arrow upwards: users expect `bundle.segment(image)`.
EXCEPTIONS = {("bundle.py", "inference")}
QPG_MAY_IMPORT = {"torch", "pennylane", "numpy", "__future__"} | sys.stdlib_module_names


def module_of(source: Path) -> str:
    """Name the module that a source file is."""
    parts = source.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def absolute(node: ast.ImportFrom, source: Path) -> str:
    """Give the module that a `from ... import` names, with leading dots resolved."""
    if node.level == 0:
        return node.module or ""
    package = module_of(source).split(".")
    if source.name != "__init__.py":
        package = package[:-1]
    base = package[: len(package) - (node.level - 1)]
    return ".".join([*base, *([node.module] if node.module else [])])


def imports_of(source: Path) -> Iterator[str]:
    """Give every module a file imports, anywhere in it; names after `from x import` may be modules too."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = absolute(node, source)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def sources(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imports_where(files: list[Path], is_wrong: Callable[[str], bool]) -> list[str]:
    """List the imports that are wrong, as sentences."""
    return [
        f"{file.relative_to(ROOT).as_posix()} imports {name}"
        for file in files
        for name in imports_of(file)
        if is_wrong(name)
    ]


def part_of_library(name: str) -> str:
    """Give the part of the library that a module name begins with; nothing for other modules."""
    top, _, rest = name.partition(".")
    return rest.split(".")[0] if top == NAME else ""


def loaded_after(statement: str) -> set[str]:
    """Run a statement in a fresh Python and name the heavy packages that it loaded."""
    code = f"{statement}\nimport sys\nprint(*[n for n in {HEAVY!r} if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(run.stdout.splitlines()[-1].split())


def test_the_library_has_sources():
    assert len(sources(LIBRARY)) > 5


def test_the_library_never_imports_slicer():
    assert imports_where(sources(LIBRARY), lambda name: name.split(".")[0] in SLICER) == []


def test_qpg_stands_alone():
    def is_foreign(name: str) -> bool:
        return name.split(".")[0] not in QPG_MAY_IMPORT and part_of_library(name) != "qpg"

    assert imports_where(sources(LIBRARY / "qpg"), is_foreign) == []


@pytest.mark.parametrize("package", FORBIDDEN)
def test_arrows_go_one_way(package: str):
    files = sources(LIBRARY / package)
    upwards = imports_where(files, lambda name: part_of_library(name) in FORBIDDEN[package])
    assert set(upwards) - ALLOWED_UPWARDS == set()


def test_only_the_command_imports_the_command():
    files = [file for file in sources(LIBRARY) if file.relative_to(LIBRARY).parts[0] not in MAY_IMPORT_FRONT]
    assert imports_where(files, lambda name: part_of_library(name) in FRONT) == []


def test_the_library_does_not_import_through_its_own_front_door():
    """The names of the package itself are loaded from everywhere, past the arrows above."""

    def is_public_name(name: str) -> bool:
        part = part_of_library(name)
        is_module = (LIBRARY / part).is_dir() or (LIBRARY / f"{part}.py").exists()
        return bool(part) and not is_module and part != "__version__"

    assert imports_where(sources(LIBRARY), is_public_name) == []


def test_importing_the_library_loads_nothing_heavy():
    assert loaded_after(f"import {NAME}") == set()


def test_help_of_the_command_loads_nothing_heavy():
    call = (
        f"import sys\nfrom {NAME}.cli import main\nsys.argv = ['hqcsegment', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass"
    )
    assert loaded_after(call) == set()


def test_what_the_panel_reads_of_settings_loads_nothing_heavy():
    """Its fields are made in the process of the window."""
    options = ", ".join(f"{NAME}.cli.{command}_options" for command in ("train", "segment", "send", "evaluate"))
    assert loaded_after(f"import {options}") == set()


def test_segment_of_inference_is_the_function_whatever_was_imported_before():
    call = (
        f"from {NAME}.inference import winning_outputs\nfrom {NAME}.inference import segment\nassert callable(segment)"
    )
    assert "torch" in loaded_after(call)


SCRIPTS = sorted(
    path
    for place in ("Testing/Apple", "Testing/Benchmarks", "Testing/Cuda", "Testing/Robustness", "Utilities")
    for path in (ROOT / place).rglob("*.py")
)


@pytest.mark.parametrize("script", SCRIPTS, ids=[path.name for path in SCRIPTS])
def test_scripts_that_no_test_runs_ask_for_names_that_are_there(script: Path):
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(NAME):
            names = [alias.name for alias in node.names]
            __import__(node.module, fromlist=names)
            missing = [name for name in names if not hasattr(sys.modules[node.module], name)]
            assert not missing, f"{node.module} has no {', '.join(missing)}"
