"""The caps of the house as plain functions over source text: each returns its findings.

Only the tail is capped (house rule: safe, simple, pleasant, fast), so a finding means: split it,
name it better, or say why. `test_caps.py` plants every violation once and then reads the tree.
"""

import ast
import io
import re
import tokenize
from pathlib import Path

FUNCTION_LINES_MAX = 70
MODULE_LINES_MAX = 500
PARAMETERS_MAX = 6
LINE_LENGTH_MAX = 100
FRONT_DOOR_NAMES_MAX = 7
BANNED_NAMES = {"utils", "helpers", "common", "misc", "base", "manager"}

_SILENCER = re.compile(r"(noqa(:\s*[A-Z0-9, ]+)?|type:\s*ignore(\[[^]]*\])?|pragma:\s*no cover)")
_REASON = re.compile(r"[A-Za-z']{2,}(\W+[A-Za-z']+){2,}")
_CODE_ENTRY = re.compile(r'^\s*("[A-Z]+[0-9]*",|"[^"]+"\s*=\s*\["[A-Z]+[0-9]*"|ignore_\w+\s*=)')

Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions(source: str) -> list[Function]:
    """Return every function and method of a module, nested ones included."""
    return [node for node in ast.walk(ast.parse(source)) if isinstance(node, Function)]


def long_functions(source: str) -> list[str]:
    """Name the functions over the cap, from `def` to the last line."""
    found = []
    for function in functions(source):
        lines = (function.end_lineno or function.lineno) - function.lineno + 1
        if lines > FUNCTION_LINES_MAX:
            found.append(f"{function.name} has {lines} lines, at most {FUNCTION_LINES_MAX}")
    return found


def many_parameters(source: str) -> list[str]:
    """Name the functions with too many parameters; `self` and `cls` are not counted."""
    found = []
    for function in functions(source):
        asked = function.args
        names = [a.arg for a in (*asked.posonlyargs, *asked.args, *asked.kwonlyargs)]
        names += [a.arg for a in (asked.vararg, asked.kwarg) if a]
        count = len([name for name in names if name not in ("self", "cls")])
        if count > PARAMETERS_MAX:
            found.append(f"{function.name} takes {count} parameters, at most {PARAMETERS_MAX}")
    return found


def long_module(source: str) -> list[str]:
    """Say so when a module has too many lines."""
    lines = len(source.splitlines())
    return [f"{lines} lines, at most {MODULE_LINES_MAX}"] if lines > MODULE_LINES_MAX else []


def long_lines(source: str) -> list[str]:
    """Name the lines that are too long."""
    return [
        f"line {number} has {len(line)} characters, at most {LINE_LENGTH_MAX}"
        for number, line in enumerate(source.splitlines(), 1)
        if len(line) > LINE_LENGTH_MAX
    ]


def banned_name(path: Path) -> list[str]:
    """Say so when a file or folder has a name that says nothing."""
    return [
        f"{part} says nothing" for part in (*path.parts[:-1], path.stem) if part in BANNED_NAMES
    ]


def unreasoned_silence(source: str) -> list[str]:
    """Name the comments that silence a check without three words of reason beside them."""
    found = []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or not _SILENCER.search(token.string):
            continue
        if not _REASON.search(_SILENCER.sub(" ", token.string)):
            found.append(f"line {token.start[0]} gives no reason: {token.string}")
    return found


def unreasoned_settings(toml: str) -> list[str]:
    """Name the entries of pyproject.toml that ignore a rule without a comment beside them."""
    found, inside, table = [], False, ""
    for number, line in enumerate(toml.splitlines(), 1):
        if line.startswith("["):
            table, inside = line, False
        ignoring = "ignores]" in table or "mypy" in table
        if re.match(r"(ignore|ignore_imports) = \[", line):
            inside = True
        elif line.startswith("]"):
            inside = False
        if (inside or ignoring) and _CODE_ENTRY.match(line) and "#" not in line:
            found.append(f"line {number} gives no reason: {line.strip()}")
    return found


def front_door(source: str) -> list[str]:
    """Say what is wrong with a room's `__init__.py`: docstring, `__all__`, number of names."""
    tree = ast.parse(source)
    found = [] if ast.get_docstring(tree) else ["no docstring"]
    public: list[str] = []
    imported: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom | ast.Import):
            imported |= {alias.asname or alias.name for alias in node.names}
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            public = [str(name) for name in ast.literal_eval(node.value)]
    if len(public) > FRONT_DOOR_NAMES_MAX:
        found.append(f"{len(public)} public names, at most {FRONT_DOOR_NAMES_MAX}")
    hidden = sorted(name for name in imported - set(public) if not name.startswith("_"))
    if hidden:
        found.append(f"imported and not in __all__: {', '.join(hidden)}")
    return found
