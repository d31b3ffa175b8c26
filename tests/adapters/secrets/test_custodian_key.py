"""The key over a custodian's secrets: what keeps it gives it back, and nothing else does."""

import os
from pathlib import Path

import pytest

from strongroom.adapters.secrets import custodian_key
from strongroom.adapters.secrets.custodian_key import (
    CREDENTIAL,
    CredentialUnusable,
    WrongPassphrase,
    keep_by_systemd,
    keep_in_key_file,
    keep_under_passphrase,
    open_by_systemd,
    open_key_file,
    open_under_passphrase,
)
from strongroom.adapters.secrets.key_file import KeyFileOpen
from strongroom.errors import Damaged, StrongroomError
from tests.quorum.world import seeded

WORDS = "four words that differ"


def test_a_key_file_gives_the_same_key_each_time(tmp_path: Path) -> None:
    path = tmp_path / "key"
    kek = keep_in_key_file(path, seeded("key"))
    assert open_key_file(path) == kek
    assert kek.hex() not in path.read_text("ascii")
    path.chmod(0o644)
    with pytest.raises(KeyFileOpen):
        open_key_file(path)


def test_a_passphrase_opens_what_it_keeps_and_no_other_does(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    kek = keep_under_passphrase(path, WORDS, seeded("kek"))
    assert open_under_passphrase(path, WORDS) == kek
    assert kek not in path.read_bytes()
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(WrongPassphrase) as caught:
        open_under_passphrase(path, WORDS + "!")
    assert caught.value.exit_code == 4
    assert WORDS not in str(caught.value)


def test_a_file_that_is_no_sealed_key_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "kek"
    with pytest.raises(StrongroomError, match="cannot be read"):
        open_under_passphrase(path, WORDS)
    path.write_bytes(b"SRKEK\x01 short")
    with pytest.raises(Damaged, match="no sealed key of ours"):
        open_under_passphrase(path, WORDS)


def test_systemd_seals_a_key_and_opens_it(tmp_path: Path) -> None:
    if os.geteuid() != 0 or not os.access(custodian_key.SYSTEMD_CREDS, os.X_OK):
        pytest.skip("systemd-creds seals for root, on a machine that has it")
    path = tmp_path / "kek.cred"
    try:
        kek = keep_by_systemd(path, seeded("kek"))
    except CredentialUnusable as err:
        pytest.skip(f"systemd-creds does not seal here: {err}")
    assert kek.hex() not in path.read_text("ascii")
    assert open_by_systemd(path, None) == kek
    path.write_text("nonsense", "ascii")
    with pytest.raises(CredentialUnusable, match="did not decrypt the key"):
        open_by_systemd(path, None)


def test_a_unit_hands_the_key_over_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / CREDENTIAL).write_text("07" * 32, "ascii")
    assert open_by_systemd(tmp_path / "none", tmp_path) == b"\x07" * 32
    for wrong in ("07" * 31, "so", "\xff"):
        (tmp_path / CREDENTIAL).write_text(wrong, "latin-1")
        with pytest.raises(Damaged, match="is no key"):
            open_by_systemd(tmp_path / "none", tmp_path)


def test_where_systemd_is_absent_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(custodian_key, "SYSTEMD_CREDS", str(tmp_path / "absent"))
    with pytest.raises(CredentialUnusable, match="cannot be run: no such file"):
        keep_by_systemd(tmp_path / "kek.cred", seeded("kek"))
