"""How far the erasure of a client has come, and the rows that say so."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.clock import format_instant, parse_instant
from strongroom.database import Transaction
from strongroom.ids import ClientId

ERASURE_TABLE: Final = """
CREATE TABLE erasure (
  client TEXT PRIMARY KEY REFERENCES client (id), begun_at TEXT NOT NULL,
  erased_at TEXT, cleared_at TEXT
) STRICT
"""


@dataclass(frozen=True, slots=True)
class Erasure:
    """How far the erasure of a client has come."""

    begun_at: datetime
    """When a first custodian had destroyed its keys: nothing is backed up or restored from then."""
    erased_at: datetime | None = None
    """When all of them had."""
    cleared_at: datetime | None = None
    """When no location held anything of the client any more."""

    def write(self, transaction: Transaction, client: ClientId) -> None:
        """Write it in the place of an earlier state of it."""
        times = (self.begun_at, self.erased_at, self.cleared_at)
        transaction.run(
            "INSERT OR REPLACE INTO erasure (client, begun_at, erased_at, cleared_at) "
            "VALUES (?, ?, ?, ?)",
            (client, *(None if one is None else format_instant(one) for one in times)),
        )

    @classmethod
    def read(
        cls, begun_at: str | None, erased_at: str | None, cleared_at: str | None
    ) -> "Erasure | None":
        """Return what a row says; None where a client has none."""
        if begun_at is None:
            return None
        return cls(
            parse_instant(begun_at),
            None if erased_at is None else parse_instant(erased_at),
            None if cleared_at is None else parse_instant(cleared_at),
        )
