"""HQCSegment's own path with windows over the whole image: FOLDER OVERLAP THREADS DEVICE."""

from __future__ import annotations

import sys
from pathlib import Path

from by_hqcsegment import main

if __name__ == "__main__":
    main(Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]), sys.argv[4], name="hqcsegment_whole", whole=True)
