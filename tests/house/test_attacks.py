"""The threat model names the test of each attack, and every test of an attack is named there."""

import re

from tests.house.tree import ROOT, python_files

PAGE = ROOT / "docs" / "threat-model.md"
HONEST = {"test_an_honest_server_is_answered"}
"""What shows that the attacks beside it fail for being attacks."""
_TITLE = "## Attacks that our tests make\n"
_CODE = re.compile(r"`([^`]+)`")
_TEST = re.compile(r"^def (test_\w+)", re.MULTILINE)


def named_tests(page: str) -> list[tuple[str, str]]:
    """Return file and name of every test in the last column of the page's table of attacks."""
    section = page.partition(_TITLE)[2].partition("\n## ")[0]
    rows = [line.split("|") for line in section.splitlines() if line.startswith("| **")]
    found, file = [], ""
    for row in rows:
        for word in _CODE.findall(row[-2]):
            if word.endswith(".py"):
                file = word
            else:
                found.append((file, word))
    return found


def test_a_table_of_attacks_is_read() -> None:
    row = "| **theft** of `x` | `no` | `tests/a.py`: `test_b`, `test_c`; `tests/d.py`: `test_e` |\n"
    page = f"# Page\n\n{_TITLE}\n| a | b | c |\n|---|---|---|\n{row}\n## More\n{row}"
    assert named_tests(page) == [
        ("tests/a.py", "test_b"),
        ("tests/a.py", "test_c"),
        ("tests/d.py", "test_e"),
    ]


def test_every_attack_of_the_threat_model_is_tried() -> None:
    named = named_tests(PAGE.read_text("utf-8"))
    assert named
    made = {file: _TEST.findall((ROOT / file).read_text("utf-8")) for file, _ in named}
    assert [(file, name) for file, name in named if name not in made[file]] == []


def test_every_test_of_an_attack_is_in_the_threat_model() -> None:
    made = {
        (str(path.relative_to(ROOT)), name)
        for path in python_files("tests/attacks")
        for name in _TEST.findall(path.read_text("utf-8"))
        if name not in HONEST
    }
    assert made - set(named_tests(PAGE.read_text("utf-8"))) == set()
