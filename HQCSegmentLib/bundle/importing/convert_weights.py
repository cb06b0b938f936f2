"""Turn the weights of a PyTorch file into safetensors. Run as a script, in a process of its own.

    python convert_weights.py MODEL.pt MODEL.safetensors

Reading a pickled file may run what is in it. So torch reads it with `weights_only`, and should that be got round, this
process has no network (on Linux by a network namespace of its own where the system allows it, everywhere by an audit
hook), starts no other program, and is thrown away. It imports nothing of HQCSegment.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from typing import Any

import torch
from safetensors.torch import save_file

FORBIDDEN = ("socket.", "subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "ctypes.")
NEW_USER_AND_NETWORK = 0x10000000 | 0x40000000

PLACES = ("model", "state_dict", "network", "net")
"""Keys under which trainers keep the weights beside other things."""


def shut_off() -> None:
    """No network and no other programs from here on: an attempt ends in a PermissionError."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).unshare(NEW_USER_AND_NETWORK)

    def refuse(event: str, _arguments: tuple[Any, ...]) -> None:
        if event.startswith(FORBIDDEN):
            msg = f"the file tried something that weights do not do ({event})"
            raise PermissionError(msg)

    sys.addaudithook(refuse)


def weights_of(content: Any) -> dict[str, torch.Tensor]:
    """The tensors by name, without what trainers put around them; copies of their shapes and types.

    Raises:
        ValueError: if there are no weights, or other things among them.
    """
    for place in PLACES:
        if isinstance(content, dict) and isinstance(content.get(place), dict):
            content = content[place]
    if not isinstance(content, dict) or not content:
        msg = "it holds no table of weights"
        raise ValueError(msg)
    tensors = {str(name).removeprefix("module."): one for name, one in content.items() if isinstance(one, torch.Tensor)}
    if len(tensors) != len(content):
        msg = "it holds other things than tensors among the weights"
        raise ValueError(msg)
    return {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}


def main(source: str, target: str) -> int:
    """Convert; 0, or 1 with a sentence on stderr."""
    shut_off()
    try:
        save_file(weights_of(torch.load(source, map_location="cpu", weights_only=True)), target)
    except Exception as error:
        sys.stderr.write(" ".join(str(error).split())[:300])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
