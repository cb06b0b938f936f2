"""Models of the MONAI Model Zoo become bundles: from a folder or by name, and nothing of them is run."""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import run
from monai.networks.nets import UNet

import HQCSegmentLib as hqc
from HQCSegmentLib.bundle.importing import Answers, download_model, import_monai_bundle
from HQCSegmentLib.bundle.importing.download import PLACE, download
from HQCSegmentLib.bundle.importing.expressions import NotPlain, resolve
from HQCSegmentLib.errors import InputError, WorkError

ARGUMENTS = {"channels": [4, 8], "strides": [2], "num_res_units": 1, "norm": "batch"}

CONFIG = {
    "imports": ["$import os", "$__import__('pathlib').Path('was_run').touch()"],
    "bundle_root": ".",
    "highres": True,
    "pixdim": "$[1.5, 1.5, 2.0] if @highres else [3.0, 3.0, 3.0]",
    "device": "$torch.device('cpu')",
    "network_def": {"_target_": "UNet", "spatial_dims": 3, "in_channels": 1, "out_channels": 3, **ARGUMENTS},
    "network": "$@network_def.to(@device)",
    "preprocessing": {
        "_target_": "Compose",
        "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": "@pixdim", "mode": "bilinear"},
            {
                "_target_": "ScaleIntensityRanged", "keys": "image",
                "a_min": -57, "a_max": 164, "b_min": 0, "b_max": 1, "clip": True,
            },
        ],
    },
    "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [32, 32, 32], "overlap": 0.25},
    "postprocessing": {"_target_": "Compose", "transforms": [{"_target_": "Activationsd", "softmax": True}]},
}  # fmt: skip

METADATA = {
    "intended_use": "This is an example",
    "network_data_format": {
        "inputs": {"image": {"num_channels": 1, "spatial_shape": [32, 32, 32]}},
        "outputs": {"pred": {"channel_def": {"0": "background", "1": "spleen", "2": "odd thing"}}},
    },
}


def network() -> UNet:
    torch.manual_seed(3)
    return UNet(spatial_dims=3, in_channels=1, out_channels=3, **ARGUMENTS).eval()


def write_zoo_bundle(folder: Path, *, config: dict | None = None, weights: object = None) -> Path:
    """A bundle laid out as those of the Model Zoo."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "inference.json").write_text(json.dumps(CONFIG if config is None else config))
    (folder / "configs" / "metadata.json").write_text(json.dumps(METADATA))
    torch.save(network().state_dict() if weights is None else weights, folder / "models" / "model.pt")
    return folder


def test_a_bundle_is_imported_and_computes_the_same(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run("import", write_zoo_bundle(tmp_path / "zoo"), "--out", tmp_path / "model")
    assert "This is an example" in result.stdout
    bundle = hqc.Bundle.open(tmp_path / "model")
    assert bundle.manifest.names == {1: "Spleen", 2: "odd thing"}
    assert bundle.manifest.preprocessing.spacing == (1.5, 1.5, 2)
    assert bundle.manifest.inference.window == (32, 32, 32)
    assert bundle.manifest.inference.overlap == 0.25
    assert {path.suffix for path in bundle.path.iterdir()} == {".json", ".safetensors", ".md"}
    # In HU, at the spacing of the network, in one window: what its own pipeline would give it.
    image = np.random.default_rng(0).uniform(-200, 300, (32, 32, 32)).astype(np.float32)
    scaled = torch.from_numpy((image.clip(-57, 164) + 57) / 221)[None, None]
    with torch.inference_mode():
        expected = network()(scaled).argmax(1)[0].numpy()
    found = bundle.segment((image, np.diag([1.5, 1.5, 2, 1])), device="cpu").array
    assert (found == expected).mean() > 0.999
    assert not (tmp_path / "was_run").exists()


@pytest.mark.slow
def test_an_imported_model_is_a_base(tmp_path: Path, tiny, tiny_cohort: Path):
    answers = Answers(names=("Ball", "Spleen"), intensities="zscore", spacing=(1, 1, 2), window=(16, 16, 16))
    base, _ = import_monai_bundle(write_zoo_bundle(tmp_path / "zoo"), tmp_path / "base", answers)
    config = hqc.TrainConfig(steps=1, held_out=1, **tiny.SETTINGS)
    tuned = hqc.finetune(hqc.Cohort.open(tiny_cohort), base=base, config=config, out=tmp_path / "run")
    assert list(tuned.manifest.names.values()) == ["Ball", "Spleen", "Cube"]


class Malicious:
    """Runs a program when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


def test_weights_with_code_in_them_are_refused_and_not_run(tmp_path: Path):
    folder = write_zoo_bundle(tmp_path / "zoo", weights={"a": Malicious(tmp_path / "was_run")})
    with pytest.raises(InputError, match=r"model\.pt cannot be read as plain weights"):
        import_monai_bundle(folder, tmp_path / "model")
    assert not (tmp_path / "was_run").exists()
    assert not (tmp_path / "model").exists()


def test_the_process_that_reads_weights_has_no_network_and_starts_nothing(tmp_path: Path):
    """Even if `weights_only` were got round."""
    import subprocess
    import sys

    from HQCSegmentLib.bundle.importing.monai_bundle import CONVERTER

    for attempt in ("import socket; socket.create_connection(('127.0.0.1', 9))", "import os; os.system('true')"):
        code = f"import runpy; part = runpy.run_path({str(CONVERTER)!r}); part['shut_off'](); {attempt}"
        result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert result.returncode == 1
        assert "PermissionError" in result.stderr


def changed(path: str, value: object) -> dict:
    """The configuration with one value in another way; parts of the path are separated by dots."""
    config = json.loads(json.dumps(CONFIG))
    *parts, last = (int(part) if part.isdigit() else part for part in path.split("."))
    place = config
    for part in parts:
        place = place[part]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return config


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("network_def._target_", "scripts.net.Own", "only stock MONAI networks"),
        ("network_def.channels", "$exec('x')", "more than plain values"),
        ("network_def.channels", [4, 16], "weights do not fit"),
        ("preprocessing.transforms.3", None, "--spacing"),
        ("preprocessing.transforms.2.axcodes", "LPS", "only RAS"),
        ("preprocessing.transforms.4._target_", "HistogramNormalized", "--intensities"),
        ("preprocessing.transforms.4.clip", False, "--intensities"),
        ("postprocessing.transforms.0.sigmoid", True, "may overlap"),
    ],
)
def test_what_cannot_be_taken_over_is_asked_for_or_refused(tmp_path: Path, path: str, value: object, said: str):
    folder = write_zoo_bundle(tmp_path / "zoo", config=changed(path, value))
    with pytest.raises(InputError, match=said):
        import_monai_bundle(folder, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_answers_of_the_user_go_before_the_bundle(tmp_path: Path):
    config = changed("preprocessing.transforms.4.clip", False)
    folder = write_zoo_bundle(tmp_path / "zoo", config=config)
    answers = Answers(spacing=(1, 1, 1), intensities=(-100, 300), names=("A", "B"), window=(16, 16, 16))
    bundle, notes = import_monai_bundle(folder, tmp_path / "model", answers)
    assert bundle.manifest.preprocessing.spacing == (1, 1, 1)
    assert bundle.manifest.inference.window == (16, 16, 16)
    assert list(bundle.manifest.names.values()) == ["A", "B"]
    assert any("as given" in note for note in notes)


@pytest.mark.parametrize("value", ["$open('x')", "$().__class__", "@nothing", "@circle", "$[x for x in [1]]"])
def test_only_plain_values_are_computed(value: str):
    with pytest.raises(NotPlain):
        resolve({"circle": "@circle"}, value)


def test_references_and_arithmetic_are_followed():
    config = {"a": {"b": [1, 2, 3]}, "c": "$@a#b#1 * 2 + 1", "d": ["@c", "$-@c", "$'x' if @c == 5 else 'y'"]}
    assert resolve(config, "@d") == [5, -5, "x"]


# Downloading


class Shop:
    """A server on this computer: files by path, how many requests it saw, and where it breaks off."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.requests: list[tuple[str, str | None]] = []
        self.breaks_off_after: int | None = None
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = self.headers.get("Range")
                path = self.path.removeprefix("http://zoo.invalid")
                shop.requests.append((self.path, asked))
                content = shop.files.get(path)
                if content is None:
                    self.send_error(404)
                    return
                start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
                self.send_response(206 if asked else 200)
                self.send_header("Content-Length", str(len(content) - start))
                self.end_headers()
                until = len(content)
                if shop.breaks_off_after is not None and path.endswith(".zip"):
                    until, shop.breaks_off_after = start + shop.breaks_off_after, None
                self.wfile.write(content[start:until])

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def shop(tmp_path: Path, monkeypatch) -> Iterator[Shop]:
    """The Model Zoo with one model in two versions."""
    write_zoo_bundle(tmp_path / "zoo" / "spleen_ct")
    archive = tmp_path / "spleen.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for path in sorted((tmp_path / "zoo").rglob("*")):
            file.write(path, path.relative_to(tmp_path / "zoo"))
    content = archive.read_bytes()
    shop = Shop({"/spleen.zip": content})
    entry = {"source": f"{shop.address}/spleen.zip", "checksum": hashlib.sha1(content).hexdigest()}
    listed = {"spleen_ct_v0.9.0": {"source": "", "checksum": ""}, "spleen_ct_v0.10.0": entry, "other_v1.0.0": entry}
    shop.files["/list.json"] = json.dumps(listed).encode()
    monkeypatch.setenv(PLACE, f"{shop.address}/list.json")
    yield shop
    shop.server.shutdown()


def test_a_model_is_downloaded_by_name_once(shop: Shop, tmp_path: Path):
    words = ("import", "spleen_ct", "--downloads", tmp_path / "kept")
    run(*words, "--out", tmp_path / "model")
    assert hqc.Bundle.open(tmp_path / "model").manifest.training.method == "imported"
    run(*words, "--out", tmp_path / "again")
    assert [path for path, _ in shop.requests].count("/spleen.zip") == 1
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["spleen_ct_v0.10.0"]


def test_a_download_that_breaks_off_goes_on_where_it_was(shop: Shop, tmp_path: Path):
    shop.breaks_off_after = 1000
    folder = download_model("spleen_ct", tmp_path / "kept")
    assert (folder / "configs" / "inference.json").is_file()
    assert [asked for path, asked in shop.requests if path == "/spleen.zip"] == [None, "bytes=1000-"]


def test_another_file_than_the_listed_one_is_removed(shop: Shop, tmp_path: Path):
    shop.files["/spleen.zip"] = shop.files["/spleen.zip"][:-1] + b"x"
    with pytest.raises(WorkError, match="checksum differs"):
        download_model("spleen_ct", tmp_path / "kept")
    assert not list((tmp_path / "kept").iterdir())


@pytest.fixture
def certified(shop: Shop, tool: Callable[[str], str], tmp_path: Path) -> tuple[str, Path]:
    """The server speaks TLS; its address, and the certificate that it shows."""
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    words = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-out", str(certificate), "-keyout", str(key)]
    subprocess.run([tool("openssl"), *words, *names, *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    shop.server.socket = context.wrap_socket(shop.server.socket, server_side=True)
    return f"https://localhost:{shop.server.server_port}/spleen.zip", certificate


def test_https_needs_a_certificate_that_is_trusted(
    shop: Shop, certified: tuple[str, Path], tmp_path: Path, monkeypatch
):
    address, certificate = certified
    checksum = hashlib.sha1(shop.files["/spleen.zip"]).hexdigest()
    monkeypatch.setattr("HQCSegmentLib.bundle.importing.download.ATTEMPTS", 1)
    with pytest.raises(WorkError, match="certificate verify failed"):
        download(address, tmp_path / "file.zip", checksum=checksum)
    assert not (tmp_path / "file.zip").exists()
    # The authority of the hospital.
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    download(address, tmp_path / "file.zip", checksum=checksum)
    assert (tmp_path / "file.zip").read_bytes() == shop.files["/spleen.zip"]


def test_a_proxy_is_used(shop: Shop, tmp_path: Path, monkeypatch):
    monkeypatch.setenv("http_proxy", shop.address)
    monkeypatch.setenv("no_proxy", "")
    content = shop.files["/spleen.zip"]
    monkeypatch.setattr("HQCSegmentLib.bundle.importing.download.LOCAL", ("zoo.invalid",))
    download("http://zoo.invalid/spleen.zip", tmp_path / "file.zip", checksum=hashlib.sha256(content).hexdigest())
    assert (tmp_path / "file.zip").read_bytes() == content
    assert shop.requests[-1][0] == "http://zoo.invalid/spleen.zip"


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda folder: download_model("liver", folder), InputError, "spleen_ct"),
        (lambda folder: download_model("spleen_ct_v0.9.0", folder), InputError, "by hand"),
        (lambda folder: download("http://example.org/x.zip", folder / "x", checksum="0" * 40), InputError, "HTTPS"),
        (lambda folder: download("https://127.0.0.1:9/x", folder / "x", checksum="0" * 40), WorkError, "HTTPS_PROXY"),
    ],
    ids=["unknown", "unlisted", "plain", "unreachable"],
)
def test_what_cannot_be_downloaded_is_said(shop: Shop, tmp_path: Path, call: Callable, error: type, said: str):
    with pytest.raises(error, match=said):
        call(tmp_path / "kept")


def test_an_archive_cannot_write_outside_its_folder(shop: Shop, tmp_path: Path):
    archive = tmp_path / "evil.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("bundle/../../../evil.txt", "x")
    content = archive.read_bytes()
    shop.files["/spleen.zip"] = content
    listed = {"spleen_ct_v1": {"source": f"{shop.address}/spleen.zip", "checksum": hashlib.sha1(content).hexdigest()}}
    shop.files["/list.json"] = json.dumps(listed).encode()
    with pytest.raises(InputError, match="outside its folder"):
        download_model("spleen_ct", tmp_path / "a" / "b" / "kept")
    assert not list(tmp_path.rglob("evil.txt"))
