"""What the `hqcsegment` command of this installation can do, as it says itself."""

from __future__ import annotations

import functools


@functools.cache
def options_of_command(command: str) -> frozenset[str]:
    """Options of a command, such as --fast; empty for a command that there is not."""
    import typer.main

    from HQCSegmentLib.cli.app import app

    found = getattr(typer.main.get_command(app), "commands", {}).get(command)
    return frozenset(option for parameter in found.params for option in parameter.opts) if found else frozenset()
