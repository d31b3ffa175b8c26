"""What a person meets on a terminal: prompts, a progress line, questions."""

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.house.tree import ROOT
from tests.support.first_home import FirstHome
from tests.support.transcript import strongroom

TYPED = "four words that fit not"


@dataclass
class Terminal:
    """A command with a terminal of its own."""

    process: "subprocess.Popen[bytes]"
    screen: int
    seen: str = ""

    def wait_for(self, text: str) -> str:
        """Read until the text is on the screen; returns all that is."""
        while text not in self.seen:
            self.seen += self._read()
        return self.seen

    def type(self, text: str) -> None:
        """Type a line; what was on the screen counts no more."""
        self.seen = ""
        os.write(self.screen, text.encode() + b"\n")

    def end(self) -> tuple[int, str]:
        """Read to the end; returns exit code and what was on the screen since the last line."""
        while more := self._read(at_end=True):
            self.seen += more
        return self.process.wait(30), self.seen

    def _read(self, *, at_end: bool = False) -> str:
        try:
            data = os.read(self.screen, 65536)
        except OSError:
            data = b""
        if not data and not at_end:
            raise AssertionError(f"the command ended: {self.seen}")
        return data.decode().replace("\r\n", "\n")


@contextmanager
def terminal(*arguments: str) -> Iterator[Terminal]:
    screen, keyboard = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "strongroom", *arguments],
        stdin=keyboard,
        stdout=keyboard,
        stderr=keyboard,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
    )
    os.close(keyboard)
    try:
        yield Terminal(process, screen)
    finally:
        process.kill()
        process.wait(10)
        os.close(screen)


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
