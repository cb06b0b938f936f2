"""Fine-tuning: from a cohort, and a base model if there is one, to a bundle.

`TrainConfig` is read by the command's help, so this package loads torch only when `finetune` is used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from HQCSegmentLib.training.config import TrainConfig

if TYPE_CHECKING:
    from HQCSegmentLib.training.run import finetune

__all__ = ["TrainConfig", "finetune"]


def __getattr__(name: str) -> Any:
    if name == "finetune":
        from HQCSegmentLib.training.run import finetune

        return finetune
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)
