"""Sending DICOM files to a server: a planning system, an archive, a gateway (C-STORE, DICOM PS3.4 B)."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from HQCSegmentLib.errors import InputError, WorkError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

LONGEST_TITLE = 16
"""Characters of an Application Entity title (PS3.5, AE)."""

TIMEOUT_S = 30.0
"""How long the server may take for any answer."""

FileSent = Callable[[Path, int, int], None]
"""Is told the file, how many are sent, and of how many."""


@dataclass(frozen=True)
class Tls:
    """Encryption of the connection (PS3.15 B).

    Attributes:
        authorities: PEM file of certificates that the server's must be signed by; those of the system by default.
        certificate: PEM file with the own certificate, where the server asks for one.
        key: PEM file with its key, where it is not in the same file.
        verify: Whether the server must prove who it is. Without that anybody may read the images: for tests only.
    """

    authorities: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    verify: bool = True

    def context(self) -> ssl.SSLContext:
        """Settings of the connection.

        Raises:
            InputError: if a file is missing or is not what it should be.
        """
        for file in (self.authorities, self.certificate, self.key):
            if file is not None and not file.is_file():
                msg = f"the TLS file {file} does not exist."
                raise InputError(msg)
        try:
            context = ssl.create_default_context(cafile=self.authorities)
            if self.certificate is not None:
                context.load_cert_chain(self.certificate, self.key)
        except (ssl.SSLError, OSError) as error:
            reason = getattr(error, "reason", None) or error
            msg = f"the TLS certificates cannot be used ({reason}); they must be PEM files, the key without a password."
            raise InputError(msg) from error
        if not self.verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True)
class Server:
    """A DICOM server.

    Attributes:
        host: Name or address.
        port: TCP port; 104 and 11112 are usual.
        called_title: Its Application Entity title.
        calling_title: The own one; many servers only take what comes from titles that they know.
        tls: Encryption; None sends in the clear.
        timeout_s: How long it may take for any answer.
    """

    host: str
    port: int
    called_title: str
    calling_title: str
    tls: Tls | None = None
    timeout_s: float = TIMEOUT_S

    def __post_init__(self) -> None:
        for what, title in (("called", self.called_title), ("calling", self.calling_title)):
            if not title.strip() or len(title) > LONGEST_TITLE or not title.isascii() or "\\" in title:
                msg = f"the {what} AE title {title!r} must have 1 to {LONGEST_TITLE} ASCII characters."
                raise InputError(msg)
        if not 1 <= self.port <= 65535:
            msg = f"port {self.port} does not exist; ports are 1 to 65535."
            raise InputError(msg)

    def __str__(self) -> str:
        return f"{self.called_title} at {self.host}:{self.port}"


def send_files(files: Sequence[Path], server: Server, *, on_file: FileSent | None = None) -> None:
    """Send files over one association, in their order; what is in them is not changed.

    Args:
        files: DICOM files of any kind.
        server: Where to.
        on_file: Called after each file.

    Raises:
        InputError: if a file is missing or no DICOM, or the server refuses the connection, a title, or the kind or
            encoding of a file; nothing was sent then.
        WorkError: if the server does not answer, breaks off, or refuses a file while they are sent; the message says
            how many arrived.
    """
    import pydicom

    headers = {Path(file): _header(Path(file)) for file in files}
    with _association(server, headers) as association:
        for number, file in enumerate(headers, start=1):
            where = f"{number - 1} of {len(headers)} files had arrived"
            if not association.is_established:
                msg = f"{server} ended the connection before {file.name}; {where}. Send the rest again."
                raise WorkError(msg)
            try:
                status = association.send_c_store(pydicom.dcmread(file))
            except (ValueError, AttributeError, RuntimeError) as error:
                msg = f"{file.name} cannot be sent to {server} ({error}); {where}."
                raise WorkError(msg) from error
            _check(status, file, server, where)
            if on_file is not None:
                on_file(file, number, len(headers))


@contextmanager
def _association(server: Server, headers: dict[Path, Dataset]) -> Iterator[Any]:
    """Open a connection that takes every file, and release it.

    Raises:
        InputError: if it is refused.
        WorkError: if nobody answers.
    """
    import pynetdicom

    entity = pynetdicom.AE(ae_title=server.calling_title)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = server.timeout_s
    entity.connection_timeout = server.timeout_s
    for sop_class, syntax in sorted({(one.file_meta.MediaStorageSOPClassUID, one.file_meta.TransferSyntaxUID)
                                     for one in headers.values()}):  # fmt: skip
        entity.add_requested_context(sop_class, syntax)
    arguments = None if server.tls is None else (server.tls.context(), server.host)
    try:
        association = entity.associate(server.host, server.port, ae_title=server.called_title, tls_args=arguments)
    except OSError as error:
        msg = f"nobody answers at {server.host}:{server.port}: {error.strerror or error}; check host and network."
        raise WorkError(msg) from error
    try:
        if association.is_established or association.rejected_contexts:
            _check_contexts(association, headers, server)
        _check_association(association, server)
        yield association
    finally:
        if association.is_established:
            association.release()


def _check_association(association: Any, server: Server) -> None:
    if association.is_established:
        return
    if association.is_rejected:
        primitive = association.acceptor.primitive
        reason = REJECTIONS.get((primitive.result_source, primitive.diagnostic), primitive.reason_str)
        msg = f"{server} refuses the connection: {reason.format(server=server)}"
        raise InputError(msg)
    if association.is_aborted and not association.acceptor.primitive:
        encrypted, hint = "", "it may expect TLS (--tls)"
        if server.tls is not None:
            encrypted, hint = " with TLS", "its certificate may not be trusted, or it has no TLS"
        msg = (
            f"nobody answers{encrypted} at {server.host}:{server.port} as a DICOM server; check host, port and "
            f"firewall, and whether the server runs ({hint})."
        )
        raise WorkError(msg)
    msg = f"{server} broke off the connection before it was made; look at the server's log."
    raise WorkError(msg)


def _check_contexts(association: Any, headers: dict[Path, Dataset], server: Server) -> None:
    """Every kind of file must be taken in its own encoding."""
    accepted = {
        (context.abstract_syntax, syntax) for context in association.accepted_contexts
        for syntax in context.transfer_syntax
    }  # fmt: skip
    kinds = {sop_class for sop_class, _ in accepted}
    for file, header in headers.items():
        sop_class, syntax = header.file_meta.MediaStorageSOPClassUID, header.file_meta.TransferSyntaxUID
        if (sop_class, syntax) in accepted:
            continue
        refused = {context.abstract_syntax: context.result for context in association.rejected_contexts}
        if sop_class not in kinds and refused.get(sop_class) != SYNTAX_REFUSED:
            msg = f"{server} does not take objects of the kind {sop_class.name} ({file.name}); nothing was sent."
        else:
            msg = f"{server} does not take {sop_class.name} encoded as {syntax.name} ({file.name}); nothing was sent."
        raise InputError(msg)


SYNTAX_REFUSED = 4
"""Presentation context result: transfer syntaxes not supported (PS3.8 9.3.3.2)."""

REJECTIONS = {
    (1, 3): "it does not know this computer's AE title; ask its administrator to add it, or set --calling-ae.",
    (1, 7): "its AE title is another one; check --called-ae.",
    (3, 1): "it is busy; try again later.",
    (3, 2): "it has too many connections; try again later.",
}
"""What the reasons of a rejection (PS3.8 9.3.4) mean to a user."""


def _check(status: Dataset, file: Path, server: Server, where: str) -> None:
    """Refuse a file that the server did not store; a warning means that it did."""
    from pynetdicom.status import code_to_category

    if "Status" not in status:
        msg = (
            f"{server} ended the connection or did not answer in time at {file.name}; {where}. It may not take files "
            f"from the AE title {server.calling_title} (--calling-ae): ask its administrator, or look at its log."
        )
        raise WorkError(msg)
    if code_to_category(status.Status) in ("Success", "Warning"):
        return
    comment = f", {status.ErrorComment}" if status.get("ErrorComment") else ""
    meaning = STATUS.get(status.Status & 0xFF00, "see its log")
    msg = f"{server} did not store {file.name}: {meaning} (status 0x{status.Status:04X}{comment}); {where}."
    raise WorkError(msg)


STATUS = {
    0xA700: "it is out of space",
    0xA900: "the file does not match its kind",
    0xC000: "it does not understand the file",
    0x0100: "it is not allowed to, or has it already",
}
"""Meaning of the high byte of a status of C-STORE (PS3.4 B.2.3)."""


def _header(file: Path) -> Dataset:
    import pydicom

    if not file.is_file():
        msg = f"the file {file} does not exist."
        raise InputError(msg)
    try:
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=["SOPClassUID"])
        known = header.file_meta.MediaStorageSOPClassUID and header.file_meta.TransferSyntaxUID
    except (pydicom.errors.InvalidDicomError, OSError, ValueError, AttributeError, EOFError):
        known = None
    if not known:
        msg = f"{file} is not a DICOM file; only those can be sent."
        raise InputError(msg)
    return header
