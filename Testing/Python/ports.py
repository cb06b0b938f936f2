"""Ports of this computer for servers that tests start."""

from __future__ import annotations

import socket


def free_port() -> int:
    """Port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]
