"""Run the command several times, each time in one or more processes that belong together.

    python forked_runs.py '[[2, ["train", ...]], [1, ["train", ...]]]'

The processes of a run have the environment that torchrun gives them, but are forked from this one, so that the
libraries are loaded once (POSIX). Exits with 1 if one of them fails.
"""

from __future__ import annotations

import json
import os
import sys

import torch

# Before anything computes: a process with several threads cannot be forked safely.
torch.set_num_threads(1)

import lightning_fabric  # noqa: E402, F401
import monai.losses  # noqa: E402
import monai.networks.nets  # noqa: E402, F401
from ports import free_port  # noqa: E402

import HQCSegmentLib.training  # noqa: E402, F401
from HQCSegmentLib.cli import main  # noqa: E402


def start(words: list[str], *, rank: int, size: int, port: int) -> int:
    """Begin one process of a run; its id."""
    child = os.fork()
    if child:
        return child
    if size > 1:
        places = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": size, "GROUP_RANK": 0}
        os.environ.update({name: str(value) for name, value in places.items()})
        os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    code = main(words)
    sys.stdout.flush()
    os._exit(code)


def run(size: int, words: list[str]) -> bool:
    """Whether all processes of a run ended well."""
    port = free_port()
    children = [start(words, rank=rank, size=size, port=port) for rank in range(size)]
    return all([os.waitpid(child, 0)[1] == 0 for child in children])


if __name__ == "__main__":
    sys.exit(0 if all([run(size, words) for size, words in json.loads(sys.argv[1])]) else 1)
