"""What a person meets on a terminal: prompts, a progress line, questions."""

import re
from pathlib import Path

from tests.support.first_home import FirstHome
from tests.support.terminal import terminal
from tests.support.transcript import strongroom

TYPED = "four words that fit not"


def test_passphrase_is_asked_twice_and_not_shown(folder: Path) -> None:
    with terminal("init", "--location", "one") as person:
        person.wait_for("12 characters or more): ")
        person.type(TYPED)
        person.wait_for("The same again: ")
        person.type(TYPED)
        code, seen = person.end()
    assert code == 0
    assert TYPED not in seen
    assert "Kit of custodian-3" in seen
    assert "no passphrase" not in seen
    operator = (folder / "home" / "secrets" / "operator").read_bytes()
    assert TYPED.encode() not in operator


def test_two_different_passphrases_make_nothing(folder: Path) -> None:
    with terminal("init", "--location", "one") as person:
        person.wait_for("12 characters or more): ")
        person.type(TYPED)
        person.wait_for("The same again: ")
        person.type(TYPED.upper())
        code, seen = person.end()
    assert code == 2
    assert "error: the two passphrases differ: nothing was made" in seen
    assert not (folder / "home").exists()


def test_kit_is_confirmed_by_two_of_its_words(folder: Path) -> None:
    made = strongroom("init", "--location", "one", "--json").out
    words = re.findall(r'"words": "([a-z ]+)"', made)[0].split()
    with terminal("kit", "confirm", "custodian-1", "--yes") as person:
        for _ in range(2):
            asked = re.findall(r"Word (\d+) of", person.wait_for("of custodian-1: "))
            person.type(words[int(asked[-1]) - 1])
        code, seen = person.end()
    assert code == 0
    assert "The kit of custodian-1 is confirmed; 1 in all, 2 are needed." in seen


def test_question_is_answered_no(first: FirstHome) -> None:
    with terminal("source", "remove", "acme", "notes") as person:
        person.wait_for("Stop backing up source notes of acme? [y/N] ")
        person.type("n")
        code, seen = person.end()
    assert code == 4
    assert "error: not confirmed: nothing was done" in seen
    assert "notes" in strongroom("source", "list", "acme").out


def test_progress_line_is_shown_and_cleared(first: FirstHome) -> None:
    with terminal("backup", "acme") as person:
        code, seen = person.end()
    assert code == 0
    assert re.search(r"\r\x1b\[2Kacme  \d", seen)
    last = seen.rstrip("\n").rpartition("\r\x1b[2K")[2]
    assert re.match(r"acme: [0-9a-f]{12} is good, 3 of 3 receipts; read ", last)
    with terminal("backup", "acme", "--quiet") as person:
        assert person.end() == (0, "")
