"""The key file and the sealed files it opens."""

import secrets
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.adapters.secrets.key_file import (
    SECRET_BYTES_MAX,
    KeyFile,
    KeyFileMissing,
    KeyFileOpen,
    SealedFiles,
)
from strongroom.errors import Damaged, StrongroomError


def fixed(size: int) -> bytes:
    return b"\x07" * size


@pytest.fixture(name="files")
def _files(tmp_path: Path) -> SealedFiles:
    return SealedFiles(tmp_path, b"\x01" * 32, secrets.token_bytes)


def test_what_is_created_is_opened_again(tmp_path: Path) -> None:
    made = KeyFile.create(tmp_path / "folder" / "a.key", fixed)
    opened = KeyFile.open(tmp_path / "folder" / "a.key")
    assert made.derive("secrets") == opened.derive("secrets")
    assert opened.derive("secrets") != opened.derive("custodian-1")
    assert (tmp_path / "folder" / "a.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "folder").stat().st_mode & 0o077 == 0


def test_key_is_not_in_what_python_shows(tmp_path: Path) -> None:
    made = KeyFile.create(tmp_path / "a.key", fixed)
    assert fixed(32).hex() not in repr(made)


def test_no_key_file_is_written_over(tmp_path: Path) -> None:
    KeyFile.create(tmp_path / "a.key", fixed)
    before = (tmp_path / "a.key").read_bytes()
    with pytest.raises(StrongroomError, match="cannot be written: file exists"):
        KeyFile.create(tmp_path / "a.key", secrets.token_bytes)
    assert (tmp_path / "a.key").read_bytes() == before


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700 | 0o001])
def test_key_file_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    KeyFile.create(tmp_path / "a.key", fixed)
    (tmp_path / "a.key").chmod(mode)
    with pytest.raises(KeyFileOpen):
        KeyFile.open(tmp_path / "a.key")


def test_key_file_behind_a_link_is_refused(tmp_path: Path) -> None:
    KeyFile.create(tmp_path / "a.key", fixed)
    (tmp_path / "link.key").symlink_to(tmp_path / "a.key")
    with pytest.raises(KeyFileMissing):
        KeyFile.open(tmp_path / "link.key")


@given(st.binary(max_size=300))
def test_what_is_no_key_file_is_damaged(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.key"
        path.write_bytes(data)
        path.chmod(0o600)
        with pytest.raises(Damaged):
            KeyFile.open(path)


@given(st.binary(min_size=0, max_size=200))
def test_secret_comes_back_under_its_own_name(secret: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = SealedFiles(folder, b"\x01" * 32, secrets.token_bytes)
        files.write("one", secret)
        assert files.read("one") == secret
        assert len(secret) < 8 or secret not in (folder / "one").read_bytes()
        (folder / "one").rename(folder / "two")
        with pytest.raises(Damaged):
            files.read("two")


def test_secret_is_written_once_and_for_its_owner(tmp_path: Path, files: SealedFiles) -> None:
    assert not files.has("one")
    files.write("one", b"secret")
    assert files.has("one")
    assert (tmp_path / "one").stat().st_mode & 0o777 == 0o600
    with pytest.raises(StrongroomError, match="cannot be written"):
        files.write("one", b"another")
    assert files.read("one") == b"secret"


def test_removed_secret_can_be_written_anew(files: SealedFiles) -> None:
    files.write("one", b"secret")
    files.remove("one")
    assert not files.has("one")
    files.write("one", b"another")
    assert files.read("one") == b"another"
    files.remove("one")
    with pytest.raises(StrongroomError, match="cannot be removed"):
        files.remove("one")


def test_same_secret_is_sealed_differently_each_time(tmp_path: Path, files: SealedFiles) -> None:
    files.write("one", b"secret")
    before = (tmp_path / "one").read_bytes()
    files.remove("one")
    files.write("one", b"secret")
    assert (tmp_path / "one").read_bytes() != before


def test_secret_under_another_key_is_damaged(tmp_path: Path, files: SealedFiles) -> None:
    files.write("one", b"secret")
    with pytest.raises(Damaged):
        SealedFiles(tmp_path, b"\x02" * 32, secrets.token_bytes).read("one")


def test_every_flipped_bit_is_found(tmp_path: Path, files: SealedFiles) -> None:
    files.write("one", b"secret")
    sealed = (tmp_path / "one").read_bytes()
    for bit in range(len(sealed) * 8):
        spoilt = bytearray(sealed)
        spoilt[bit // 8] ^= 1 << bit % 8
        (tmp_path / "one").write_bytes(spoilt)
        with pytest.raises(Damaged):
            files.read("one")


@pytest.mark.parametrize("size", [0, 5, 22, SECRET_BYTES_MAX + 1])
def test_file_of_an_impossible_size_is_damaged(
    tmp_path: Path, files: SealedFiles, size: int
) -> None:
    (tmp_path / "one").write_bytes(b"SRSEC\x01".ljust(size, b"\0")[:size])
    with pytest.raises(Damaged):
        files.read("one")


def test_missing_secret_is_damage(files: SealedFiles) -> None:
    with pytest.raises(Damaged, match="no such file"):
        files.read("one")
