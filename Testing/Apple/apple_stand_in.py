"""A stand-in for Apple's MPS device, which no machine that tests this project has.

It computes on the CPU, but refuses what MPS refuses: double precision, operations without an MPS kernel (read from
the list that PyTorch ships), and tensors of the CPU among its own. What MPS itself computes, in which kernels fail for
which types, and how fast it is, cannot be seen with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torchgen
from torch import Tensor
from torch.__future__ import get_swap_module_params_on_conversion, set_swap_module_params_on_conversion
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend
from torchgen.gen import ParsedYaml, parse_native_yaml
from torchgen.model import DispatchKey, NativeFunction

NAME = "applestandin"
TOO_WIDE = {torch.float64, torch.complex128}


class AppleTensor(Tensor):
    """A tensor on the stand-in: what PyTorch sees of it, with the numbers in `numbers`, a tensor of the CPU."""

    numbers: Tensor

    @staticmethod
    def __new__(cls, numbers: Tensor) -> AppleTensor:
        if numbers.dtype in TOO_WIDE:
            msg = f"Cannot convert a MPS Tensor to {numbers.dtype} dtype as the MPS framework doesn't support it."
            raise TypeError(msg)
        made = Tensor._make_wrapper_subclass(
            cls,
            numbers.size(),
            strides=numbers.stride(),
            storage_offset=numbers.storage_offset(),
            dtype=numbers.dtype,
            device=torch.device(NAME, 0),
        )
        # Conjugation and sign may be put off until a value is read.
        torch._C._set_conj(made, numbers.is_conj())
        torch._C._set_neg(made, numbers.is_neg())
        made.numbers = numbers
        return made

    def __reduce_ex__(self, protocol: Any) -> Any:
        """In files as a tensor of the CPU, as which a checkpoint of any device is read."""
        return self.numbers.__reduce_ex__(protocol)

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Mode(TorchDispatchMode):
    """Takes also what makes new tensors on the stand-in, which has no tensor of it among its arguments."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _compute(func, args, kwargs or {})


class _Backend(_DummyBackendModule):
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.float16, torch.bfloat16]


@cache
def _parsed() -> tuple[ParsedYaml, dict[str, NativeFunction]]:
    folder = Path(torchgen.__file__).parent / "packaged/ATen/native"
    parsed = parse_native_yaml(str(folder / "native_functions.yaml"), str(folder / "tags.yaml"))
    return parsed, {str(one.func.name): one for one in parsed.native_functions}


@cache
def has_apple_kernel(operation: str) -> bool:
    """Whether an operation of PyTorch, as `add.Tensor`, runs on MPS.

    Raises:
        KeyError: for an operation that PyTorch's list does not have.
    """
    parsed, functions = _parsed()
    kernels = parsed.backend_indices[DispatchKey.MPS]
    function = functions[operation]
    if kernels.has_kernel(function) or function.has_composite_kernel:
        return True
    delegate = function.structured_delegate
    return delegate is not None and kernels.has_kernel(functions[str(delegate)])


def _compute(func: Any, args: Any, kwargs: Any) -> Any:
    """Compute an operation on the CPU; what comes of tensors of the stand-in, or is asked to be there, is there."""
    if torch._C._dispatch_has_kernel_for_dispatch_key(func.name(), "CompositeImplicitAutograd"):
        # In inference mode these come here in one piece.
        with _Mode():
            parts = func.decompose(*args, **kwargs)
        if parts is not NotImplemented:
            return parts
    leaves = tree_leaves((args, kwargs))
    device = kwargs.get("device")
    of_it = [leaf for leaf in leaves if isinstance(leaf, AppleTensor)]
    here = bool(of_it) if device is None else torch.device(device).type == NAME
    if here:
        _check(func, leaves)
    found = func(*tree_map(_plain, args), **tree_map(_plain, kwargs))
    if not here:
        return found
    # What changes a tensor in place gives that tensor back.
    own = {id(leaf.numbers): leaf for leaf in of_it}
    return tree_map(lambda one: own[id(one)] if id(one) in own else _there(one), found)


def _check(func: Any, leaves: list[Any]) -> None:
    """Refuse what MPS refuses, in its words."""
    name = func.name().removeprefix("aten::")
    if not has_apple_kernel(name):
        msg = f"The operator 'aten::{name}' is not currently implemented for the MPS device."
        raise NotImplementedError(msg)
    strangers = any(isinstance(leaf, Tensor) and not isinstance(leaf, AppleTensor) and leaf.dim() for leaf in leaves)
    if strangers and func not in {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}:
        msg = f"{name}: Expected all tensors to be on the same device, but found at least two devices, mps:0 and cpu!"
        raise RuntimeError(msg)


def _plain(leaf: Any) -> Any:
    """An argument as the CPU takes it."""
    if isinstance(leaf, AppleTensor):
        return leaf.numbers
    return torch.device("cpu") if isinstance(leaf, torch.device) else leaf


def _there(result: Any) -> Any:
    if not isinstance(result, Tensor):
        return result
    # A view of a usual tensor is a usual tensor, also in inference mode.
    with torch.inference_mode(mode=result.is_inference()):
        return AppleTensor(result)


@contextmanager
def apple_device() -> Iterator[torch.device]:
    """The stand-in, as long as the context lasts."""
    if not hasattr(torch, NAME):
        _setup_privateuseone_for_python_backend(NAME, backend_module=_Backend())
    with ExitStack() as stack:
        # Otherwise backward passes wait for a thread of a device that the first of them did not know.
        stack.enter_context(torch.autograd.set_multithreading_enabled(False))
        # Without it `torch.tensor(..., device=...)` would make the tensor past the mode.
        stack.callback(torch._C._set_only_lift_cpu_tensors, torch._C._only_lift_cpu_tensors())
        torch._C._set_only_lift_cpu_tensors(True)
        # Parameters stay the same objects when a network is moved, as with real devices.
        stack.callback(set_swap_module_params_on_conversion, get_swap_module_params_on_conversion())
        set_swap_module_params_on_conversion(True)
        stack.enter_context(_Mode())
        yield torch.device(NAME)
