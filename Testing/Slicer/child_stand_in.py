"""Stand-in for `python -m HQCSegmentLib`: speaks its JSON events without a network.

The first word says what to do: the commands write what the real ones would, without their work. `segment` writes a
label map by thresholds: 1 where the image is over 100, 2 where it is under -100.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path


def say(**event: object) -> None:
    print(json.dumps(event), flush=True)


def sleep_forever() -> None:
    while True:
        time.sleep(0.1)


def segment(words: list[str]) -> None:
    import numpy as np

    from HQCSegmentLib.imaging import read_image, write_array
    from HQCSegmentLib.imaging.dicom_series import read_series
    from HQCSegmentLib.imaging.image_files import image_stem

    at_once = "rtstruct" in words
    source, out = Path(words[words.index("--out") - 1]), value_of(words, "--out")
    if (Path(words[0]) / "slow").exists():
        say(event="case-progress", case="volume", fraction=0.25, eta_s=1000)
        sleep_forever()
    if (Path(words[0]) / "broken").exists():
        say(event="error", message="The weights do not fit the network.")
        sys.exit(2)
    image = read_series(source) if at_once else read_image(source)
    for step in range(1, 4):
        say(event="progress", step=step, of=3, eta_s=3 - step)
    labels = np.select([image.array > 100, image.array < -100], [1, 2]).astype(np.uint8)
    out.mkdir(exist_ok=True)
    write_array(out / f"{image_stem(source)}.nii.gz", labels, image.affine)
    if at_once:
        (out / f"{source.name}.rtstruct.dcm").write_text(str(value_of(words, "--contours")))
    say(event="done", out=str(out), warnings=["The field of view is cut.", "GTV is far outside the usual volume."])


def make_bundle(folder: Path) -> Path:
    """A model folder with the structures that the stand-in child finds by thresholds."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = [{"value": 1, "name": "Bone"}, {"value": 2, "name": "Lung_L"}]
    (folder / "bundle.json").write_text(json.dumps({"labels": labels}), encoding="utf-8")
    return folder


def value_of(words: list[str], option: str) -> Path:
    return Path(words[words.index(option) + 1])


def slow_or_broken(folder: Path) -> None:
    """What a folder that holds a file of this name makes of any command."""
    if (folder / "slow").exists():
        say(event="progress", step=1, of=3, loss=0.9, eta_s=1000)
        sleep_forever()
    if (folder / "broken").exists():
        say(event="error", message="The folder is broken.")
        sys.exit(2)


def check(words: list[str]) -> None:
    slow_or_broken(Path(words[0]))
    finding = {"case": "B", "structure": "Liver", "severity": "error", "code": "x", "message": "B: Liver is empty."}
    note = {"case": "", "structure": "", "severity": "note", "code": "y", "message": "Few patients."}
    value_of(words, "--json").write_text(json.dumps([finding, note]))
    if "--html" in words:
        value_of(words, "--html").write_text("<html></html>")
    say(event="progress", step=1, of=2)
    structures, local = ["Liver", "GTV"], ["liver", "GTV", "right kidney"]
    say(
        event="done", cases=["A", "B"], layout="images/ and labels/", structures=structures, local_names=local, notes=[]
    )
    sys.exit(2)


def train(words: list[str]) -> None:
    out = value_of(words, "--out")
    out.mkdir(parents=True, exist_ok=True)
    (out / "words.json").write_text(json.dumps(words))
    if "--config" in words:
        (out / "settings.json").write_text(value_of(words, "--config").read_text())
    (out / "config.json").write_text("{}")
    slow_or_broken(Path(words[0]))
    events = [{"event": "started", "cases": 2, "trainable_numbers": 12}]
    events += [
        {"event": "progress", "step": step, "of": 4, "loss": 1 / step, "eta_s": 4 - step} for step in range(1, 5)
    ]
    events.append({"event": "held-out", "step": 4, "dice": {"Liver": 0.9, "GTV": 0.5}, "mean_dice": 0.7})
    (out / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    for event in events:
        say(**event)
    (out / "bundle").mkdir(exist_ok=True)
    labels = [{"value": 1, "name": "Liver"}, {"value": 2, "name": "GTV"}]
    content = {"labels": labels, "training": {"held_out_dice": {"Liver": 0.9, "GTV": 0.5}}}
    (out / "bundle" / "bundle.json").write_text(json.dumps(content))
    (out / "report.html").write_text("<html></html>")
    say(event="done", bundle=str(out / "bundle"))


def convert(words: list[str]) -> None:
    slow_or_broken(value_of(words, "--series"))
    value_of(words, "--out").write_bytes(b"DICM")
    say(event="done")


def main() -> None:
    what, *words = sys.argv[1:]
    if what == "segment":
        segment(words)
    elif what == "check":
        check(words)
    elif what == "train":
        train(words)
    elif what == "convert":
        convert(words)
    elif what == "evaluate":
        out = value_of(words, "--out")
        out.mkdir(parents=True, exist_ok=True)
        (out / "report.html").write_text("<html></html>")
        say(event="done")
    elif what == "doctor":
        found = {"subject": "device cpu", "state": "good", "found": "works", "advice": ""}
        say(event="done", findings=[found])
    elif what == "talk":
        print("text before")
        say(event="progress", step=1, of=2, eta_s=0.5)
        print('{"no": "event"}')
        print("{half a line", file=sys.stderr)
        for number in range(int(words[0])):
            print(f"late line {number}")
        say(event="done", out="somewhere")
    elif what == "fail":
        say(event="error", message="The cohort has no patients.")
        sys.exit(2)
    elif what == "environment":
        import HQCSegmentLib

        say(event="done", version=HQCSegmentLib.__version__, encoding=sys.stdout.encoding, text="Ä")
    elif what in ("family", "stubborn family"):
        grandchild = subprocess.Popen([sys.executable, __file__, what.removesuffix(" family") + " child"])
        if what == "stubborn family":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say(event="progress", grandchild=grandchild.pid)
        sleep_forever()
    elif what == "orphan":
        grandchild = subprocess.Popen([sys.executable, __file__, "stubborn child"])
        say(event="progress", grandchild=grandchild.pid)
    elif what == "quiet orphan":
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        grandchild = subprocess.Popen([sys.executable, __file__, "stubborn child"], **quiet)
        say(event="progress", grandchild=grandchild.pid)
    elif what == "heir":
        subprocess.Popen([sys.executable, __file__, "late child"])
    elif what == "late child":
        time.sleep(0.5)
        say(event="done", out="late")
    elif what == "stubborn child":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sleep_forever()
    elif what == "family child":
        sleep_forever()
    else:
        os._exit(99)


if __name__ == "__main__":
    main()
