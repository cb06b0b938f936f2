"""`python -m HQCSegmentLib` is the `hqcsegment` command."""

import sys

from HQCSegmentLib.cli import main

if __name__ == "__main__":
    sys.exit(main())
