"""Any byte that is flipped in a stored leaf, tile, head or checkpoint is found."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.database import Database, Transaction
from strongroom.errors import Damaged
from strongroom.ledger import Log
from strongroom.ledger.log_verify import verify
from tests.support.logs import NOON, SEED, begun, cosigners, fill

FEW = 5
MORE_THAN_A_TILE = 260
BYTES_OF_A_TILE = 48


@pytest.fixture(name="database")
def _database(tmp_path: Path) -> Iterator[Database]:
    database = open_sqlite(tmp_path / "log.db", durable=False)
    database.migrate(Log.SCHEMA)
    yield database
    database.close()


def signed(database: Database, count: int) -> None:
    """Make a log with a checkpoint that two witnesses cosigned, and one more leaf."""
    log = begun(database, count - 1)
    note = log.sign(SEED, NOON)
    first, second = cosigners(2)
    note = second.sign(first.sign(note, 1_795_000_000), 1_795_000_002)
    log.cosigned(note, [first.key, second.key])
    fill(database, log, 1)


def flip(transaction: Transaction, table: str, column: str, row: int, at: int) -> None:
    """Change one bit of a byte of one value, and look; then put the byte back."""
    kind, held = transaction.rows(
        f"SELECT typeof({column}), CAST({column} AS BLOB) FROM {table} WHERE rowid = ?", (row,)
    )[0]
    for mask in (0x01, 0x80):
        changed = bytearray(held)
        changed[at] ^= mask
        put = f"UPDATE {table} SET {column} = CAST(? AS {kind}) WHERE rowid = ?"
        transaction.run(put, (bytes(changed), row))
        with pytest.raises(Damaged):
            looked_at(transaction)
        transaction.run(put, (held, row))


def looked_at(transaction: Transaction) -> None:
    """Verify as the log does; a text that is none becomes damage in the database's own block."""
    try:
        verify(transaction)
    except Exception as error:
        if "decode" in str(error):
            raise Damaged(str(error)) from error
        raise


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("leaf", "bytes"),
        ("leaf", "id"),
        ("leaf", "at"),
        ("leaf", "op"),
        ("head", "root"),
        ("head", "stack"),
        ("checkpoint", "note"),
        ("checkpoint", "witnesses"),
        ("checkpoint", "cosigned_at"),
        ("epoch", "origin"),
        ("epoch", "vkey"),
    ],
)
def test_flipped_byte_is_found(database: Database, table: str, column: str) -> None:
    signed(database, FEW)
    with database.transaction() as transaction:
        row, length = transaction.rows(
            f"SELECT max(rowid), length(CAST({column} AS BLOB)) FROM {table}"
        )[0]
        for at in range(length):
            flip(transaction, table, column, row, at)
        verify(transaction)


@pytest.mark.parametrize("column", ["bytes", "root"])
def test_flipped_byte_of_a_tile_is_found(database: Database, column: str) -> None:
    signed(database, MORE_THAN_A_TILE)
    with database.transaction() as transaction:
        length = transaction.rows(f"SELECT length({column}) FROM tile")[0][0]
        for at in range(0, length, max(1, length // BYTES_OF_A_TILE)):
            flip(transaction, "tile", column, 1, at)
        verify(transaction)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE head SET size = size + 1",
        "UPDATE head SET size = size - 1",
        "UPDATE leaf SET number = number + 1000 WHERE number = 4",
        "DELETE FROM leaf WHERE number = 1",
        "DELETE FROM head",
        "DELETE FROM tile",
        "INSERT INTO tile SELECT epoch, 1, 0, bytes, root FROM tile",
        "INSERT INTO tile SELECT epoch, level, 1, bytes, root FROM tile",
        "UPDATE checkpoint SET size = size + 1",
        "UPDATE checkpoint SET size = size + 100",
        "UPDATE epoch SET vkey = NULL",
        "INSERT INTO epoch (number) VALUES (2)",
    ],
)
def test_rows_that_were_moved_are_found(database: Database, change: str) -> None:
    signed(database, MORE_THAN_A_TILE)
    log = Log(database)
    log.verify()
    with database.transaction() as transaction:
        transaction.run(change)
    with pytest.raises((Log.Damaged, Log.Refused)):
        log.verify()


def test_text_that_is_none_is_damage(database: Database) -> None:
    signed(database, FEW)
    with database.transaction() as transaction:
        transaction.run("UPDATE leaf SET id = CAST(x'ff' AS TEXT) WHERE number = 1")
    with pytest.raises(Damaged, match="not UTF-8"):
        Log(database).verify()
