"""What a structure set or a DICOM SEG needs to know of the image series that it refers to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SeriesReference:
    """The files of one DICOM image series, in the order of the image's k axis.

    `files[k]` holds the slice `image.array[:, :, k]`; a multi-frame file is there once for each of its frames. Patient
    and study attributes are read from these files at the moment when something is written for the same patient, and are
    kept nowhere else.
    """

    files: tuple[Path, ...]
    series_instance_uid: str
    frame_of_reference_uid: str
    sop_instance_uids: tuple[str, ...]
