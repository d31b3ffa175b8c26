"""home-v1 as it was frozen: made anew it is the same, and what lies in a home opens."""

import json
from pathlib import Path

import pytest

from strongroom.adapters.secrets.key_file import KeyFile, SealedFiles
from strongroom.crypto import passphrase, sealing
from strongroom.errors import Damaged
from tests.vectors import build_home_v1

FROZEN = json.loads(
    (Path(__file__).parents[2] / "vectors" / "home-v1.json").read_text(encoding="utf-8")
)


def opened_key_file(folder: Path) -> KeyFile:
    path = folder / "one.key"
    path.write_text(FROZEN["key_file"], encoding="ascii")
    path.chmod(0o600)
    return KeyFile.open(path)


def no_chance(size: int) -> bytes:
    raise AssertionError(f"{size} random bytes were asked for by a reader")


def test_home_v1_is_made_as_it_was_frozen() -> None:
    assert build_home_v1.build() == FROZEN


def test_frozen_key_file_gives_the_keys_of_its_roles(tmp_path: Path) -> None:
    key_file = opened_key_file(tmp_path)
    assert {role: key_file.derive(role).hex() for role in FROZEN["roles"]} == FROZEN["roles"]


def test_frozen_key_file_with_another_digit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "one.key"
    path.write_text(FROZEN["key_file"].replace(" 00", " 01", 1), encoding="ascii")
    path.chmod(0o600)
    with pytest.raises(Damaged, match="check digits do not fit"):
        KeyFile.open(path)


def test_frozen_secrets_open_under_their_own_names_only(tmp_path: Path) -> None:
    files = SealedFiles(tmp_path, opened_key_file(tmp_path).derive("secrets"), no_chance)
    for case in FROZEN["secrets"]:
        (tmp_path / case["name"]).write_bytes(bytes.fromhex(case["file"]))
        assert files.read(case["name"]).hex() == case["secret"]
        (tmp_path / "another").write_bytes(bytes.fromhex(case["file"]))
        with pytest.raises(Damaged, match="does not open"):
            files.read("another")


def test_frozen_operator_key_opens_with_its_passphrase() -> None:
    case = FROZEN["operator_with_passphrase"]
    secret = bytes.fromhex(case["secret"])
    stretch_salt, seal_salt, sealed = secret[1:17], secret[17:33], secret[33:]
    key = passphrase.stretch(case["passphrase"], stretch_salt)
    assert secret[:1] == b"P"
    assert sealing.open_sealed(key, "operator", seal_salt, b"", sealed).hex() == case["seed"]
