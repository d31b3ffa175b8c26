"""The spool holds plaintext, so it is a folder of ours alone, and what we made there stays ours."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from strongroom.adapters.sources import spool as spool_room
from strongroom.adapters.sources.errors import TargetFailed
from strongroom.adapters.sources.postgres_spool import SpoolFolder, sweep_spool_folders
from strongroom.adapters.sources.spool import (
    SPOOL_PREFIX,
    TRIES,
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


Race = Callable[[Path], list[int]]


def swept(spool: Path) -> list[int]:
    """Sweep from beginning to end."""
    sweep_spool_folders(spool)
    return []


def held(spool: Path) -> list[int]:
    """Lock what lies there, as another process does before it removes it."""
    handles = [os.open(path, os.O_RDONLY) for path in spool.iterdir()]
    for handle in handles:
        with suppress(BlockingIOError):
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return handles


@contextmanager
def a_race(monkeypatch: pytest.MonkeyPatch, spool: Path, race: Race, times: int) -> Iterator[None]:
    """Let another process do something so many times between the making and the locking."""
    real = fcntl.flock
    left = [race] * times
    handles: list[int] = []

    def late(handle: int, operation: int) -> None:
        if left:
            # What is done in between locks too.
            monkeypatch.setattr(fcntl, "flock", real)
            handles.extend(left.pop()(spool))
            monkeypatch.setattr(fcntl, "flock", late)
        real(handle, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    yield
    monkeypatch.setattr(fcntl, "flock", real)
    for handle in handles:
        os.close(handle)
    assert left == []


@pytest.mark.parametrize("race", [swept, held])
def test_a_sweep_between_making_and_locking_a_file_costs_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, race: Race
) -> None:
    spool = tmp_path / "spool"
    with a_race(monkeypatch, spool, race, TRIES - 1):
        path, handle = open_spool_file(spool, 1, token)
    sweep_spool(spool)
    assert [os.fsencode(left) for left in spool.iterdir()] == [path]
    with open(path, "rb"):
        check_opened(handle, 1)
    os.close(handle)


@pytest.mark.parametrize("race", [swept, held])
def test_a_sweep_between_making_and_locking_a_folder_costs_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, race: Race
) -> None:
    spool = tmp_path / "spool"

    def of_folders(spool: Path) -> list[int]:
        return race(spool) if any(path.is_dir() for path in spool.iterdir()) else []

    # Each try locks a file before the folder.
    with a_race(monkeypatch, spool, of_folders, 2 * TRIES - 1):
        folder = SpoolFolder(spool, 1, token)
    assert sweep_spool_folders(spool) == 0
    assert [os.fsencode(left) for left in spool.iterdir()] == [folder.path]
    folder.close()


def test_a_sweep_that_is_always_faster_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = tmp_path / "spool"
    with (
        a_race(monkeypatch, spool, held, TRIES),
        pytest.raises(TargetFailed, match="another process sweeps away every new file"),
    ):
        open_spool_file(spool, 1, token)
