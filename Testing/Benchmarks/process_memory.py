"""Memory of this process as the system counts it (Linux)."""

from __future__ import annotations

from pathlib import Path


def process_kibibytes(field: str) -> int:
    """Memory of this process now (VmRSS) or at its peak (VmHWM); Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))
