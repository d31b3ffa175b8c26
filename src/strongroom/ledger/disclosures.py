"""The private values of facts, and who a server's persons are: all that erasing has to delete.

One SQLite file, `disclosures.db`, beside the database of each log and never part of a log: it is
copied to no location and read by no witness. Leaves name persons by random pseudonyms; which is
whose stands here only, on the server's side. What is deleted is overwritten, and `scour` leaves
no trace of it in the file or in its journal.
"""

import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from urllib.parse import unquote

from strongroom.clock import format_instant, parse_instant
from strongroom.database import Database, Row, Transaction
from strongroom.errors import UsageError
from strongroom.ids import Token, new_id
from strongroom.ledger.disclosure import Disclosure

NAME_LENGTH_MAX = 200
SEEN_AGAIN = timedelta(days=1)
_ROWS_AT_ONCE = 1000
SCHEMA = (
    """
    CREATE TABLE disclosure (
      number INTEGER PRIMARY KEY, fact TEXT NOT NULL, field TEXT NOT NULL, salt BLOB NOT NULL,
      value TEXT NOT NULL, person TEXT, at TEXT NOT NULL, UNIQUE (fact, field)
    ) STRICT
    """,
    """
    CREATE TABLE person (
      pseudonym TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, told INTEGER NOT NULL,
      seen_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE station (
      pseudonym TEXT PRIMARY KEY, person TEXT NOT NULL, login TEXT NOT NULL, host TEXT NOT NULL,
      told INTEGER NOT NULL, seen_at TEXT NOT NULL, UNIQUE (person, login, host)
    ) STRICT
    """,
    "CREATE TABLE expiry (at TEXT NOT NULL) STRICT",
    "CREATE INDEX disclosure_by_age ON disclosure (at)",
    "CREATE INDEX disclosure_by_person ON disclosure (person)",
    # One tree instead of four: each value that is added waits for all of them to be written. Who
    # erases or expires looks at every value anyway.
    """
    ALTER TABLE disclosure RENAME TO disclosure_before;
    CREATE TABLE disclosure (
      fact TEXT NOT NULL, field TEXT NOT NULL, salt BLOB NOT NULL, value TEXT NOT NULL,
      person TEXT, at TEXT NOT NULL, PRIMARY KEY (fact, field)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO disclosure SELECT fact, field, salt, value, person, at FROM disclosure_before;
    DROP TABLE disclosure_before
    """,
)


class Disclosures:
    """The tables of one `disclosures.db`."""

    Value: TypeAlias = Disclosure

    @dataclass(frozen=True, slots=True)
    class Origin:
        """From where somebody acts, as the machine says it: a login on a host."""

        login: str
        host: str

    @dataclass(frozen=True, slots=True)
    class Person:
        """Somebody who acts: known to the log by the pseudonym, to people by the name."""

        pseudonym: str
        name: str
        told: bool
        """Whether the log holds the commitment to the name."""

    @dataclass(frozen=True, slots=True)
    class Station:
        """Where a person acts from, known to the log by the pseudonym."""

        pseudonym: str
        person: str
        origin: "Disclosures.Origin"
        told: bool
        """Whether the log holds the commitments to login and host."""

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate(SCHEMA)

    # -- values

    def add(self, values: Iterable[Disclosure], at: datetime, person: str | None = None) -> None:
        """Keep what opens a fact's commitments, so that the fact may follow; durable by `settle`.

        `person` is the pseudonym whose erasure takes the values with it.
        """
        day = format_instant(at)
        rows = [(one.fact, one.field, one.salt, one.value, person, day) for one in values]
        with self._database.transaction() as transaction:
            transaction.run_many(
                "INSERT OR REPLACE INTO disclosure (fact, field, salt, value, person, at) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )

    def settle(self) -> None:
        """Make what was kept durable: before the facts that commit to it are signed."""
        self._database.sync()

    def of(self, fact: str) -> list[Disclosure]:
        """Return what is left of a fact's private values; nothing once they are erased."""
        with self._database.reading() as reading:
            rows = reading.rows(
                "SELECT fact, field, salt, value FROM disclosure WHERE fact = ? ORDER BY field",
                (fact,),
            )
        return [Disclosure(*row) for row in rows]

    def value(self, fact: str, field: str) -> str | None:
        """Return one private value of a fact; None where it is erased, expired or never was."""
        with self._database.reading() as reading:
            row = reading.row(
                "SELECT value FROM disclosure WHERE fact = ? AND field = ?", (fact, field)
            )
        return None if row is None else str(row[0])

    def number(self) -> int:
        """Return how many private values are kept here."""
        with self._database.reading() as reading:
            row = reading.row("SELECT count(*) FROM disclosure")
        return 0 if row is None else int(row[0])

    # -- persons, on the server's side

    @staticmethod
    def check_name(name: str) -> None:
        """Raise UsageError for what cannot be shown as the name of a person."""
        short = 0 < len(name) <= NAME_LENGTH_MAX
        if not short or name != name.strip() or not name.isprintable():
            raise UsageError(
                f"{name!r:.40} cannot be the name of a person",
                f"wanted 1 to {NAME_LENGTH_MAX} signs that can be printed, no blank at either end",
            )

    def meet(self, name: str, now: datetime, token: Token) -> Person:
        """Return the person of this name, with a new random pseudonym where there is none."""
        self.check_name(name)
        question = "SELECT pseudonym, told, seen_at FROM person WHERE name = ?"
        row = self._seen(question, (name,), now)
        if row is None:
            with self._durably() as transaction:
                transaction.run(
                    "INSERT INTO person (pseudonym, name, told, seen_at) VALUES (?, ?, 0, ?) "
                    "ON CONFLICT (name) DO UPDATE SET seen_at = excluded.seen_at",
                    (new_id(token), name, format_instant(now)),
                )
                (row,) = transaction.rows(question, (name,))
        return Disclosures.Person(row[0], name, bool(row[1]))

    def station(self, person: str, origin: Origin, now: datetime, token: Token) -> Station:
        """Return where a person acts from, with a new random pseudonym where it is a new place.

        The person counts as seen, which keeps the name from expiring.
        """
        place = (person, origin.login, origin.host)
        question = (
            "SELECT pseudonym, told, seen_at FROM station "
            "WHERE person = ? AND login = ? AND host = ?"
        )
        row = self._seen(question, place, now)
        if row is None:
            at = format_instant(now)
            with self._durably() as transaction:
                transaction.run(
                    "INSERT INTO station (pseudonym, person, login, host, told, seen_at) "
                    "VALUES (?, ?, ?, ?, 0, ?) "
                    "ON CONFLICT (person, login, host) DO UPDATE SET seen_at = excluded.seen_at",
                    (new_id(token), *place, at),
                )
                transaction.run("UPDATE person SET seen_at = ? WHERE pseudonym = ?", (at, person))
                (row,) = transaction.rows(question, place)
        return Disclosures.Station(row[0], person, origin, bool(row[1]))

    def _seen(self, question: str, values: Sequence[str], now: datetime) -> Row | None:
        """Return the row that answers, unless it has to be written anew: once a day is enough."""
        with self._database.reading() as reading:
            row = reading.row(question, values)
        if row is None or abs(now - parse_instant(row[2])) > SEEN_AGAIN:
            return None
        return row

    def tell(self, pseudonym: str) -> None:
        """Note that the log holds the commitments to what stands behind a pseudonym."""
        with self._durably() as transaction:
            transaction.run("UPDATE person SET told = 1 WHERE pseudonym = ?", (pseudonym,))
            transaction.run("UPDATE station SET told = 1 WHERE pseudonym = ?", (pseudonym,))

    def name(self, pseudonym: str) -> str | None:
        """Return the name of a person, or `login@host` of a station; None where it is erased."""
        with self._database.reading() as reading:
            row = reading.row(
                "SELECT name FROM person WHERE pseudonym = ? UNION ALL "
                "SELECT login || '@' || host FROM station WHERE pseudonym = ?",
                (pseudonym, pseudonym),
            )
        return None if row is None else str(row[0])

    def find(self, text: str) -> Person | None:
        """Return the person of this name or pseudonym; case counts where two differ by it."""
        with self._database.reading() as reading:
            question = "SELECT pseudonym, name, told FROM person"
            rows = reading.rows(f"{question} WHERE name = ? OR pseudonym = ?", (text, text))
            if not rows:
                rows = [row for row in reading.rows(question) if _folded(row[1]) == _folded(text)]
        if len(rows) != 1:
            return None
        pseudonym, name, told = rows[0]
        return Disclosures.Person(pseudonym, name, bool(told))

    def logins(self, person: str) -> list[str]:
        """Return the logins of a person that no other person here has."""
        with self._database.reading() as reading:
            rows = reading.rows(
                "SELECT DISTINCT login FROM station WHERE person = ? AND login NOT IN "
                "(SELECT login FROM station WHERE person != ?) ORDER BY login",
                (person, person),
            )
        return [row[0] for row in rows]

    # -- what goes

    def erase(self, person: str | None, words: Collection[str]) -> int:
        """Delete the values kept for a person and all that hold one of these words.

        Returns how many went. Who the person is stays, so that an interrupted erasure can be
        begun again by name: `forget` ends it.
        """
        with self._durably() as transaction:
            went = transaction.run("DELETE FROM disclosure WHERE person = ?", (person,))
            named = list(_holding(transaction, _holder(words)))
            transaction.run_many("DELETE FROM disclosure WHERE fact = ? AND field = ?", named)
        return went + len(named)

    def forget(self, person: str) -> None:
        """Delete who a pseudonym was, with every station; from here on nobody can say it."""
        with self._durably() as transaction:
            transaction.run("DELETE FROM station WHERE person = ?", (person,))
            transaction.run("DELETE FROM person WHERE pseudonym = ?", (person,))

    def expires(self, now: datetime) -> bool:
        """Return whether it is time to look for what has expired: once a day."""
        with self._database.reading() as reading:
            row = reading.row("SELECT max(at) FROM expiry")
        return not row or not row[0] or abs(now - parse_instant(row[0])) > SEEN_AGAIN

    def expired(self, now: datetime) -> None:
        """Note that everywhere what has expired was deleted."""
        with self._durably() as transaction:
            transaction.run("DELETE FROM expiry")
            transaction.run("INSERT INTO expiry (at) VALUES (?)", (format_instant(now),))

    def expire(self, before: datetime) -> int:
        """Delete values kept before an instant, and persons who were last seen before it.

        What names a person stays as long as the person does. Returns how many values went.
        """
        limit = format_instant(before)
        with self._durably() as transaction:
            transaction.run("DELETE FROM station WHERE seen_at < ?", (limit,))
            transaction.run("DELETE FROM person WHERE seen_at < ?", (limit,))
            return transaction.run(
                "DELETE FROM disclosure WHERE at < ? AND (person IS NULL OR person NOT IN "
                "(SELECT pseudonym FROM person))",
                (limit,),
            )

    @contextmanager
    def _durably(self) -> Iterator[Transaction]:
        """Begin a transaction that is on the disk when its block has ended."""
        with self._database.transaction() as transaction:
            yield transaction
        self._database.sync()

    def scour(self) -> None:
        """Leave nothing of what was deleted in the file or its journal.

        Raises DatabaseUnavailable while another process reads it.
        """
        self._database.scour()

    def close(self) -> None:
        """Make what was kept durable, and give the database back."""
        try:
            self.settle()
        finally:
            self._database.close()


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _holder(words: Collection[str]) -> Callable[[str], bool]:
    """Return what tells whether a text holds one of the words whole, in any case or escaped."""
    if not words:
        return lambda text: False
    wanted = "|".join(re.escape(_folded(word)) for word in words)
    # An underscore parts words in the names of files.
    search = re.compile(rf"(?<![^\W_])(?:{wanted})(?![^\W_])").search
    return lambda text: bool(search(_folded(text)) or search(_folded(unquote(text))))


def _holding(transaction: Transaction, holds: Callable[[str], bool]) -> Iterator[tuple[str, str]]:
    """Return fact and field of the values it tells of, reading few of perhaps millions at once."""
    last = ("", "")
    while rows := transaction.rows(
        "SELECT fact, field, value FROM disclosure WHERE (fact, field) > (?, ?) "
        "ORDER BY fact, field LIMIT ?",
        (*last, _ROWS_AT_ONCE),
    ):
        yield from ((fact, field) for fact, field, value in rows if holds(value))
        last = rows[-1][:2]
