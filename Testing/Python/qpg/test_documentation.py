"""The example of Docs/qpg.md runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

DOCUMENT = Path(__file__).resolve().parents[3] / "Docs" / "qpg.md"


def test_the_example_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile(code, str(DOCUMENT), "exec"), {})
    assert "numbers are trained" in capsys.readouterr().out
