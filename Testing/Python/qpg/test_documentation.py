"""Docs/qpg.md and circuits.md say what is true: examples run as they stand, and tables name what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from HQCSegmentLib import qpg

DOCUMENT = Path(__file__).resolve().parents[3] / "Docs" / "qpg.md"


@pytest.fixture
def text() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


def test_the_example_runs(text, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(compile(code, str(DOCUMENT), "exec"), {})
    # 16 circuits of 8 qubits, 8 of 9, depth 2; two numbers for each; 24 biases.
    assert capsys.readouterr().out == f"{16 * 8 * 2 + 8 * 9 * 2 + 24 * 2 + 24} numbers are trained\n"


def test_the_table_names_what_there_is(text):
    cells = re.findall(r"^\| (`.*?) \|", text, flags=re.MULTILINE)
    names = [name for cell in cells for name in re.findall(r"`(\w+)", cell)]
    assert len(names) >= 8
    assert set(names) <= set(qpg.__all__)


def test_the_example_of_circuits_runs_and_its_table_names_what_there_is(capsys):
    document = DOCUMENT.with_name("circuits.md")
    (code,) = re.findall(r"```python\n(.*?)```", document.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile(code, str(document), "exec"), {})
    assert "0: ──RY─╭●" in capsys.readouterr().out
    _, table = document.read_text(encoding="utf-8").split("| name in `HQCSegmentLib.qpg` | does |")
    cells = re.findall(r"^\| (`.*?) \|", table, flags=re.MULTILINE)
    names = [name for cell in cells for name in re.findall(r"`(\w+)", cell)]
    assert len(names) >= 8
    assert set(names) <= set(qpg.__all__)
