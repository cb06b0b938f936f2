"""HQCSegment: fine-tune segmentation networks on small cohorts with Quantum Parameter Generation.

Research use only; not a medical device. Importing this package loads neither torch nor monai; each public name
loads what it needs when it is first used.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

__version__ = "0.1.0"

# Read by PyTorch when it is loaded: what Apple's MPS lacks is computed on the CPU, with a warning, instead of failing.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

_PUBLIC = {
    "Bundle": "HQCSegmentLib.bundle",
    "Cohort": "HQCSegmentLib.cohort",
    "HQCSegmentError": "HQCSegmentLib.errors",
    "Image": "HQCSegmentLib.imaging",
    "InputError": "HQCSegmentLib.errors",
    "QPGConfig": "HQCSegmentLib.qpg",
    "Segmentation": "HQCSegmentLib.imaging",
    "Structure": "HQCSegmentLib.imaging",
    "TrainConfig": "HQCSegmentLib.training",
    "check": "HQCSegmentLib.cohort",
    "compare": "HQCSegmentLib.comparison",
    "evaluate": "HQCSegmentLib.evaluation",
    "finetune": "HQCSegmentLib.training",
    "inject": "HQCSegmentLib.qpg",
    "merge": "HQCSegmentLib.qpg",
    "read_image": "HQCSegmentLib.imaging",
}

__all__ = sorted([*_PUBLIC, "__version__"])


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        return getattr(importlib.import_module(_PUBLIC[name]), name)
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def __dir__() -> list[str]:
    return __all__
