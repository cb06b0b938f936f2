"""Contour items of a structure set (DICOM PS3.3 C.8.8.6) as bytes.

A noisy segmentation has a hundred thousand contours with millions of coordinates. pydicom makes and checks an object
for each of them, which takes minutes; the bytes themselves take seconds.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass

from HQCSegmentLib.imaging.geometry import FloatArray

COORDINATE_DIGITS = 3
"""Digits after the point of contour coordinates in millimetres.

A micrometre, and far within the 16 bytes of a DICOM decimal string, beyond which planning systems refuse a
file.
"""


CLOSED = "CLOSED_PLANAR"
"""Contours that each enclose an area of their own."""

CLOSED_XOR = "CLOSEDPLANAR_XOR"
"""Contours of a slice that are combined by exclusive or: a hole is a contour in a contour."""


@dataclass(frozen=True)
class Contour:
    """One closed contour.

    Attributes:
        points: LPS millimetres, shape (points, 3), the first not repeated at the end.
        sop_class_uid: Kind of the image that it is drawn on.
        sop_instance_uid: That image.
        geometric_type: Contour Geometric Type (3006,0042).
    """

    points: FloatArray
    sop_class_uid: str
    sop_instance_uid: str
    geometric_type: str = CLOSED


def encode_contours(contours: Iterable[Contour]) -> bytes:
    """Value of a Contour Sequence (3006,0040) in Implicit VR Little Endian; contours are numbered from 1."""
    return b"".join(_item(_contour(contour, number)) for number, contour in enumerate(contours, start=1))


def _contour(contour: Contour, number: int) -> bytes:
    """Attributes of one contour, in order of tag."""
    image = _text(0x0008, 0x1150, contour.sop_class_uid, b"\0") + _text(0x0008, 0x1155, contour.sop_instance_uid, b"\0")
    values = contour.points.ravel().tolist()
    coordinates = "\\".join([f"%.{COORDINATE_DIGITS}f"] * len(values)) % tuple(values)
    return (
        _element(0x3006, 0x0016, _item(image))  # Contour Image Sequence
        + _text(0x3006, 0x0042, contour.geometric_type)  # Contour Geometric Type
        + _text(0x3006, 0x0046, str(len(contour.points)))  # Number of Contour Points
        + _text(0x3006, 0x0048, str(number))  # Contour Number
        + _text(0x3006, 0x0050, coordinates)  # Contour Data
    )


def _item(content: bytes) -> bytes:
    """Item of a sequence, with explicit length (PS3.5 7.5)."""
    return _element(0xFFFE, 0xE000, content)


def _text(group: int, element: int, text: str, padding: bytes = b" ") -> bytes:
    """Element of ASCII text, padded to an even number of bytes: UIDs with a zero, others with a space."""
    value = text.encode("ascii")
    return _element(group, element, value + padding * (len(value) % 2))


def _element(group: int, element: int, value: bytes) -> bytes:
    return struct.pack("<HHI", group, element, len(value)) + value
