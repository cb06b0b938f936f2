"""Curves of a run for TensorBoard, an optional package: it listens to the events that every run tells."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

from HQCSegmentLib.errors import InputError
from HQCSegmentLib.training.events import Event


class TensorBoard:
    """Writes loss, held-out Dice and ranks of the updates; folds become runs of their own.

    Given to `finetune` as, or called from, its `on_event`. A resumed run goes on with its curves.
    """

    def __init__(self, folder: Path) -> None:
        """Make the writer; nothing is written before the first event with a step.

        Args:
            folder: That TensorBoard is then started with: `tensorboard --logdir FOLDER`.

        Raises:
            InputError: if the package is not installed.
        """
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            msg = (
                "curves for TensorBoard need the package tensorboard, which is not installed; install it with "
                "`python -m pip install tensorboard`, in Slicer with `PythonSlicer -m pip install tensorboard`."
            )
            raise InputError(msg) from error
        self._make = SummaryWriter
        self._folder = folder
        self._writers: dict[str, Any] = {}

    def __call__(self, event: Event) -> None:
        """Write the numbers of an event, if it has any."""
        for name, value in _scalars(event).items():
            self._writer(event).add_scalar(name, value, event["step"])

    def __enter__(self) -> TensorBoard:
        """Closes when the block ends."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close all files."""
        for writer in self._writers.values():
            writer.close()

    def _writer(self, event: Event) -> Any:
        run = f"fold{event['fold']}" if "fold" in event else "run"
        if run not in self._writers:
            # What a run that was killed has written beyond the state it goes on from is not shown.
            self._writers[run] = self._make(str(self._folder / run), purge_step=event["step"])
        return self._writers[run]


def _scalars(event: Event) -> dict[str, float]:
    """Numbers of an event by the name of their curve."""
    if event["event"] == "progress":
        return {"loss": event["loss"]}
    if event["event"] == "held-out":
        dice = {f"held-out Dice/{name}": value for name, value in event["dice"].items()}
        surface = {f"surface Dice/{name}": value for name, value in event.get("surface_dice", {}).items()}
        return {"held-out Dice/mean": event["mean_dice"], **dice, **surface}
    if event["event"] == "ranks":
        return {f"stable rank/{name}": ranks["stable"] for name, ranks in event["layers"].items()}
    return {}
