"""Which sessions of a client were dealt anew, to which version of the roster, and who holds them.

An object is kept here, too, until it is good: dealt again it would be another one, and whoever
signed for the first takes no other. Losing these rows costs reading the locations again.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from strongroom.database import Database
from strongroom.facts import Fact
from strongroom.ledger import Log

REDEAL_TABLES: Final = (
    """
    CREATE TABLE redealt (
      session TEXT NOT NULL, version INTEGER NOT NULL, hash TEXT NOT NULL, object BLOB,
      PRIMARY KEY (session, version)
    ) STRICT
    """,
    """
    CREATE TABLE redeal_receipt (
      session TEXT NOT NULL, version INTEGER NOT NULL, custodian INTEGER NOT NULL,
      PRIMARY KEY (session, version, custodian)
    ) STRICT
    """,
)
_REDEALT: Final = "SELECT session, version, hash, object FROM redealt "
_NEWEST_FIRST: Final = " ORDER BY version DESC"
_SIGNED: Final = "SELECT session, version, custodian FROM redeal_receipt "


@dataclass(frozen=True, slots=True)
class Redeal:
    """One session that was dealt anew; `object` is there until it is good.

    Neither is one good that a recovery found and too few have signed for, as far as it could see.
    """

    session: str
    version: int
    hash: str
    object: bytes | None
    signed: frozenset[int]
    """The indices of the custodians that have signed for it."""


class Redeals:
    """The rows of one client, in the client's own database."""

    def __init__(self, database: Database, log: Log) -> None:
        self._database = database
        self._log = log

    def of(self, session: str) -> list[Redeal]:
        """Return how a session was dealt anew, the newest version first."""
        return self._read("WHERE session = ?", session)

    def newest(self, threshold: int) -> list[Redeal]:
        """Return of each session that was dealt anew the newest that so many have signed for."""
        good = (one for one in reversed(self._read("")) if len(one.signed) >= threshold)
        return list({one.session: one for one in good}.values())

    def under_way(self) -> list[tuple[str, bytes]]:
        """Return each session with an object that is kept here, not being good yet."""
        with self._database.reading() as reading:
            return list(
                reading.rows("SELECT session, object FROM redealt WHERE object IS NOT NULL")
            )

    def begin(self, session: str, version: int, digest: str, kept: bytes) -> None:
        """Keep what a session was dealt anew with, before any location or custodian has it."""
        with self._database.transaction() as transaction:
            transaction.run(
                "INSERT INTO redealt VALUES (?, ?, ?, ?)", (session, version, digest, kept)
            )

    def adopt(self, found: Iterable[Redeal]) -> None:
        """Take up what was found at the locations; what is known already stays."""
        with self._database.transaction() as transaction:
            for one in found:
                transaction.run(
                    "INSERT OR IGNORE INTO redealt VALUES (?, ?, ?, ?)",
                    (one.session, one.version, one.hash, one.object),
                )
                transaction.run_many(
                    "INSERT OR IGNORE INTO redeal_receipt VALUES (?, ?, ?)",
                    [(one.session, one.version, index) for index in sorted(one.signed)],
                )

    def sign(self, session: str, version: int, custodians: Iterable[int]) -> None:
        """Note which custodians have signed for it, once the locations have their receipts."""
        with self._database.transaction() as transaction:
            transaction.run_many(
                "INSERT OR IGNORE INTO redeal_receipt VALUES (?, ?, ?)",
                [(session, version, one) for one in custodians],
            )

    def finish(self, session: str, version: int, fact: Fact) -> None:
        """Note that it is good, and that every location has it."""
        with self._database.transaction() as transaction:
            transaction.run(
                "UPDATE redealt SET object = NULL WHERE session = ? AND version = ?",
                (session, version),
            )
            self._log.append(transaction, fact)

    def _read(self, which: str, *values: str) -> list[Redeal]:
        with self._database.reading() as reading:
            rows = reading.rows(_REDEALT + which + _NEWEST_FIRST, values)
            receipts = reading.rows(_SIGNED + which, values)
        signed: dict[tuple[str, int], set[int]] = {}
        for session, version, custodian in receipts:
            signed.setdefault((session, version), set()).add(custodian)
        return [
            Redeal(session, version, digest, kept, frozenset(signed.get((session, version), ())))
            for session, version, digest, kept in rows
        ]
