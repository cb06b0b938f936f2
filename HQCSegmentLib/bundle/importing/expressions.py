"""Values of a MONAI bundle's configuration: references and plain arithmetic are followed, nothing is run."""

from __future__ import annotations

import ast
import operator
import re
from collections.abc import Callable
from typing import Any

from HQCSegmentLib.errors import InputError

_REFERENCE = re.compile(r"@([A-Za-z_][\w:#]*)")
_MOST_STEPS = 30

_OPERATIONS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod, ast.USub: operator.neg, ast.UAdd: operator.pos,
    ast.Not: operator.not_, ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip


class NotPlain(InputError):
    """A value that only running the bundle's own code would give."""


def resolve(config: dict[str, Any], value: Any, *, depth: int = 0) -> Any:
    """A value with its references ("@name", "@name#part") replaced and its expressions ("$...") computed.

    Args:
        config: The whole configuration.
        value: From it.
        depth: How many references led here.

    Raises:
        NotPlain: for an expression with calls or names, a reference to nothing, or one in a circle.
    """
    if depth > _MOST_STEPS:
        msg = "references of the configuration go in a circle."
        raise NotPlain(msg)
    if isinstance(value, dict):
        return {key: resolve(config, one, depth=depth + 1) for key, one in value.items()}
    if isinstance(value, list):
        return [resolve(config, one, depth=depth + 1) for one in value]
    if not isinstance(value, str):
        return value
    if _REFERENCE.fullmatch(value):
        return resolve(config, _find(config, value[1:]), depth=depth + 1)
    if value.startswith("$"):
        return _computed(config, value[1:], depth)
    return value


def _find(config: Any, path: str) -> Any:
    found = config
    for part in re.split("#|::", path):
        try:
            found = found[int(part)] if isinstance(found, list) else found[part]
        except (KeyError, IndexError, ValueError, TypeError) as error:
            msg = f"the configuration refers to {path!r}, which it does not have."
            raise NotPlain(msg) from error
    return found


def _computed(config: dict[str, Any], text: str, depth: int) -> Any:
    names: dict[str, Any] = {}

    def named(match: re.Match[str]) -> str:
        names[f"reference{len(names)}"] = resolve(config, _find(config, match[1]), depth=depth + 1)
        return f"reference{len(names) - 1}"

    source = _REFERENCE.sub(named, text)
    try:
        return _value(ast.parse(source.strip(), mode="eval").body, names)
    except (SyntaxError, TypeError, ZeroDivisionError, KeyError) as error:
        msg = f"the expression ${text} is more than plain values and arithmetic."
        raise NotPlain(msg) from error


def _value(node: ast.AST, names: dict[str, Any]) -> Any:
    """Value of a node of an expression; KeyError for what is not in the list here."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return names[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(one, names) for one in node.elts]
    if isinstance(node, ast.IfExp):
        return _value(node.body if _value(node.test, names) else node.orelse, names)
    if isinstance(node, ast.UnaryOp):
        return _OPERATIONS[type(node.op)](_value(node.operand, names))
    if isinstance(node, ast.BinOp):
        return _OPERATIONS[type(node.op)](_value(node.left, names), _value(node.right, names))
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        return _OPERATIONS[type(node.ops[0])](_value(node.left, names), _value(node.comparators[0], names))
    raise KeyError(type(node).__name__)
