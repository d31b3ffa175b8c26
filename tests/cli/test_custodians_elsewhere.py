"""A home whose custodians are processes of their own, from the first word to the last."""

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from strongroom.app.custodians import NewCustodian
from tests.support.served_custodian import Told, make, served
from tests.support.transcript import Done, at_home, strongroom

pytestmark = pytest.mark.loopback
NAMES = ("anna", "ben", "carl")


class Elsewhere:
    """Three custodians, each in a folder and a thread of its own, and a home that can ask them."""

    def __init__(self, folder: Path, kept: ExitStack) -> None:
        self.folder = folder
        self.kept = kept
        self.made: Mapping[str, NewCustodian] = {name: make(folder / name) for name in NAMES}
        self.served: dict[str, tuple[int, Told]] = {}
        self.running: dict[str, ExitStack] = {}
        for name in NAMES:
            self.start(name)

    def start(self, name: str) -> None:
        self.running[name] = ExitStack()
        self.kept.push(self.running[name])
        self.served[name] = self.running[name].enter_context(served(self.folder / name))

    def stop(self, name: str) -> None:
        self.running[name].close()

    def url(self, name: str) -> str:
        return f"https://127.0.0.1:{self.served[name][0]}"

    def init(self, codes: str, *others: str) -> Done:
        named = [word for name in NAMES for word in ("--custodian", f"{name}={self.url(name)}")]
        places = ("--location", "one", "--location", "two")
        return strongroom("init", *named, *places, "--join-codes", "-", *others, stdin=codes)

    @property
    def codes(self) -> str:
        return "".join(f"{self.made[name].code}\n" for name in NAMES)


@pytest.fixture(name="elsewhere")
def _elsewhere(tmp_path: Path) -> Iterator[Elsewhere]:
    with at_home(tmp_path), ExitStack() as kept:
        yield Elsewhere(tmp_path, kept)


def test_custodians_elsewhere_are_joined_used_missed_and_back(elsewhere: Elsewhere) -> None:
    done = elsewhere.init(elsewhere.codes)
    assert done.code == 0, done.err
    assert "Each was shown where its custodian was made" in done.out
    assert "custodians anna, ben, carl run on this machine" in done.out
    listed = json.loads(strongroom("custodian", "list", "--json").out)
    assert [row["runs"] for row in listed] == [elsewhere.url(name) for name in NAMES]
    assert {row["parted"] for row in listed} == {"not distributed"}
    (elsewhere.folder / "notes").mkdir()
    (elsewhere.folder / "notes" / "today.txt").write_text("Buy locks.", encoding="utf-8")
    assert strongroom("client", "add", "acme", "--source", "notes").code == 0
    assert "3 of 3 receipts" in strongroom("backup", "acme").out
    elsewhere.stop("ben")
    assert "2 of 3 receipts" in strongroom("backup", "acme").out
    status = strongroom("status").out
    assert "2 of 3 answer: anna, carl; NOT ben" in status
    assert "custodian 2 (ben): missed since" in status
    assert strongroom("restore", "acme", "--to", "back").code == 0
    assert (elsewhere.folder / "back" / "notes" / "today.txt").read_text("utf-8") == "Buy locks."
    elsewhere.stop("carl")
    assert strongroom("backup", "acme").code == 3
    refused = strongroom("restore", "acme", "--to", "again")
    assert (refused.code, "1 of 2 custodians needed" in refused.err) == (4, True)
    elsewhere.start("ben")
    elsewhere.start("carl")
    assert strongroom("backup", "acme").code == 0
    assert "3 of 3 answer" in strongroom("status").out
    assert strongroom("ledger", "verify").code == 0


def test_its_kit_is_confirmed_where_it_runs(elsewhere: Elsewhere) -> None:
    assert elsewhere.init(elsewhere.codes).code == 0
    words = " ".join(elsewhere.made["anna"].words)
    home = ("--home", str(elsewhere.folder / "anna"))
    refused = strongroom("kit", "confirm", "anna", "--words-file", "-", stdin=words)
    assert (refused.code, "custodian confirm-kit" in refused.err) == (2, True)
    done = strongroom(*home, "custodian", "confirm-kit", "--words-file", "-", stdin=words)
    assert done.out == "The kit of anna is confirmed.\n"
    assert json.loads(strongroom("kit", "show", "--json").out)["kits"][0]["confirmed"] is True
    assert "1 confirmed, 2 needed" in strongroom("status").out


def test_one_wrong_code_leaves_no_home_and_the_others_waiting(elsewhere: Elsewhere) -> None:
    wrong = make(elsewhere.folder / "dora").code
    codes = elsewhere.codes.replace(elsewhere.made["carl"].code, wrong)
    refused = elsewhere.init(codes)
    assert refused.code == 4, refused
    assert "Traceback" not in refused.err
    assert not (elsewhere.folder / "home").exists()
    done = elsewhere.init(elsewhere.codes)
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("words", "codes", "what"),
    [
        (("--custodian", "anna"), "", "is no custodian that is elsewhere"),
        (("--custodian", "anna=http://c.example:1"), "CODE", "is not where a custodian can be"),
        (("--custodian", "anna=https://c.example:1"), "", "join codes given: 0"),
        (("--custodian", "anna=https://c.example:1"), "ABC", "this is not a join code"),
    ],
)
def test_what_cannot_be_joined_is_said_before_anything_is_made(
    tmp_path: Path, words: tuple[str, ...], codes: str, what: str
) -> None:
    with at_home(tmp_path):
        code = make(tmp_path / "waiting").code
        given = codes.replace("CODE", code)
        options = ("--location", "one", "--threshold", "1", "--join-codes", "-")
        refused = strongroom("init", *words, *options, stdin=given)
        assert (refused.code, what in refused.err) == (2, True), refused.err
        assert not (tmp_path / "home").exists()
        assert not (tmp_path / "one").exists()
