"""Memory of a network's layers is used again while it works, and given back afterwards (Linux with glibc)."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import torch

from HQCSegmentLib.freed_memory import reusing_memory


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 // 2**20


def fill() -> None:
    torch.ones(64 * 2**20)  # 256 MiB, freed at once


start = resident()
fill()
before = resident() - start
with reusing_memory():
    with reusing_memory():
        fill()
        inner = resident() - start
    between = resident() - start
    fill()
    outer = resident() - start
after = resident() - start
fill()
print(before, inner, between, outer, after, resident() - start)
"""


def test_large_blocks_are_kept_until_the_outermost_block_ends_and_then_given_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, inner, between, outer, after, usual = map(int, done.stdout.split())
    assert before < 60
    assert inner > 240
    assert between < 60
    assert outer > 240
    assert after < 60
    assert usual < 60
