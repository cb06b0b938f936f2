"""What a structure set or a DICOM SEG needs to know of the image series that it refers to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SeriesReference:
    """The files of one DICOM image series, in the order of the image's k axis.

    Patient and study attributes are read from these files at the moment when something is written for the same patient,
    and are kept nowhere else.

    Attributes:
        files: `files[k]` holds the slice `image.array[:, :, k]`; a multi-frame file is there once for each frame.
        series_instance_uid: (0020,000E).
        frame_of_reference_uid: (0020,0052); empty where the files have none.
        sop_instance_uids: (0008,0018) of each of `files`.
    """

    files: tuple[Path, ...]
    series_instance_uid: str
    frame_of_reference_uid: str
    sop_instance_uids: tuple[str, ...]
