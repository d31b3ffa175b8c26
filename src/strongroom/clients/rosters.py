"""Who held a piece of every key before, and who is to hold one: rosters and newcomers of a home.

The roster that counts lies with the install itself. Those before it stay here, because what was
signed under them is still checked by them; so does a custodian that was joined and has no seat yet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from strongroom.clock import format_instant, parse_instant
from strongroom.database import Database, Row
from strongroom.errors import UsageError
from strongroom.facts import Fact
from strongroom.ids import CustodianId
from strongroom.ledger import Log

ROSTER_SCHEMA: Final = (
    """
    CREATE TABLE former_roster (version INTEGER PRIMARY KEY, envelope BLOB NOT NULL) STRICT
    """,
    """
    CREATE TABLE custodian_folder (custodian INTEGER PRIMARY KEY, folder TEXT NOT NULL) STRICT
    """,
    """
    CREATE TABLE newcomer (
      custodian INTEGER PRIMARY KEY, replaces TEXT NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL,
      identity BLOB NOT NULL, url TEXT NOT NULL, certificate BLOB NOT NULL, machine TEXT NOT NULL,
      boot TEXT NOT NULL, folder TEXT NOT NULL, joined_at TEXT NOT NULL, roster BLOB
    ) STRICT
    """,
)
_NEWCOMER: Final = (
    "SELECT custodian, replaces, id, name, identity, url, certificate, machine, boot, folder, "
    "joined_at, roster FROM newcomer"
)


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A custodian that was made or joined to take a seat; it has none yet.

    It has a URL and a certificate where it is elsewhere, and a folder where it runs in this home.
    """

    index: int
    replaces: str
    """The id of the custodian whose seat it takes."""
    id: CustodianId
    name: str
    identity: bytes
    url: str
    certificate: bytes = field(repr=False)
    machine: str
    boot: str
    folder: str
    joined_at: datetime
    roster: bytes | None = None
    """The roster in which it sits, once that is signed: the same bytes for every custodian."""


class Rosters:
    """The rows of rosters and newcomers in `server.db`."""

    def __init__(self, database: Database, log: Log) -> None:
        self._database = database
        self._log = log

    def former(self) -> list[bytes]:
        """Return the rosters (envelopes) of before the one that counts, oldest first."""
        with self._database.reading() as reading:
            rows = reading.rows("SELECT envelope FROM former_roster ORDER BY version")
        return [data for (data,) in rows]

    def adopt_former(self, former: Mapping[int, bytes]) -> None:
        """Keep rosters of before that were found at the locations, by their versions."""
        with self._database.transaction() as transaction:
            transaction.run_many(
                "INSERT INTO former_roster (version, envelope) VALUES (?, ?)", former.items()
            )

    def sheets(self) -> dict[str, str]:
        """Return of each custodian, by its id, which roster its kit's recovery sheet names.

        Nothing is noted of a sheet that was written when the install began.
        """
        with self._database.reading() as reading:
            return dict(reading.rows("SELECT custodian, roster FROM recovery_sheet"))

    def note_sheet(self, custodian: str, roster: str, fact: Fact) -> None:
        """Note which roster the recovery sheet with a custodian's kit names."""
        with self._database.transaction() as transaction:
            transaction.run(
                "INSERT OR REPLACE INTO recovery_sheet (custodian, roster) VALUES (?, ?)",
                (custodian, roster),
            )
            self._log.append(transaction, fact)

    def folders(self) -> dict[int, str]:
        """Return the folder of each embedded custodian that took a seat, by its index."""
        with self._database.reading() as reading:
            return dict(reading.rows("SELECT custodian, folder FROM custodian_folder"))

    def newcomers(self) -> dict[int, Newcomer]:
        """Return the custodians that have no seat yet, by the index they are to have."""
        with self._database.reading() as reading:
            rows = reading.rows(f"{_NEWCOMER} ORDER BY custodian")
        return {row[0]: _newcomer(row) for row in rows}

    def add_newcomer(self, newcomer: Newcomer, fact: Fact) -> None:
        """Write who is to take a seat; refuses a second one for the same seat."""
        with self._database.transaction() as transaction:
            if transaction.row("SELECT 1 FROM newcomer WHERE custodian = ?", (newcomer.index,)):
                raise UsageError(
                    f"somebody is to take the seat of custodian {newcomer.index} already",
                    hint="Run the command again as it was given then.",
                )
            transaction.run(
                "INSERT INTO newcomer VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    newcomer.index,
                    newcomer.replaces,
                    newcomer.id,
                    newcomer.name,
                    newcomer.identity,
                    newcomer.url,
                    newcomer.certificate,
                    newcomer.machine,
                    newcomer.boot,
                    newcomer.folder,
                    format_instant(newcomer.joined_at),
                    newcomer.roster,
                ),
            )
            self._log.append(transaction, fact)

    def keep_certificate(self, index: int, certificate: bytes) -> None:
        """Keep the certificate that a newcomer has taken in the place of an older one."""
        with self._database.transaction() as transaction:
            transaction.run(
                "UPDATE newcomer SET certificate = ? WHERE custodian = ?", (certificate, index)
            )

    def sign(self, index: int, roster: bytes, fact: Fact) -> None:
        """Keep the roster in which a newcomer sits, before anybody is shown it."""
        with self._database.transaction() as transaction:
            transaction.run("UPDATE newcomer SET roster = ? WHERE custodian = ?", (roster, index))
            self._log.append(transaction, fact)

    def drop_newcomer(self, index: int, fact: Fact) -> None:
        """Forget who was to take a seat, and does not."""
        with self._database.transaction() as transaction:
            transaction.run("DELETE FROM newcomer WHERE custodian = ?", (index,))
            self._log.append(transaction, fact)

    def seat(self, newcomer: Newcomer, before: int, fact: Fact) -> None:
        """Let the newcomer's roster count instead of that of the version before, in one step.

        Of who had the seat nothing stays but what the former roster says.
        """
        index = newcomer.index
        with self._database.transaction() as transaction:
            transaction.run(
                "INSERT INTO former_roster (version, envelope) SELECT ?, roster FROM install",
                (before,),
            )
            transaction.run("UPDATE install SET roster = ?", (newcomer.roster,))
            transaction.run("DELETE FROM custodian_place WHERE custodian = ?", (index,))
            transaction.run("DELETE FROM custodian_folder WHERE custodian = ?", (index,))
            transaction.run("DELETE FROM witness_card WHERE custodian = ?", (index,))
            transaction.run("DELETE FROM missed_custodian WHERE custodian = ?", (index,))
            if newcomer.url:
                transaction.run(
                    "INSERT INTO custodian_place (custodian, url, certificate, machine, boot, "
                    "joined_at) VALUES (?, ?, ?, ?, ?, ?)",
                    (
                        index,
                        newcomer.url,
                        newcomer.certificate,
                        newcomer.machine,
                        newcomer.boot,
                        format_instant(newcomer.joined_at),
                    ),
                )
            else:
                transaction.run(
                    "INSERT INTO custodian_folder (custodian, folder) VALUES (?, ?)",
                    (index, newcomer.folder),
                )
            transaction.run("DELETE FROM newcomer WHERE custodian = ?", (index,))
            self._log.append(transaction, fact)


def _newcomer(row: Row) -> Newcomer:
    index, replaces, own, name, identity, url, certificate, machine, boot, folder, at, roster = row
    return Newcomer(
        index=index,
        replaces=replaces,
        id=CustodianId(own),
        name=name,
        identity=identity,
        url=url,
        certificate=certificate,
        machine=machine,
        boot=boot,
        folder=folder,
        joined_at=parse_instant(at),
        roster=roster,
    )
