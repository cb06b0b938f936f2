"""Cores, memory and disk."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from HQCSegmentLib.cohort.threads import available_cores
from HQCSegmentLib.doctor.diagnosis import Diagnosis

MEMORY_NEEDED = 8e9
"""Bytes; segmenting a large CT and fine-tuning with default patches stay below it."""

DISK_NEEDED = 5e9
"""Bytes for prepared images and models of a small cohort."""


def processor() -> Diagnosis:
    """Cores that this process may use."""
    cores = available_cores()
    if cores > 1:
        return Diagnosis("processor", "good", f"{cores} cores")
    return Diagnosis("processor", "note", "one core", "training takes long; --budget and a small network help")


def memory() -> Diagnosis:
    """Memory of the computer, where the system tells."""
    try:
        size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return Diagnosis("memory", "note", "not known", f"{MEMORY_NEEDED / 1e9:.0f} GB are needed for large images")
    found = f"{size / 1e9:.1f} GB"
    if size >= MEMORY_NEEDED:
        return Diagnosis("memory", "good", found)
    return Diagnosis("memory", "note", found, "close other programs, or train with smaller patches (--patch 64,64,64)")


def disks() -> Iterator[Diagnosis]:
    """The folder of temporary files and that of prepared images: writable, and with room."""
    yield _disk("temporary files", Path(tempfile.gettempdir()))
    try:
        from HQCSegmentLib.cohort.cache import Cache, default_folder
    except ImportError:
        return
    kept = Cache.open()
    if kept.folder is None:
        advice = "choose another folder with the environment variable HQC_CACHE, or use --no-cache"
        yield Diagnosis("prepared images", "note", f"{default_folder()} cannot be written", advice)
        return
    yield _disk("prepared images", kept.folder, holding=f", holding {kept.size() / 1e6:,.0f} MB")


def _disk(subject: str, folder: Path, *, holding: str = "") -> Diagnosis:
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"0")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return Diagnosis(subject, "missing", f"{folder}: {error.strerror}", "make room, or choose another folder")
    found = f"{folder}{holding}; {free / 1e9:.1f} GB free"
    if free < DISK_NEEDED:
        return Diagnosis(subject, "note", found, "make room: a full disk stops a run (its state is kept)")
    return Diagnosis(subject, "good", found)
