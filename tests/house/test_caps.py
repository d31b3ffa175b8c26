"""Every cap catches its planted violation, and the tree has none."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house import caps
from tests.house.tree import ROOT, python_files, rooms

Checker = Callable[[str], list[str]]


def planted_function(lines: int) -> str:
    body = "\n".join("    x = 1" for _ in range(lines - 1))
    return f"def f():\n{body}\n"


PLANTED = [
    pytest.param(caps.long_functions, planted_function(70), planted_function(71), id="function"),
    pytest.param(caps.long_module, "x = 1\n" * 500, "x = 1\n" * 501, id="module"),
    pytest.param(
        caps.many_parameters,
        "def f(self, a, b, /, c, *, d, e, **f): ...",
        "def f(a, b, /, c, *d, e, f, **g): ...",
        id="parameters",
    ),
    pytest.param(caps.long_lines, "#" * 100, "#" * 101, id="line"),
    pytest.param(
        caps.unreasoned_silence,
        "import a  # noqa: F401  # kept for the people who import it\nx = '# noqa'\n",
        "import a  # noqa: F401\n",
        id="noqa",
    ),
    pytest.param(
        caps.unreasoned_silence,
        "import a  # type: ignore[import-untyped]  # the package ships no types\n",
        "import a  # type: ignore[import-untyped]\n",
        id="type-ignore",
    ),
    pytest.param(
        caps.unreasoned_settings,
        '[tool.ruff.lint]\nignore = [\n  "ISC001",  # fights the formatter\n]\n',
        '[tool.ruff.lint]\nignore = [\n  "ISC001",\n]\n',
        id="ignore",
    ),
    pytest.param(
        caps.unreasoned_settings,
        '[tool.ruff.lint.per-file-ignores]\n"a.py" = ["S101"]  # asserts are its work\n',
        '[tool.ruff.lint.per-file-ignores]\n"a.py" = ["S101"]\n',
        id="file-ignore",
    ),
    pytest.param(
        caps.unreasoned_settings,
        "[[tool.mypy.overrides]]\nignore_missing_imports = true  # ships no types\n",
        "[[tool.mypy.overrides]]\nignore_missing_imports = true\n",
        id="mypy-ignore",
    ),
    pytest.param(
        caps.front_door, '"""A room."""\n__all__ = ["a"]\n', '__all__ = ["a"]\n', id="docstring"
    ),
    pytest.param(
        caps.front_door,
        '"""A room."""\n__all__ = ["a", "b", "c", "d", "e", "f", "g"]\n',
        '"""A room."""\n__all__ = ["a", "b", "c", "d", "e", "f", "g", "h"]\n',
        id="front-door",
    ),
    pytest.param(
        caps.front_door,
        '"""A room."""\nfrom a import b\n__all__ = ["b"]\n',
        '"""A room."""\nfrom a import b\n',
        id="side-door",
    ),
]


@pytest.mark.parametrize(("checker", "allowed", "refused"), PLANTED)
def test_cap_catches_what_is_planted(checker: Checker, allowed: str, refused: str) -> None:
    assert checker(allowed) == []
    assert len(checker(refused)) == 1


def test_banned_names_are_caught() -> None:
    assert caps.banned_name(Path("src/strongroom/vault/utils.py"))
    assert caps.banned_name(Path("src/strongroom/common/pack.py"))
    assert caps.banned_name(Path("src/strongroom/vault/pack.py")) == []


@pytest.mark.parametrize(
    "checker",
    [caps.long_functions, caps.long_module, caps.long_lines, caps.unreasoned_silence],
)
def test_every_module_is_within_the_cap(checker: Checker) -> None:
    found = {
        str(path.relative_to(ROOT)): problems
        for path in python_files("src", "tests", "bench")
        if (problems := checker(path.read_text("utf-8")))
    }
    assert found == {}


@pytest.mark.parametrize("checker", [caps.long_functions, caps.long_lines, caps.many_parameters])
def test_the_rescue_is_within_every_cap_but_that_of_a_module(checker: Checker) -> None:
    """Each is one file by its purpose (docs/decisions/0009)."""
    paths = python_files("rescue")
    assert [path.name for path in paths] == ["strongroom_rescue.py", "strongroom_verify.py"]
    assert [checker(path.read_text("utf-8")) for path in paths] == [[], []]


def test_every_function_of_ours_has_few_parameters() -> None:
    found = {
        str(path.relative_to(ROOT)): problems
        for path in python_files("src", "bench")
        if (problems := caps.many_parameters(path.read_text("utf-8")))
    }
    assert found == {}


def test_every_file_name_says_something() -> None:
    named = [path.relative_to(ROOT) for path in python_files("src", "tests", "bench")]
    assert [problem for path in named for problem in caps.banned_name(path)] == []


def test_every_setting_that_ignores_has_a_reason() -> None:
    assert caps.unreasoned_settings((ROOT / "pyproject.toml").read_text("utf-8")) == []


def test_every_room_has_a_front_door() -> None:
    found = {}
    for room in rooms():
        door = room / "__init__.py"
        problems = caps.front_door(door.read_text("utf-8")) if door.exists() else ["no front door"]
        if problems:
            found[str(room.relative_to(ROOT))] = problems
    assert found == {}
