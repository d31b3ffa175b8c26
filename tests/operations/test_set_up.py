"""`init`: numbers that cannot work, and what an unfinished one leaves."""

from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.errors import StrongroomError, UsageError
from strongroom.ids import InstallId
from strongroom.operations.credentials import Credential, Credentials, secret_name
from strongroom.operations.set_up import InstallPlan, seal_operator_seed, set_up

INSTALL = InstallId("0" * 32)
ONE = {"one": "file:///nowhere/one"}
KEY = Credential("key", "SECRET")
SEED = b"\x05" * 32


@pytest.mark.parametrize(
    ("custodians", "threshold", "said"),
    [
        (0, 0, "0 custodians"),
        (33, 2, "33 custodians"),
        (-1, 1, "-1 custodians"),
        (3, 0, "threshold of 0"),
        (3, 4, "threshold of 4"),
        (3, 1, "whole key to every custodian"),
        (2, 1, "whole key to every custodian"),
    ],
)
def test_numbers_that_cannot_work(custodians: int, threshold: int, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        InstallPlan(INSTALL, "ann", custodians, threshold, ONE).check()


@pytest.mark.parametrize(("custodians", "threshold"), [(1, 1), (2, 2), (3, 2), (32, 32)])
def test_numbers_that_work(custodians: int, threshold: int) -> None:
    InstallPlan(INSTALL, "ann", custodians, threshold, ONE).check()


def test_no_place_and_a_credential_for_none() -> None:
    with pytest.raises(UsageError, match="no location"):
        InstallPlan(INSTALL, "ann", 3, 2, {}).check()
    with pytest.raises(UsageError, match="no location needs one"):
        InstallPlan(INSTALL, "ann", 3, 2, ONE, credentials=Credentials(KEY)).check()
    with pytest.raises(UsageError, match="no location needs one"):
        InstallPlan(INSTALL, "ann", 3, 2, ONE, credentials=Credentials(janitor=KEY)).check()


def test_secrets_are_not_in_what_python_shows() -> None:
    plan = InstallPlan(INSTALL, "ann", 3, 2, ONE, "PASSPHRASE", Credentials(KEY, KEY))
    assert "PASSPHRASE" not in repr(plan)
    assert "SECRET" not in repr(plan)


@pytest.mark.parametrize(("passphrase", "kind"), [(None, b"K"), ("four words that fit", b"P")])
def test_operator_key_is_sealed_under_the_passphrase(
    tmp_path: Path, passphrase: str | None, kind: bytes
) -> None:
    app = App()
    tools, registry = app.make_home(tmp_path / "home", INSTALL, tmp_path / "key")
    registry.close()
    sealed = seal_operator_seed(tools, passphrase, SEED)
    assert sealed[:1] == kind
    assert (SEED in sealed) == (passphrase is None)


def test_unreachable_location_leaves_nothing_at_the_others(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder", encoding="utf-8")
    places = {"one": f"file://{tmp_path}/one", "two": f"file://{tmp_path}/file/two"}
    tools, registry = App().make_home(tmp_path / "home", INSTALL, tmp_path / "key")
    with pytest.raises(StrongroomError, match="the location two cannot be used"):
        set_up(tools, registry, InstallPlan(INSTALL, "ann", 3, 2, places))
    registry.close()
    assert [path.name for path in (tmp_path / "one").glob("*/*")] == []


def test_kits_come_back_once_and_lie_nowhere(tmp_path: Path) -> None:
    tools, registry = App().make_home(tmp_path / "home", INSTALL, tmp_path / "key")
    plan = InstallPlan(INSTALL, "ann", 3, 2, {"one": f"file://{tmp_path}/one"})
    made = set_up(tools, registry, plan)
    registry.close()
    assert [kit.custodian for kit in made.kits] == ["custodian-1", "custodian-2", "custodian-3"]
    assert len({kit.words for kit in made.kits}) == 3
    everything = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for kit in made.kits:
        assert len(kit.words.split()) == 24
        assert " ".join(kit.words.split()[:3]).encode() not in everything
        assert kit.words not in repr(made)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("key\nsecret\n", Credential("key", "secret")),
        ("  key \r\n secret \r\n\n", Credential("key", "secret")),
        ('account\n{\n"type": "x"\n}\n', Credential("account", '{\n"type": "x"\n}')),
    ],
)
def test_credential_is_two_lines_or_more(text: str, found: Credential) -> None:
    assert Credential.read(text) == found


@pytest.mark.parametrize("text", ["", "\n", "key", "key\n", "\n\nkey\n\n"])
def test_half_a_credential_is_refused_without_a_word_of_it(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        Credential.read(text)
    assert "key id" in refused.value.why


def test_name_of_a_sealed_credential() -> None:
    assert secret_name("shed") == "location-shed"
