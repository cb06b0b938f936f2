"""Sending results to a real DICOM server, Orthanc, and getting them back; and what is said when it refuses."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import pytest
from command_line import run
from ports import free_port

from HQCSegmentLib.cohort.rtstruct import read_structure_set
from HQCSegmentLib.imaging import Segmentation
from HQCSegmentLib.imaging.dicom_series import read_series
from HQCSegmentLib.naming import structure_for
from HQCSegmentLib.planning.output import OutputFormat, write_segmentation

LPS = np.array([[1.2, 0, 0, -31], [0, 2.1, 0, 12], [0, 0, 3.0, -80], [0, 0, 0, 1.0]])
Results = tuple[Path, Path, Path]
"""Folder of a CT series, a structure set and a DICOM SEG of it."""

TITLE = "ARCHIVE"
OWN = "HQCSEGMENT"


@dataclass(frozen=True)
class Orthanc:
    """A running server; `own_port` is where it would move things to."""

    port: int
    own_port: int

    def options(self, **changes: object) -> list[str]:
        options = {"host": "127.0.0.1", "port": self.port, "called-ae": TITLE, "calling-ae": OWN, "timeout": 10}
        options |= {name.replace("_", "-"): value for name, value in changes.items()}
        return [part for name, value in options.items() for part in (f"--{name}", str(value))]


@pytest.fixture(scope="module")
def program() -> str:
    path = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    if path is None:
        reason = "the program Orthanc is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


def started(program: str, folder: Path, **changes: object) -> Iterator[Orthanc]:
    """Run a server that nothing but this machine reaches, until the test is done."""
    folder.mkdir(parents=True)
    server = Orthanc(free_port(), free_port())
    settings = {
        "StorageDirectory": str(folder / "storage"), "IndexDirectory": str(folder / "index"),
        "HttpServerEnabled": False,
        "DicomServerEnabled": True, "DicomAet": TITLE, "DicomPort": server.port, "DicomCheckCalledAet": True,
        "DicomAlwaysAllowStore": False, "DicomAlwaysAllowEcho": True, "Plugins": [],
        "DicomModalities": {"own": [OWN, "127.0.0.1", server.own_port]}, **changes,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", server.port)) == 0:
                    break
            assert process.poll() is None, (folder / "log").read_text()
            time.sleep(0.1)
        yield server
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def orthanc(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    yield from started(program, tmp_path_factory.mktemp("orthanc") / "server")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory, write_slices: Callable[..., list[Path]]) -> Results:
    """A CT series, and a structure set and a DICOM SEG of it."""
    folder = tmp_path_factory.mktemp("results")
    write_slices(folder / "ct", np.zeros((30, 24, 6), np.int16), LPS)
    image = read_series(folder / "ct", name="case")
    i, j, k = np.indices((30, 24, 6))
    label = ((i - 14) ** 2 + (j - 12) ** 2 + (3 * (k - 3)) ** 2 < 90).astype(np.uint8)
    label[13:16, 11:14] = 0
    segmentation = Segmentation(label, image.affine, (structure_for("Kidney_L", 1),), "case", image.series)
    written = [
        write_segmentation(folder, "case", segmentation, kind) for kind in (OutputFormat.rtstruct, OutputFormat.seg)
    ]
    return folder / "ct", written[0], written[1]


def fetched(server: Orthanc, path: Path) -> pydicom.Dataset:
    """Ask the server for the object that a file holds (C-GET)."""
    from pynetdicom import AE, build_role, evt
    from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet

    header = pydicom.dcmread(path, stop_before_pixels=True)
    found: list[pydicom.Dataset] = []

    def store(event: evt.Event) -> int:
        dataset = event.dataset
        dataset.file_meta = event.file_meta
        found.append(dataset)
        return 0x0000

    entity = AE(ae_title=OWN)
    entity.add_requested_context(StudyRootQueryRetrieveInformationModelGet)
    entity.add_requested_context(header.SOPClassUID, header.file_meta.TransferSyntaxUID)
    association = entity.associate(
        "127.0.0.1", server.port, ae_title=TITLE, ext_neg=[build_role(header.SOPClassUID, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, store)],
    )  # fmt: skip
    assert association.is_established
    query = pydicom.Dataset()
    query.QueryRetrieveLevel = "IMAGE"
    query.StudyInstanceUID, query.SeriesInstanceUID = header.StudyInstanceUID, header.SeriesInstanceUID
    query.SOPInstanceUID = header.SOPInstanceUID
    for status, _ in association.send_c_get(query, StudyRootQueryRetrieveInformationModelGet):
        assert status.Status in (0xFF00, 0x0000)
    association.release()
    (dataset,) = found
    return dataset


def test_what_is_sent_comes_back_with_equal_contours(orthanc: Orthanc, results: Results, tmp_path: Path):
    ct, rtstruct, seg = results
    shown = run("send", rtstruct, seg, *orthanc.options())
    assert f"2 file(s) stored by {TITLE} at 127.0.0.1:{orthanc.port}" in shown.stdout
    for path in (rtstruct, seg):
        back = fetched(orthanc, path)
        back.save_as(tmp_path / path.name, enforce_file_format=True)
        assert back == pydicom.dcmread(path)
    image = read_series(ct, name="case")
    masks = [read_structure_set(path, image)["Kidney_L"] for path in (rtstruct, tmp_path / rtstruct.name)]
    assert masks[0].sum() > 100
    assert np.array_equal(*masks)


def test_programs_are_told_of_every_file(orthanc: Orthanc, results: Results):
    files = sorted(results[0].iterdir())
    events = [json.loads(line) for line in run("send", *files, *orthanc.options(), "--json-events").stdout.splitlines()]
    assert [event["event"] for event in events] == ["progress"] * len(files) + ["done"]
    assert events[-1]["sent"] == len(files)


class TestRefusals:
    def refused(self, code: int, *arguments: object) -> str:
        return " ".join(run("send", *arguments, code=code).stderr.split())

    def test_the_title_of_the_server_is_another_one(self, orthanc: Orthanc, results: Results):
        said = self.refused(2, results[1], *orthanc.options(called_ae="ELSEWHERE"))
        assert "its AE title is another one; check --called-ae" in said

    def test_the_server_does_not_know_this_computer(self, program: str, results: Results, tmp_path: Path):
        for server in started(program, tmp_path / "server"):
            said = self.refused(1, results[1], *server.options(calling_ae="STRANGER"))
            assert "may not take files from the AE title STRANGER (--calling-ae)" in said

    def test_nobody_listens(self, orthanc: Orthanc, results: Results):
        said = self.refused(1, results[1], *orthanc.options(port=free_port()))
        assert "nobody answers" in said
        assert "host, port and firewall" in said

    def test_there_is_no_such_host(self, orthanc: Orthanc, results: Results):
        assert "nobody answers" in self.refused(1, results[1], *orthanc.options(host="no-such-host.invalid"))

    def test_something_that_is_no_dicom_server_listens(self, orthanc: Orthanc, results: Results):
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            options = orthanc.options(port=listener.getsockname()[1], timeout=1)
            assert "127.0.0.1" in self.refused(1, results[1], *options)

    def test_the_kind_or_the_encoding_is_not_taken(self, results: Results):
        from pynetdicom import AE
        from pynetdicom.sop_class import CTImageStorage, RTStructureSetStorage, Verification

        for kinds, words in (
            ([(Verification, None)], "does not take objects of the kind RT Structure Set Storage"),
            ([(RTStructureSetStorage, pydicom.uid.ExplicitVRBigEndian), (CTImageStorage, None)],
             "does not take RT Structure Set Storage encoded as Implicit VR Little Endian"),
        ):  # fmt: skip
            entity = AE(ae_title=TITLE)
            for kind, syntax in kinds:
                entity.add_supported_context(kind, *([] if syntax is None else [syntax]))
            server = entity.start_server(("127.0.0.1", 0), block=False)
            try:
                options = Orthanc(server.socket.getsockname()[1], 0).options()
                said = self.refused(2, results[1], *options)
            finally:
                server.shutdown()
            assert words in said
            assert "nothing was sent" in said

    def test_the_server_stores_some_and_is_full_then(self, results: Results):
        from pynetdicom import AE, evt
        from pynetdicom.sop_class import CTImageStorage

        entity = AE(ae_title=TITLE)
        entity.add_supported_context(CTImageStorage)
        answers = iter([0x0000, 0xA700])
        server = entity.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_C_STORE, lambda _event: next(answers))]
        )
        try:
            options = Orthanc(server.socket.getsockname()[1], 0).options()
            said = self.refused(1, *sorted(results[0].iterdir()), *options)
        finally:
            server.shutdown()
        assert "out of space" in said
        assert "1 of 6 files had arrived" in said

    def test_a_file_that_is_no_dicom(self, orthanc: Orthanc, tmp_path: Path):
        (tmp_path / "text.dcm").write_text("text")
        assert "not a DICOM file" in self.refused(2, tmp_path / "text.dcm", *orthanc.options())
        assert "does not exist" in self.refused(2, tmp_path / "nothing.dcm", *orthanc.options())

    @pytest.mark.parametrize(("name", "value"), [("called_ae", "A" * 17), ("calling_ae", " "), ("port", 0)])
    def test_what_cannot_be_right(self, orthanc: Orthanc, results: Results, name: str, value: object):
        assert self.refused(2, results[1], *orthanc.options(**{name: value}))


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory, tool: Callable[[str], str]) -> Path:
    """Key and certificate of 127.0.0.1 in one PEM file each: `key.pem`, `cert.pem`."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [tool("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", folder / "key.pem", "-out", folder / "cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def secure(program: str, tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[Orthanc]:
    yield from started(
        program, tmp_path_factory.mktemp("secure") / "server", DicomTlsEnabled=True,
        DicomTlsCertificate=str(certificate / "cert.pem"), DicomTlsPrivateKey=str(certificate / "key.pem"),
        DicomTlsTrustedCertificates=str(certificate / "cert.pem"), DicomTlsRemoteCertificateRequired=True,
    )  # fmt: skip


class TestEncryption:
    def test_both_sides_show_their_certificates(self, secure: Orthanc, certificate: Path, results: Results):
        run("send", results[1], *secure.options(), "--tls", "--tls-ca", certificate / "cert.pem",
            "--tls-certificate", certificate / "cert.pem", "--tls-key", certificate / "key.pem")  # fmt: skip

    def test_a_server_that_nobody_vouches_for_is_not_trusted(
        self, secure: Orthanc, results: Results, certificate: Path
    ):
        said = " ".join(run("send", results[1], *secure.options(), "--tls", code=1).stderr.split())
        assert "certificate may not be trusted" in said
        said = " ".join(run("send", results[1], *secure.options(), code=1).stderr.split())
        assert "TLS" in said

    def test_certificates_that_are_none_are_refused(self, secure: Orthanc, results: Results):
        said = run("send", results[1], *secure.options(), "--tls", "--tls-ca", results[1], code=2).stderr
        assert "PEM" in said
        said = run("send", results[1], *secure.options(), "--tls-ca", results[1], code=2).stderr
        assert "need --tls" in said
