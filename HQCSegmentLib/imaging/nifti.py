"""What ITK's NIfTI reader passes over in silence: files that are cut off, and voxels that are no numbers.

It leaves the rest of a volume zero, and makes zero of NaN, without an error. So the bytes are looked at once more.
Format: nifti1.h of the NIfTI-1.1 standard.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from HQCSegmentLib.errors import InputError

SUFFIXES = (".nii", ".nii.gz")

HEADER_1, HEADER_2 = 348, 540
"""Bytes of the header, which are also its first number: NIfTI-1 and NIfTI-2."""

FLOATS = {16: "f4", 64: "f8"}
"""Type codes of real numbers, and numpy's names."""

PIECE = 2**20


def is_nifti(path: Path) -> bool:
    """Whether a file is called NIfTI."""
    return path.name.lower().endswith(SUFFIXES)


def check_nifti(path: Path, *, name: str) -> None:
    """Look at all bytes of a file; what is no NIfTI is left to the reader.

    Raises:
        InputError: if the file is NIfTI-2, cut off or damaged, or holds voxels that are not finite numbers.
    """
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    try:
        with gzip.open(path) if compressed else path.open("rb") as stream:
            header = stream.read(HEADER_1)
            order = _byte_order(header, HEADER_1)
            if _byte_order(header, HEADER_2) is not None:
                msg = f"{name}: {path} is a NIfTI-2 file, which is not read; save it as NIfTI-1 (.nii.gz), NRRD or MHA."
                raise InputError(msg, code="nifti-2")
            is_whole, is_finite = _look_at(stream, header, order)
    except (OSError, EOFError, zlib.error, struct.error):
        is_whole, is_finite = False, True
    if not is_whole:
        msg = f"{name}: {path} cannot be read as an image (the file is cut off or damaged); copy or export it again."
        raise InputError(msg)
    if not is_finite:
        msg = f"case {name}: {path.name} holds values that are not finite numbers (NaN or infinite); export it again."
        raise InputError(msg, code="not-finite")


def _byte_order(header: bytes, length: int) -> str | None:
    """Byte order in which the header says that it is so long."""
    if len(header) < struct.calcsize("i"):
        return None
    return next((order for order in "<>" if struct.unpack_from(f"{order}i", header)[0] == length), None)


def _look_at(stream: gzip.GzipFile | io.BufferedReader, header: bytes, order: str | None) -> tuple[bool, bool]:
    """Whether all voxels are there, and are finite numbers. Reading to the end also compares the checksum."""
    if order is None:
        while stream.read(PIECE):
            pass
        return True, True
    dimensions, *sizes = struct.unpack_from(f"{order}8h", header, 40)
    kind, bits = struct.unpack_from(f"{order}2h", header, 70)
    (first,) = struct.unpack_from(f"{order}f", header, 108)
    missing = math.prod(max(1, size) for size in sizes[:dimensions]) * bits // 8
    stream.read(max(0, int(first) - len(header)))
    is_finite = True
    while piece := stream.read(PIECE):
        if kind in FLOATS:
            number = min(len(piece), max(0, missing)) // (bits // 8)
            is_finite = is_finite and bool(np.isfinite(np.frombuffer(piece, f"{order}{FLOATS[kind]}", number)).all())
        missing -= len(piece)
    return missing <= 0, is_finite
