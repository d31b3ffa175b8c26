"""One backup of a vault at a time."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from strongroom.adapters.machine.lock import AlreadyRunning, vault_lock


class Noon:
    """A clock that stands."""

    def now(self) -> datetime:
        return datetime(2026, 11, 22, 12, tzinfo=UTC)

    def monotonic(self) -> float:
        return 0.0


def test_second_holder_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "vault.lock"
    with vault_lock(path, Noon()):
        with pytest.raises(AlreadyRunning) as refused, vault_lock(path, Noon()):
            pass
        assert f"by process {os.getpid()} since 2026-11-22T12:00:00" in str(refused.value)
        assert "not disturbed" in refused.value.hint


def test_lock_is_free_again_also_after_an_error(tmp_path: Path) -> None:
    path = tmp_path / "vault.lock"
    with pytest.raises(KeyError), vault_lock(path, Noon()):
        raise KeyError
    with vault_lock(path, Noon()):
        pass
    assert path.read_bytes() == b""


def test_two_vaults_do_not_wait_for_each_other(tmp_path: Path) -> None:
    with vault_lock(tmp_path / "a.lock", Noon()), vault_lock(tmp_path / "b.lock", Noon()):
        pass


def test_text_of_a_dead_holder_does_not_lock(tmp_path: Path) -> None:
    path = tmp_path / "vault.lock"
    path.write_text("process 1 since long ago\n", encoding="utf-8")
    with vault_lock(path, Noon()):
        assert path.read_text(encoding="utf-8").startswith(f"process {os.getpid()} ")


def test_lock_is_for_its_owner_and_no_link(tmp_path: Path) -> None:
    with vault_lock(tmp_path / "a.lock", Noon()):
        assert (tmp_path / "a.lock").stat().st_mode & 0o777 == 0o600
    (tmp_path / "link.lock").symlink_to(tmp_path / "a.lock")
    with pytest.raises(OSError, match="symbolic links"), vault_lock(tmp_path / "link.lock", Noon()):
        pass
