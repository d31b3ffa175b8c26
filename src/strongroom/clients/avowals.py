"""What custodians said when they were asked last whether their old shares of a client still open.

One row for each custodian: when it proved that last, and why it could not when it was asked later.
Losing these rows costs asking again, and nothing else.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.clock import format_instant, parse_instant
from strongroom.database import Database
from strongroom.facts import Fact
from strongroom.ledger import Log

AVOWAL_TABLE: Final = """
CREATE TABLE avowal (
  custodian INTEGER PRIMARY KEY, proved_at TEXT, why TEXT NOT NULL
) STRICT
"""


@dataclass(frozen=True, slots=True)
class AvowalNote:
    """A custodian's last answer; `why` is empty while its old shares open."""

    proved_at: datetime | None
    why: str = ""


class Avowals:
    """The rows of one client's custodians, in the client's own database."""

    def __init__(self, database: Database, log: Log) -> None:
        self._database = database
        self._log = log

    def notes(self) -> dict[int, AvowalNote]:
        """Return what is noted, by the index of the custodian; nothing where none was asked yet."""
        with self._database.reading() as reading:
            rows = reading.rows("SELECT custodian, proved_at, why FROM avowal ORDER BY custodian")
        return {
            index: AvowalNote(parse_instant(proved_at) if proved_at else None, why)
            for index, proved_at, why in rows
        }

    def note(
        self, proved: Iterable[int], failed: Mapping[int, str], at: datetime, fact: Fact
    ) -> None:
        """Note who proved its shares and who could not; the time of the last proof stays."""
        with self._database.transaction() as transaction:
            transaction.run_many(
                "INSERT INTO avowal VALUES (?, ?, '') ON CONFLICT (custodian) DO UPDATE SET "
                "proved_at = excluded.proved_at, why = ''",
                [(index, format_instant(at)) for index in proved],
            )
            transaction.run_many(
                "INSERT INTO avowal VALUES (?, NULL, ?) ON CONFLICT (custodian) DO UPDATE SET "
                "why = excluded.why",
                list(failed.items()),
            )
            self._log.append(transaction, fact)
