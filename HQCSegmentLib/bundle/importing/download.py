"""Models of the MONAI Model Zoo by name: over HTTPS, resumed where it broke off, and checked by their checksum.

A proxy is taken from the environment (HTTPS_PROXY). A hospital without internet can offer the list and the files on a
server of its own: HQC_MODEL_LIST is then the address of the list.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from HQCSegmentLib.errors import InputError, WorkError
from HQCSegmentLib.files import replacing_folder

LIST = "https://raw.githubusercontent.com/Project-MONAI/model-zoo/dev/models/model_info.json"
PLACE = "HQC_MODEL_LIST"
"""Environment variable of another list."""

LOCAL = ("127.0.0.1", "localhost")
"""Only this computer itself is asked without HTTPS."""

ATTEMPTS = 4
CHUNK = 1 << 20
MOST_BYTES = 8 << 30
"""Of an unpacked model; more is taken for an attack."""

_CHECKSUMS = {40: "sha1", 64: "sha256"}

Progress = Callable[[int, int], None]


def download_model(name: str, folder: Path, *, on_progress: Progress | None = None) -> Path:
    """Folder of a model of the Model Zoo, downloaded if it is not there.

    Args:
        name: As the Model Zoo has it, such as spleen_ct_segmentation, or with a version, spleen_ct_segmentation_v0.5.9.
        folder: Where downloads are kept.
        on_progress: Called with bytes that are there and bytes in all.

    Raises:
        InputError: for a name that the list does not have, or an address that is not HTTPS.
        WorkError: if it cannot be downloaded, or is not the file that the list names.
    """
    entry, address, checksum = _entry(name)
    unpacked = folder / entry
    if unpacked.is_dir():
        return unpacked
    archive = folder / f"{entry}.zip"
    download(address, archive, checksum=checksum, on_progress=on_progress)
    _unpack(archive, unpacked)
    archive.unlink()
    return unpacked


def _entry(name: str) -> tuple[str, str, str]:
    """Full name, address and checksum of a model; the newest version if none is asked for."""
    with _open(os.environ.get(PLACE, LIST)) as answer:
        try:
            listed: dict[str, Any] = json.load(answer)
        except ValueError as error:
            msg = "the list of the Model Zoo is no JSON."
            raise WorkError(msg) from error
    versions = [key for key in listed if key == name or re.fullmatch(re.escape(name) + r"_v[\d.]+", key)]
    if not versions:
        known = sorted({key.rpartition("_v")[0] for key in listed})
        msg = f"the Model Zoo has no model {name!r}; it has {', '.join(known)}."
        raise InputError(msg)
    newest = max(versions, key=lambda key: [int(part) for part in re.findall(r"\d+", key.rpartition("_v")[2])])
    entry = listed[newest]
    address, checksum = str(entry.get("source", "")), str(entry.get("checksum", ""))
    if len(checksum) not in _CHECKSUMS or not urllib.parse.urlsplit(address).path.endswith(".zip"):
        msg = (
            f"the Model Zoo lists {newest} without a file and its checksum; download it by hand and import its folder."
        )
        raise InputError(msg)
    return newest, address, checksum


def download(address: str, target: Path, *, checksum: str, on_progress: Progress | None = None) -> None:
    """Download a file; one that broke off, now or in an earlier call, goes on where it was.

    Args:
        address: HTTPS.
        target: File to write; what is there of it is in `<name>.part` until it is complete and checked.
        checksum: SHA-1 or SHA-256 in hexadecimal digits.
        on_progress: Called with bytes that are there and bytes in all.

    Raises:
        InputError: for an address that is not HTTPS.
        WorkError: if it cannot be downloaded, or has another checksum.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _go_on(address, part, on_progress)
            break
        except (urllib.error.URLError, OSError) as error:
            if attempt == ATTEMPTS or (isinstance(error, urllib.error.HTTPError) and error.code < 500):
                msg = f"{address} cannot be downloaded ({getattr(error, 'reason', error)}); try again to go on."
                raise WorkError(msg) from error
    with part.open("rb") as file:
        found = hashlib.file_digest(file, _CHECKSUMS[len(checksum)]).hexdigest()
    if found != checksum.lower():
        part.unlink()
        msg = f"what {address} sent is not the file that the list names (checksum differs); it was removed."
        raise WorkError(msg)
    part.replace(target)


def _go_on(address: str, part: Path, on_progress: Progress | None) -> None:
    there = part.stat().st_size if part.is_file() else 0
    try:
        answer = _open(address, {"Range": f"bytes={there}-"} if there else {})
    except urllib.error.HTTPError as error:
        if error.code == 416:  # all of it is there
            return
        raise
    with answer:
        if answer.status != 206:
            there = 0
        total = there + int(answer.headers.get("Content-Length") or 0)
        with part.open("ab" if there else "wb") as file:
            while block := answer.read(CHUNK):
                file.write(block)
                there += len(block)
                if on_progress is not None:
                    on_progress(there, total)
    if there < total:
        msg = f"the connection ended after {there} of {total} bytes"
        raise ConnectionError(msg)


def _open(address: str, headers: dict[str, str] | None = None) -> Any:
    """An answer over HTTPS; without it only from this computer itself."""
    parts = urllib.parse.urlsplit(address)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOCAL):
        msg = f"{address} is not an HTTPS address; nothing is downloaded from it."
        raise InputError(msg)
    try:
        # A new opener looks for a proxy now; `urlopen` keeps what was in the environment when it was first used.
        opener = urllib.request.build_opener()
        return opener.open(urllib.request.Request(address, headers=headers or {}), timeout=60)
    except urllib.error.HTTPError:
        raise
    except urllib.error.URLError as error:
        msg = (
            f"{parts.hostname} cannot be reached ({error.reason}); behind a proxy, set HTTPS_PROXY. Without internet, "
            "copy the model's folder here and import that."
        )
        raise WorkError(msg) from error


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack into a new folder, with the one folder that archives of the Model Zoo have in them left out."""
    try:
        with zipfile.ZipFile(archive) as file, replacing_folder(folder) as new:
            entries = file.infolist()
            if sum(entry.file_size for entry in entries) > MOST_BYTES:
                msg = f"{archive.name} would take more than {MOST_BYTES >> 30} GB unpacked; it is left alone."
                raise InputError(msg)
            root = new.resolve()
            for entry in entries:
                inner = Path(*Path(entry.filename).parts[1:])
                if not (root / inner).resolve().is_relative_to(root) or Path(entry.filename).is_absolute():
                    msg = f"{archive.name} holds the file {entry.filename}, which would land outside its folder."
                    raise InputError(msg)
                if entry.is_dir() or inner == Path():
                    continue
                (root / inner).parent.mkdir(parents=True, exist_ok=True)
                with file.open(entry) as source, (root / inner).open("wb") as target:
                    shutil.copyfileobj(source, target)
    except zipfile.BadZipFile as error:
        msg = f"{archive.name} is no ZIP archive."
        raise WorkError(msg) from error
