"""The spool holds plaintext, so it is a folder of ours alone, and what we made there stays ours."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.adapters.sources import spool as spool_room
from strongroom.adapters.sources.spool import (
    SPOOL_PREFIX,
    check_opened,
    open_spool_file,
    sweep_spool,
)
from strongroom.adapters.sources.sqlite import SpoolPlan, SqliteSource
from strongroom.clock import SystemClock
from strongroom.errors import Refused
from tests.adapters.sources.conftest import NOBODY
from tests.adapters.sources.test_sqlite import make
from tests.adapters.sources.trees import token

LEFT = SPOOL_PREFIX.decode() + "dead"


def mine(folder: Path) -> None:
    """Make a spool as we make it, with what a crash left."""
    folder.mkdir(mode=0o700)
    (folder / LEFT).write_bytes(b"")


def of_another_user(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can make a folder that belongs to somebody else")
    mine(folder)
    os.chown(folder, NOBODY, NOBODY)


def a_symlink(folder: Path) -> None:
    mine(folder.with_name("elsewhere"))
    folder.symlink_to(folder.with_name("elsewhere"))


def open_to_readers(folder: Path) -> None:
    mine(folder)
    folder.chmod(0o750)


def open_to_writers(folder: Path) -> None:
    mine(folder)
    folder.chmod(0o703)


@pytest.mark.parametrize("hostile", [of_another_user, a_symlink, open_to_readers, open_to_writers])
def test_a_spool_that_is_not_ours_alone_is_refused(
    tmp_path: Path, hostile: Callable[[Path], None]
) -> None:
    folder = tmp_path / "spool"
    hostile(folder)
    for ask in (lambda: open_spool_file(folder, 1, token), lambda: sweep_spool(folder)):
        with pytest.raises(Refused, match="is refused: ") as caught:
            ask()
        assert "mode 0700" in caught.value.hint
    assert os.listdir(folder) == [LEFT]


def test_a_spool_of_ours_is_swept(tmp_path: Path) -> None:
    mine(tmp_path / "spool")
    assert sweep_spool(tmp_path / "spool") == 1
    assert os.listdir(tmp_path / "spool") == []


def test_what_an_engine_opened_is_what_was_made(tmp_path: Path) -> None:
    path, handle = open_spool_file(tmp_path / "spool", 1, token)
    check_opened(handle, 0)
    with open(path, "rb"):
        check_opened(handle, 1)
    with pytest.raises(Refused, match="swapped"):
        check_opened(handle, 1)
    os.close(handle)


def test_a_file_swapped_before_it_is_opened_again_gets_no_plaintext(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder of the path is exchanged between making the file and opening it by its name."""
    database = make(tmp_path / "a.db")
    spool = tmp_path / "spool"
    swapped: list[Path] = []

    def swap(folder: Path, bytes_needed: int, chance: Callable[[int], bytes]) -> tuple[bytes, int]:
        path, handle = spool_room.open_spool_file(folder, bytes_needed, chance)
        spool.rename(tmp_path / "moved")
        spool.mkdir()
        swapped.append(Path(os.fsdecode(path)))
        swapped[0].touch()
        os.link(swapped[0], tmp_path / "seen")
        return path, handle

    monkeypatch.setattr("strongroom.adapters.sources.sqlite.open_spool_file", swap)
    plan = SpoolPlan(spool, SystemClock(), token, memory_bytes_max=0)
    source = SqliteSource(os.fsencode(database), plan)
    with pytest.raises(Refused, match="swapped"):
        list(source.entries())
    source.close()
    assert (tmp_path / "seen").read_bytes() == b""
