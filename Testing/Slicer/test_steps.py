"""Work in steps, and a run that is made of them."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from HQCSegmentSlicer.runner import Runner
from HQCSegmentSlicer.steps import Progress, Steps, finish, in_thread
from HQCSegmentSlicer.tasks import Task

from HQCSegmentLib.errors import InputError, Interrupted

STAND_IN = str(Path(__file__).with_name("child_stand_in.py"))


def fail() -> None:
    raise InputError("no")


def test_a_thread_does_the_work_and_its_error_is_the_error():
    assert finish(in_thread(threading.current_thread)) is not threading.current_thread()
    with pytest.raises(InputError, match="no"):
        finish(in_thread(fail))


def test_steps_that_are_given_up_wait_for_their_thread():
    written: list[int] = []
    steps = in_thread(lambda: (time.sleep(0.1), written.append(1)))
    next(steps)
    steps.close()
    assert written == [1]


class Run:
    """A runner whose timer the test is, with all that it tells."""

    def __init__(self) -> None:
        self.runner = Runner(
            make_command=lambda *words: [sys.executable, STAND_IN, *map(str, words)], start_timer=lambda turn: self
        )
        self.told: list[object] = []
        self.runner.onEvent.connect(
            lambda event: self.told.append((event["event"], event.get("done", event.get("step"))))
        )
        self.runner.onFinished.connect(self.told.append)
        self.runner.onFailed.connect(lambda error: self.told.append(type(error)))

    def stop(self) -> None:
        pass

    def turn(self) -> None:
        self.runner._turn()

    def until_end(self) -> None:
        end = time.monotonic() + 60
        while self.runner.running and time.monotonic() < end:
            self.turn()


@pytest.fixture
def run() -> Iterator[Run]:
    made = Run()
    yield made
    made.runner.close()


def preparation(left: list[str], *, wrong_step: int = -1) -> Steps[Task]:
    try:
        for step in range(3):
            if step == wrong_step:
                fail()
            yield Progress(step, 3)
    finally:
        left.append("tidied")
    return Task(("talk", "1"), lambda outcome: outcome.done["out"])


def test_each_turn_takes_one_step_and_then_the_child_works(run):
    assert run.runner.run(preparation([]), wait=False) is None
    run.turn()
    assert run.told == [("preparing", 1)]
    run.until_end()
    assert run.told == [("preparing", 1), ("preparing", 2), ("progress", 1), ("done", None), "somewhere"]


def test_what_the_first_step_finds_is_raised_and_what_a_later_one_finds_is_told(run):
    with pytest.raises(InputError):
        run.runner.run(preparation([], wrong_step=0), wait=False)
    assert not run.runner.running
    run.runner.run(preparation([], wrong_step=2), wait=False)
    run.until_end()
    assert run.told == [("preparing", 1), InputError]


def test_cancel_before_the_child_is_there(run):
    left: list[str] = []
    run.runner.run(preparation(left), wait=False)
    run.runner.cancel()
    assert left == []
    run.turn()
    assert (left, run.told) == (["tidied"], [Interrupted])
    assert not run.runner.running
    assert run.runner.run(preparation(left), wait=True) == "somewhere"
