"""Prepared arrays on disk, so that the next run, fold or attempt maps them into memory instead of computing them again.

The name of a file is a hash of everything that its content follows from: voxels, geometry, settings and the code that
prepares them. So nothing is ever out of date, runs side by side can only write the same bytes, and a file appears under
its name when it is complete. The files hold voxels and nothing of a header; only the user can read them.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from HQCSegmentLib.cohort import preprocessing as preparing
from HQCSegmentLib.cohort import resampling
from HQCSegmentLib.cohort.preprocessing import Prepared, Preprocessing, check_channels, prepare, prepare_label
from HQCSegmentLib.files import replacing
from HQCSegmentLib.imaging import Image, Reorientation

PLACE = "HQC_CACHE"
"""Environment variable of the folder."""

KEPT_DAYS = 30
"""Files that were not used for so long are removed when the cache is opened."""

LEFT_OVER_DAYS = 1
"""Unfinished files of a run that was killed are removed after this time; a running one needs minutes."""


@dataclass
class Cache:
    """A folder of prepared arrays.

    Attributes:
        folder: Where the files are; None: nothing is kept.
        found: Arrays that were there.
        made: Arrays that were computed.
    """

    folder: Path | None
    found: int = field(default=0, init=False)
    made: int = field(default=0, init=False)

    @classmethod
    def open(cls, folder: Path | None = None) -> Cache:
        """The user's cache (HQC_CACHE, or where the system keeps caches), tidied up; without one if it is unusable."""
        folder = folder or default_folder()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            _tidy(folder)
        except OSError:
            return cls(None)
        return cls(folder)

    def prepare(self, image: Image, settings: Preprocessing) -> Prepared:
        """As `cohort.prepare`; the array is mapped from disk, private to this process.

        Raises:
            InputError: as `cohort.prepare`.
        """
        reorientation = Reorientation.to_ras(image.affine)
        target = image.grid.reoriented(reorientation).resampled(settings.spacing)
        check_channels(image, settings.names)
        key = _key(image.channels, image.affine, settings.model_dump_json())
        shape = (len(image.channels), *target.shape)
        array = self._array(key, lambda: prepare(image, settings).array, shape=shape, dtype=np.float32)
        return Prepared(array, target, image.grid, reorientation)

    def prepare_label(self, label: npt.NDArray[np.uint16], prepared: Prepared) -> npt.NDArray[np.uint16]:
        """As `cohort.prepare_label`; the array is mapped from disk, private to this process."""
        key = _key([label], prepared.source.affine, repr(prepared.grid.shape))
        make = functools.partial(prepare_label, label, prepared)
        return self._array(key, make, shape=prepared.grid.shape, dtype=label.dtype)

    def size(self) -> int:
        """Bytes on disk, of all runs together."""
        if self.folder is None:
            return 0
        sizes = []
        for file in self.folder.glob("*.npy"):
            with contextlib.suppress(OSError):  # another run may tidy up
                sizes.append(file.stat().st_size)
        return sum(sizes)

    def _array(
        self, key: str, make: Callable[[], npt.NDArray], *, shape: tuple[int, ...], dtype: npt.DTypeLike
    ) -> npt.NDArray:
        if self.folder is None:
            return make()
        path = self.folder / f"{key}.npy"
        array = _mapped(path, shape, dtype)
        if array is not None:
            self.found += 1
            with contextlib.suppress(OSError):
                os.utime(path)
            return array
        made = make()
        self.made += 1
        # A full disk or a lost folder costs the cache, not the run. Where another run was faster (and Windows keeps
        # its file in place), its bytes are the same.
        with contextlib.suppress(OSError):
            with replacing(path) as temporary:
                np.save(temporary, made)
            path.chmod(0o600)
        array = _mapped(path, shape, dtype)
        return made if array is None else array


def default_folder() -> Path:
    """HQC_CACHE, or the folder `hqcsegment` where the operating system keeps caches of the user."""
    if os.environ.get(PLACE):
        return Path(os.environ[PLACE])
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "hqcsegment"


def _mapped(path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray | None:
    """The array of a file, copied page by page when it is written to; None where it is missing or damaged."""
    try:
        array = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return array if array.shape == tuple(shape) and array.dtype == dtype else None


def _key(arrays: Sequence[npt.NDArray], affine: npt.NDArray, settings: str) -> str:
    """Hash of voxels, geometry, settings and code."""
    digest = hashlib.sha256(_code())
    digest.update(f"{[array.dtype.str for array in arrays]} {arrays[0].shape} {settings}".encode())
    digest.update(np.ascontiguousarray(affine, np.float64).tobytes())
    for array in arrays:
        # Images lie with their slices apart in memory: the transposed array is often contiguous, and the same voxels.
        digest.update(np.ascontiguousarray(array.T).data)
    return digest.hexdigest()


@functools.cache
def _code() -> bytes:
    """Hash of the modules that prepare images, so that a new version of them never takes arrays of an old one."""
    digest = hashlib.sha256()
    for module in (preparing, resampling):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.digest()


def _tidy(folder: Path) -> None:
    """Remove what has not been used for long."""
    now = time.time()
    for file in folder.glob("*.npy"):
        days = LEFT_OVER_DAYS if file.name.startswith(".") else KEPT_DAYS
        with contextlib.suppress(OSError):
            if now - file.stat().st_mtime > days * 86400:
                file.unlink()
