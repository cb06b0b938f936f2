"""Stand-in of Slicer's executable: takes its command line and runs scripts with this Python and slicer-core.

    python slicer_stand_in.py --no-splash --no-main-window --python-script FILE [what the script takes]

Options, their order of work, what a script finds in `sys.argv`, and the exit codes are those of Slicer's
qSlicerCoreApplication::handleCommandLineArguments. There is no window, and of the application only what
`slicer_application` has.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
import unittest
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SWITCHES = {"--no-splash", "--no-main-window", "--testing", "--ignore-slicerrc", "--disable-settings"}
WITH_VALUE = {"--python-script", "--python-code"}


@dataclass
class CommandLine:
    """What Slicer makes of its arguments.

    Attributes:
        switches: Options without a value.
        values: Options with one.
        module_paths: Folders of modules.
        rest: What Slicer does not know, in order; it goes to the script.
    """

    switches: set[str] = field(default_factory=set)
    values: dict[str, str] = field(default_factory=dict)
    module_paths: list[str] = field(default_factory=list)
    rest: list[str] = field(default_factory=list)


def parse(words: list[str]) -> CommandLine:
    """Sort the arguments; what follows `--` is the script's."""
    found = CommandLine()
    pending = list(words)
    while pending:
        word = pending.pop(0)
        if word == "--":
            found.rest += pending
            break
        if word in SWITCHES:
            found.switches.add(word)
        elif word in WITH_VALUE:
            found.values[word] = pending.pop(0)
        elif word == "--additional-module-paths":
            while pending and not pending[0].startswith("--"):
                found.module_paths.append(pending.pop(0))
        else:
            found.rest.append(word)
    return found


def run_unit_test(path: list[str], name: str) -> None:
    """`slicer.testing.runUnitTest`."""
    sys.path.extend(path)
    suite = unittest.TestLoader().loadTestsFromName(name)
    if not unittest.TextTestRunner(verbosity=2).run(suite).wasSuccessful():
        raise Exception("a test failed")


def start_application(command: CommandLine) -> None:
    """Make `slicer` what scripts expect, with the modules of the given folders."""
    import slicer
    import slicer_application

    slicer_application.install_widgets()
    slicer_application.install_stand_ins()
    slicer_application.ScriptedLoadableModuleWidgetStandIn.module_folder = ROOT / "HQCSegment"
    slicer_application.Application()
    slicer.testing = ModuleType("slicer.testing")
    slicer.testing.runUnitTest = run_unit_test
    sys.modules["slicer.testing"] = slicer.testing
    slicer.qSlicerScriptedLoadableModuleWidget = ModuleWidgetStandIn
    modules: dict[str, ModuleStandIn] = {}
    for folder in command.module_paths:
        assert Path(folder).is_dir(), f"{folder} is no folder"
        sys.path.append(folder)
        for file in Path(folder).glob("*.py"):
            modules[file.stem] = ModuleStandIn(file.stem)
    slicer.app.moduleManager = lambda: SimpleNamespace(module=modules.get)


class ModuleWidgetStandIn:
    """`qSlicerScriptedLoadableModuleWidget`: holds the panel that Python made."""

    def __init__(self, widget: Any) -> None:
        self._widget = widget

    def self(self) -> Any:
        return self._widget


class ModuleStandIn:
    """A scripted module, whose panel is made when it is first asked for."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._representation: ModuleWidgetStandIn | None = None

    def widgetRepresentation(self) -> ModuleWidgetStandIn:
        if self._representation is None:
            widget = getattr(importlib.import_module(self._name), f"{self._name}Widget")()
            widget.setup()
            self._representation = ModuleWidgetStandIn(widget)
        return self._representation


def main(words: list[str]) -> int:
    """Run script and code, and give the exit code."""
    command = parse(words)
    start_application(command)
    script, failed = command.values.get("--python-script", ""), False
    sys.argv = [script, *command.rest]
    pieces = [(command.values.get("--python-code", ""), "<string>")]
    if script:
        pieces.insert(0, (Path(script).read_text(encoding="utf-8"), script))
    for code, name in pieces:
        try:
            exec(compile(code, name, "exec", dont_inherit=True), {"__name__": "__main__", "__file__": name})
        except Exception:
            traceback.print_exc()
            failed = True
    if "--testing" not in command.switches:
        print("stand-in of Slicer: the script did not exit, so that Slicer would stay open", file=sys.stderr)
        return 99
    return int(failed)


if __name__ == "__main__":
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    sys.exit(main(sys.argv[1:]))
