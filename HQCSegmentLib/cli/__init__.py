"""The `hqcsegment` command."""

from HQCSegmentLib.cli.app import main

__all__ = ["main"]
