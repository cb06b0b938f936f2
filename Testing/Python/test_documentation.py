"""README, changelog and Docs name commands, options, files, links and functions that there are."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from HQCSegmentLib.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "Docs").glob("*.md"))]

GROUP = typer.main.get_command(app)

OTHER_PROGRAMS = (
    "--extra-index-url", "--find-links", "--gpus-per-node", "--logdir", "--master-addr", "--master-port", "--no-index",
    "--no-main-window", "--no-splash", "--nnodes", "--node-rank", "--nodes", "--nproc-per-node", "--ntasks-per-node",
    "--only-binary", "--python-script", "--time",
)  # fmt: skip
"""Options of pip, torchrun, SLURM, TensorBoard and Slicer that the pages show."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def each_page(function):
    return pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)(function)


def lines_of_code(text: str) -> Iterator[str]:
    """Lines of indented and fenced blocks; those that end in a backslash with the next."""
    fenced = False
    pending = ""
    for line in text.splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced or line.startswith("    ") or pending:
            pending += line.strip().removesuffix("\\")
            if not line.rstrip().endswith("\\"):
                yield pending
                pending = ""


def shown_commands(text: str) -> list[list[str]]:
    """Words of the calls of the command in blocks, with the parts in brackets; not of those that are cut short."""
    lines = "\n".join(lines_of_code(text))
    calls = re.findall(r"^(?:hqcsegment|.*-m HQCSegmentLib) (.*?)\"?$", lines, flags=re.MULTILINE)
    whole = [re.sub(r"[][]|\.\.\.", "", call) for call in calls if not call.endswith(" ...")]
    return [shlex.split(re.sub(r"\bPORT\b", "104", call), comments=True) for call in whole]


def command_of(words: list[str]) -> tuple[TyperCommand | TyperGroup, list[str]]:
    """The command that words name, of a group too, and the words that are left."""
    command: TyperCommand | TyperGroup = GROUP
    while isinstance(command, TyperGroup) and words and not words[0].startswith("-"):
        name, *words = words
        assert name in command.commands, f"hqcsegment has no command {name}"
        command = command.commands[name]
    return command, words


def options_of(command: TyperCommand | TyperGroup) -> set[str]:
    own = {name for one in command.params for name in (*one.opts, *one.secondary_opts) if name.startswith("--")}
    below = command.commands.values() if isinstance(command, TyperGroup) else ()
    return own.union(*(options_of(one) for one in below), {"--help", "--debug"})


def written_options(text: str) -> set[str]:
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*[a-z]\b", text))


SCRIPTS = [ROOT / "bootstrap.py", ROOT / "HQCSegment/HQCSegmentSlicer/batch.py", *(ROOT / "Testing").rglob("*.py")]


@each_page
def test_every_command_that_is_shown_can_be_typed(page: Path):
    for words in shown_commands(text_of(page)):
        command, rest = command_of(words)
        command.make_context(command.name, rest)


def test_commands_are_found_in_the_pages():
    assert len([words for page in PAGES for words in shown_commands(text_of(page))]) > 20


@each_page
def test_commands_in_the_text_have_the_options_that_they_are_shown_with(page: Path):
    for call in re.findall(r"`hqcsegment\s+([^`]+)`", text_of(page)):
        words = call.replace("|", " ").split()
        command, rest = command_of(words)
        assert written_options(" ".join(rest)) <= options_of(command), call


@each_page
def test_every_option_is_one_of_the_command_or_of_a_script(page: Path):
    known = options_of(GROUP).union(OTHER_PROGRAMS, *(written_options(text_of(script)) for script in SCRIPTS))
    assert written_options(text_of(page)) - known == set()


@each_page
def test_scripts_have_the_options_that_they_are_called_with(page: Path):
    calls = re.findall(r"python3? (Testing/\S+\.py)([^`#]*?)(?:`|\n\n|\n(?=[^ ]))", text_of(page))
    for script, arguments in calls:
        assert written_options(arguments) <= written_options(text_of(ROOT / script)), script


@each_page
def test_files_of_the_repository_that_are_named_exist(page: Path):
    top = "|".join(("Docs", "HQCSegment", "HQCSegmentLib", "Resources", "Testing", "Utilities"))
    named = re.findall(rf"(?<![\w/.-])(?:{top})/[\w./-]*\w", text_of(page))
    assert [name for name in named if not (ROOT / name).exists()] == []


def anchors_of(page: Path) -> set[str]:
    """Of the headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_and_pictures_exist(page: Path):
    for target, anchor in re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text_of(page)):
        there = page.parent / target if target else page
        assert there.exists(), target
        assert not anchor or anchor in anchors_of(there), f"{target}#{anchor}"


def test_the_readme_lists_every_page():
    assert [page.name for page in PAGES[2:] if f"(Docs/{page.name})" not in text_of(PAGES[0])] == []


@each_page
def test_variables_of_the_environment_are_read_somewhere(page: Path):
    sources = [
        text_of(file) for folder in ("HQCSegment", "HQCSegmentLib", "Testing") for file in (ROOT / folder).rglob("*.py")
    ]
    named = set(re.findall(r"\b(?:HQC|SLICER)_[A-Z_]+\b", text_of(page)))
    assert [name for name in named if not any(name in source for source in sources)] == []


@each_page
def test_what_is_imported_can_be_imported(page: Path):
    for line in lines_of_code(text_of(page)):
        if re.match(r"(from HQCSegmentLib[\w.]* )?import ", line) and "slicer" not in line:
            exec(line, {})
