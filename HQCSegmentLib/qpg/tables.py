"""Tables that are made once and kept."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar, cast

import torch

Arguments = ParamSpec("Arguments")
Table = TypeVar("Table")


def table(make: Callable[Arguments, Table]) -> Callable[Arguments, Table]:
    """Decorator of a function that makes tensors: they are made once for the same arguments and never given up.

    Recorded operations (CUDA graphs) read them from where they are. They are no inference tensors, since backward
    passes save them.
    """
    return cast("Callable[Arguments, Table]", cache(torch.inference_mode(mode=False)(make)))
