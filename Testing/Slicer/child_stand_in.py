"""Stand-in for `python -m HQCSegmentLib`: speaks its JSON events without a network.

The first word says what to do. `segment` writes a label map by thresholds: 1 where the image is over 100, 2
where it is under -100.
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

    source, out = Path(words[1]), Path(words[words.index("--out") + 1])
    if (Path(words[0]) / "slow").exists():
        say(event="progress", step=0, of=3, eta_s=1000)
        sleep_forever()
    if (Path(words[0]) / "broken").exists():
        say(event="error", message="The weights do not fit the network.")
        sys.exit(2)
    image = read_image(source)
    for step in range(1, 4):
        say(event="progress", step=step, of=3, eta_s=3 - step)
    labels = np.select([image.array > 100, image.array < -100], [1, 2]).astype(np.uint8)
    out.mkdir(exist_ok=True)
    write_array(out / source.name, labels, image.affine)
    say(event="done", out=str(out))


def main() -> None:
    what, *words = sys.argv[1:]
    if what == "segment":
        segment(words)
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
