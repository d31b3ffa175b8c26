"""Finds what changes something and tells nothing: the gate behind the vocabulary of facts."""

import ast
from collections.abc import Iterator

TELLS = frozenset({"append", "append_many", "record", "_record", "_journal"})
"""What a room calls to write a fact within its transaction."""
MAKES = frozenset({"fact", "intent", "result"})
"""What an operation calls to make a fact."""
REACHES_OUT = frozenset(
    {
        *("put", "put_async", "delete"),  # objects at a location
        *("enrol", "succeed", "adopt_roster", "adopt_writers", "resume", "confirm_kit"),
        *("adopt_policy", "take_policy"),
        "release",  # shares of a key
    }
)
"""What changes or releases something outside the home's own rows."""


def untold_writes(source: str) -> list[str]:
    """Return the methods that write rows in a transaction and no fact."""
    return [
        function.name
        for function in _functions(ast.parse(source))
        if "transaction" in _calls(function) and not _calls(function) & TELLS
    ]


def untold_deeds(source: str) -> list[str]:
    """Return what a module calls that reaches out, where it makes no fact at all."""
    tree = ast.parse(source)
    calls = _calls(tree)
    return [] if calls & MAKES else sorted(calls & REACHES_OUT)


def _functions(tree: ast.AST) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def _calls(tree: ast.AST) -> set[str]:
    return {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        # What a thread found is asked for without arguments; a fact that is a result has some.
        and (node.args or node.func.attr != "result")
    }
