"""Curves for TensorBoard, read back with its own reader."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from HQCSegmentLib.cli import main
from HQCSegmentLib.errors import InputError
from HQCSegmentLib.training.tensorboard import TensorBoard

RANKS = {"model.0": {"numerical": 8, "stable": 2.5, "entropic": 4.0, "full": 8}}


def curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Steps and values of every curve."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder)).Reload()
    return {name: [(one.step, one.value) for one in found.Scalars(name)] for name in found.Tags()["scalars"]}


def test_loss_dice_and_ranks_are_curves(tmp_path: Path):
    pytest.importorskip("tensorboard")
    with TensorBoard(tmp_path) as board:
        board({"event": "started", "cases": 3})
        board({"event": "progress", "step": 1, "of": 2, "loss": 0.5})
        board({"event": "ranks", "step": 1, "layers": RANKS})
        board({"event": "progress", "step": 2, "of": 2, "loss": 0.25})
        board({"event": "held-out", "step": 2, "dice": {"Heart": 0.75}, "mean_dice": 0.75})
        board({"event": "progress", "step": 1, "of": 2, "loss": 1.0, "fold": 1})
    assert curves(tmp_path / "run") == {
        "loss": [(1, 0.5), (2, 0.25)],
        "stable rank/model.0": [(1, 2.5)],
        "held-out Dice/mean": [(2, 0.75)],
        "held-out Dice/Heart": [(2, 0.75)],
    }
    assert curves(tmp_path / "fold1") == {"loss": [(1, 1.0)]}


def test_a_resumed_run_replaces_what_it_repeats(tmp_path: Path):
    pytest.importorskip("tensorboard")
    for first, losses in ((1, (4.0, 3.0, 2.0)), (3, (1.5, 1.0))):
        with TensorBoard(tmp_path) as board:
            for step, loss in enumerate(losses, start=first):
                board({"event": "progress", "step": step, "of": 4, "loss": loss})
    assert curves(tmp_path / "run")["loss"] == [(1, 4.0), (2, 3.0), (3, 1.5), (4, 1.0)]


def test_without_the_package_the_run_does_not_begin(tiny_cohort: Path, tmp_path: Path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InputError, match="is not installed"):
        TensorBoard(tmp_path)
    assert main(["train", str(tiny_cohort), "--out", str(tmp_path / "run"), "--tensorboard"]) == 2
    assert "pip install tensorboard" in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "run").exists()
