"""Memory that is freed is kept for the next layer, not given back to the system and asked for anew."""

from __future__ import annotations

import contextlib
import ctypes
import platform
import threading
from collections.abc import Iterator

MMAP_THRESHOLD, MMAP_MAX, TRIM_THRESHOLD = -3, -4, -1
"""Parameters of glibc's `mallopt` (malloc.h)."""

USUAL_BYTES = 32 * 2**20
"""Largest block that glibc takes from its heap by itself."""

USUAL_BLOCKS = 65536
"""So many larger blocks glibc takes from the system, each by itself."""

LARGEST_BYTES = 2**30

NEVER = -1
"""As a threshold: free memory at the end of the heap is never given back by itself."""

_lock = threading.Lock()
_users = 0


@contextlib.contextmanager
def reusing_memory() -> Iterator[None]:
    """Keep large freed blocks in the heap while the block runs; afterwards they go back to the system.

    Every layer of a network makes its output anew. glibc takes blocks of such a size from the system each time, which
    clears them page by page: with a 3D UNet on windows of 96 voxels, this is 45 % of the processor time
    (Docs/inference.md), and of training steps a sixth to a quarter of the time (Docs/results.md). Does nothing where
    the C library is not glibc. The setting holds for the whole process, until the last of the blocks inside each other,
    or of several threads, has ended; each gives back what is free at its end.
    """
    library = _glibc()
    if library is None:
        yield
        return
    _use(library, 1)
    try:
        yield
    finally:
        _use(library, -1)
        library.malloc_trim(0)


def _use(library: ctypes.CDLL, more: int) -> None:
    global _users
    with _lock:
        before, _users = _users, _users + more
        if not before:
            if not library.mallopt(MMAP_THRESHOLD, LARGEST_BYTES):
                # glibc up to 2.34 refuses more than USUAL_BYTES.
                library.mallopt(MMAP_MAX, 0)
            library.mallopt(TRIM_THRESHOLD, NEVER)
        elif not _users:
            library.mallopt(MMAP_THRESHOLD, USUAL_BYTES)
            library.mallopt(MMAP_MAX, USUAL_BLOCKS)
            library.mallopt(TRIM_THRESHOLD, 2 * USUAL_BYTES)


def _glibc() -> ctypes.CDLL | None:
    if platform.libc_ver()[0] != "glibc":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None
