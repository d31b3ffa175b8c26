"""`custodian init`, `serve` and `join-code`, as somebody types them where a custodian runs."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.tree import ROOT
from tests.support.transcript import Done, at_home, strongroom

CODE = re.compile(r"(?:[A-Z2-7]{4}-){6}[A-Z2-7]{2}")
WORDS = "four words that differ"
SECONDS_MAX = 60


@pytest.fixture(name="folder")
def _folder(tmp_path: Path) -> Iterator[Path]:
    with at_home(tmp_path):
        yield tmp_path


def custodian(*words: str, stdin: str = "") -> Done:
    return strongroom("--home", "anna", "custodian", *words, stdin=stdin)


def test_init_shows_kit_and_code_once_and_what_to_do(folder: Path) -> None:
    done = custodian("init", "--listen", "127.0.0.1:7443")
    assert done.code == 0, done.err
    (code,) = CODE.findall(done.out)
    assert re.search(r"^ +1 [a-z]+ +2 [a-z]+", done.out, re.MULTILINE)
    assert "DEGRADED: a key file opens this custodian's secrets" in done.out
    assert f"strongroom --home {folder}/anna custodian serve" in done.out
    assert "init --custodian NAME=https://127.0.0.1:7443" in done.out
    (key_file,) = (folder / "config" / "strongroom").glob("custodian-*.key")
    assert str(key_file) in done.out
    everything = b"".join(one.read_bytes() for one in folder.rglob("*") if one.is_file())
    assert code.encode() not in everything
    again = custodian("init", "--listen", "127.0.0.1:7443")
    assert (again.code, "is not empty" in again.err) == (4, True)


def test_init_for_machines_and_quietly(folder: Path) -> None:
    made = json.loads(custodian("init", "--listen", "[::1]:0", "--json").out)
    assert made["listen"] == "[::1]:0"
    assert len(made["words"].split()) == 24
    assert CODE.fullmatch(made["join_code"])
    shown = json.loads(custodian("join-code", "--json").out)
    assert CODE.fullmatch(shown["join_code"])
    assert shown["join_code"] != made["join_code"]
    quiet = strongroom("--home", "ben", "--quiet", "custodian", "init", "--listen", "127.0.0.1:0")
    assert CODE.search(quiet.out)
    assert "Next:" not in quiet.out


def test_a_passphrase_keeps_the_key_and_is_asked_for_at_each_start(folder: Path) -> None:
    (folder / "words").write_text(WORDS + "\n", encoding="utf-8")
    keeper = ("--key-keeper", "passphrase", "--listen", "127.0.0.1:0")
    done = custodian("init", *keeper, "--passphrase-file", "-", stdin=WORDS)
    assert done.code == 0, done.err
    assert "DEGRADED" not in done.out
    assert not (folder / "config").exists()
    locked = custodian("join-code")
    assert (locked.code, "this custodian is locked" in locked.err) == (2, True)
    wrong = custodian("join-code", "--passphrase-file", "-", stdin="another of that length")
    assert (wrong.code, "the passphrase is another" in wrong.err) == (4, True)
    assert CODE.search(custodian("join-code", "--passphrase-file", "words").out)


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("init",), "no address is given"),
        (("init", "--listen", "here"), "is not where a custodian can listen"),
        (("init", "--listen", ":7443"), "is not where a custodian can listen"),
        (("init", "--listen", "10.0.0.7:70000"), "is not where a custodian can listen"),
        (("init", "--listen", "https://c.example:1"), "is not where a custodian can listen"),
        (("init", "--listen", "127.0.0.1:0", "--key-keeper", "passphrase"), "no passphrase"),
        (("serve",), "there is no home of a custodian"),
        (("join-code",), "there is no home of a custodian"),
        (("confirm-kit",), "there is no home of a custodian"),
    ],
)
def test_what_cannot_be_is_said_and_nothing_is_made(
    folder: Path, words: tuple[str, ...], what: str
) -> None:
    done = custodian(*words)
    assert (done.code, what in done.err) == (2, True), done.err
    assert list(folder.iterdir()) == []


def test_a_home_is_named(folder: Path) -> None:
    done = strongroom("custodian", "init", "--listen", "127.0.0.1:0")
    assert (done.code, "--home DIR" in done.err) == (2, True)
    assert list(folder.iterdir()) == []


def test_a_kit_is_confirmed_once_it_is_of_somebody(folder: Path) -> None:
    assert custodian("init", "--listen", "127.0.0.1:0").code == 0
    refused = custodian("confirm-kit", "--words-file", "-", stdin="words")
    assert (refused.code, "waits to be joined" in refused.err) == (2, True)


@pytest.mark.loopback
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serve_ends_in_order_when_it_is_asked_to(folder: Path, number: signal.Signals) -> None:
    assert custodian("init", "--listen", "127.0.0.1:0").code == 0
    words = [sys.executable, "-m", "strongroom", "--home", "anna", "custodian", "serve"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as serving:
        assert serving.stdout is not None
        try:
            assert "waits to be joined" in serving.stdout.readline()
            serving.send_signal(number)
            assert serving.stdout.read() == "custodian has stopped\n"
            assert serving.wait(SECONDS_MAX) == 0
        finally:
            serving.kill()
