"""A log survives SIGKILL at each step of a commit, torn files, and two writers at once."""

import os
import shutil
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.ledger import Log
from strongroom.ledger.checkpoint import Checkpoint
from strongroom.ledger.note import split_note
from strongroom.ledger.tree import ProofInvalid, verify_consistency
from tests.support.logs import NOON, SEED, begun, fill

BEFORE = 255
STATEMENTS = 8
"""BEGIN, head, leaf, tile, leaves, tile, head, COMMIT: the leaf that fills a tile."""
WAL_HEADER = 32
WAL_FRAME = 24 + 4096

_DIES = """
import os, signal, sqlite3, sys
from pathlib import Path
from strongroom.adapters.database import sqlite
from strongroom.ledger import Log
from tests.support.logs import facts

path, last = Path(sys.argv[1]), int(sys.argv[2])
database = sqlite.open_sqlite(path)
log, left = Log(database), last

def count(statement):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)

database._connection.set_trace_callback(count)
with database.transaction() as transaction:
    log.append_many(transaction, facts(1))
os.kill(os.getpid(), signal.SIGKILL)
"""
_WRITES = """
import sys
from pathlib import Path
from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.ledger import Log
from tests.support.logs import facts

database = open_sqlite(Path(sys.argv[1]), busy_seconds=60)
log = Log(database)
for fact in facts(int(sys.argv[2])):
    with database.transaction() as transaction:
        log.append(transaction, fact)
"""


def python(program: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start a program of ours."""
    path = os.pathsep.join(("src", "."))
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": path},
    )


def made(path: Path, count: int) -> None:
    with closing(open_sqlite(path)) as database:
        database.migrate(Log.SCHEMA)
        begun(database, count).sign(SEED, NOON)


@pytest.mark.parametrize("statements", range(STATEMENTS + 1))
def test_killed_at_each_step_of_a_commit(tmp_path: Path, statements: int) -> None:
    path = tmp_path / "log.db"
    made(path, BEFORE)
    child = python(_DIES, str(path), str(statements))
    assert child.wait() == -signal.SIGKILL
    with closing(open_sqlite(path)) as database:
        log = Log(database)
        assert log.size() == BEFORE + (statements == STATEMENTS)
        log.verify()
        fill(database, log, 1)
        log.sign(SEED, NOON)
        log.verify()


def test_file_torn_anywhere_in_a_commit_holds_whole_commits(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    made(path, BEFORE)
    ends, sizes = [], []
    with closing(open_sqlite(path)) as database:
        log = Log(database)
        wal = path.with_name("log.db-wal")
        for count in (1, 1, 3):
            fill(database, log, count)
            log.sign(SEED, NOON)
            ends.append(wal.stat().st_size)
            sizes.append(log.size())
        whole = wal.read_bytes()
        shutil.copy(path, tmp_path / "base.db")
    cuts = range(WAL_HEADER, len(whole) + 1, WAL_FRAME)
    for cut in sorted({*cuts, *(cut + WAL_FRAME // 2 for cut in cuts)}):
        torn = tmp_path / "torn.db"
        shutil.copy(tmp_path / "base.db", torn)
        torn.with_name("torn.db-wal").write_bytes(whole[:cut])
        with closing(open_sqlite(torn)) as database:
            log = Log(database)
            acknowledged = [size for end, size in zip(ends, sizes, strict=True) if end <= cut]
            assert log.size() >= max(acknowledged, default=BEFORE)
            log.verify()
        torn.unlink()


def test_two_writers_make_one_log(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    made(path, BEFORE)
    children = [python(_WRITES, str(path), "150") for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    with closing(open_sqlite(path)) as database:
        log = Log(database)
        assert log.size() == BEFORE + 300
        log.sign(SEED, NOON)
        assert log.verify().leaves == BEFORE + 300


def test_two_connections_never_sign_two_trees(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    made(path, 3)
    with closing(open_sqlite(path)) as first, closing(open_sqlite(path)) as second:
        fill(first, Log(first), 1)
        ours = Log(second).sign(SEED, NOON)
        assert Log(first).sign(SEED, NOON) == ours
        fill(second, Log(second), 1)
        assert Checkpoint.parse(split_note(Log(first).sign(SEED, NOON)).text).size == 5
        Log(first).verify()


def test_restored_image_is_behind_and_then_a_fork(tmp_path: Path) -> None:
    path, kept = tmp_path / "log.db", tmp_path / "kept.db"
    made(path, 3)
    shutil.copy(path, kept)
    with closing(open_sqlite(path)) as database:
        log = Log(database)
        fill(database, log, 2)
        seen = Checkpoint.parse(split_note(log.sign(SEED, NOON)).text)
        log.check_seen(seen, "witness-1")
    with closing(open_sqlite(kept)) as database:
        log = Log(database)
        with pytest.raises(Log.Behind, match="witness-1 saw 5 leaves, and there are 3"):
            log.check_seen(seen, "witness-1")
        fill(database, log, 4)
        with pytest.raises(Log.Forked, match="witness-1 saw another tree of 5 leaves") as caught:
            log.check_seen(seen, "witness-1")
        assert caught.value.exit_code == 30
        ours = Checkpoint.parse(split_note(log.sign(SEED, NOON)).text)
        with pytest.raises(ProofInvalid):
            verify_consistency(5, 7, log.consistency(5, 7), seen.root, ours.root)
