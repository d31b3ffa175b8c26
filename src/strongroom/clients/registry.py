"""The server's own tables: this install, its locations, its clients.

One SQLite file, `server.db`. Every change is made together with the fact that tells of it; what is
only noticed, as that a custodian is silent, is noted without one.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field
from datetime import datetime
from typing import TypeAlias

from strongroom.clients.erasure import ERASURE_TABLE, Erasure
from strongroom.clients.model import Client, ClientClass, Keep
from strongroom.clients.rosters import ROSTER_SCHEMA, Newcomer, Rosters
from strongroom.clock import format_instant, parse_instant
from strongroom.database import Database, Row
from strongroom.errors import UsageError
from strongroom.facts import FACT_TABLE, Fact
from strongroom.ids import ClientId, InstallId, LocationId, VaultId
from strongroom.ledger import Log
from strongroom.placement import Parity

SITE_LENGTH_MAX = 100
SCHEMA = (
    FACT_TABLE,
    """
    CREATE TABLE install (
      id TEXT PRIMARY KEY, operator TEXT NOT NULL, operator_key BLOB NOT NULL,
      roster BLOB NOT NULL, created_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE location (
      name TEXT PRIMARY KEY, url TEXT NOT NULL UNIQUE, facility TEXT NOT NULL,
      provider TEXT NOT NULL, country TEXT NOT NULL, device TEXT NOT NULL,
      credential INTEGER NOT NULL, added_at TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE client (
      id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, vault TEXT NOT NULL UNIQUE,
      class TEXT NOT NULL CHECK (class IN ('normal', 'high')), keep TEXT NOT NULL,
      parity TEXT, created_at TEXT NOT NULL
    ) STRICT
    """,
    # A location is known by an id of its own where its name may not go: in facts.
    """
    ALTER TABLE location ADD COLUMN id TEXT NOT NULL DEFAULT '';
    UPDATE location SET id = lower(hex(randomblob(16)));
    CREATE UNIQUE INDEX location_id ON location (id);
    """,
    """
    CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID
    """,
    *Log.SCHEMA,
    """
    CREATE TABLE witness_card (
      custodian INTEGER PRIMARY KEY, envelope BLOB NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE team_policy (version INTEGER PRIMARY KEY, envelope BLOB NOT NULL) STRICT
    """,
    """
    CREATE TABLE missed_custodian (
      custodian INTEGER PRIMARY KEY, since TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE custodian_place (
      custodian INTEGER PRIMARY KEY, url TEXT NOT NULL UNIQUE, certificate BLOB NOT NULL,
      machine TEXT NOT NULL, boot TEXT NOT NULL, joined_at TEXT NOT NULL
    ) STRICT
    """,
    *ROSTER_SCHEMA,
    # The newest list alone; a custodian has taken that of the number beside its place.
    """
    CREATE TABLE deny_list (number INTEGER PRIMARY KEY, list BLOB NOT NULL) STRICT;
    ALTER TABLE custodian_place ADD COLUMN deny_list INTEGER NOT NULL DEFAULT 0;
    """,
    """
    CREATE TABLE recovery_sheet (custodian TEXT PRIMARY KEY, roster TEXT NOT NULL) STRICT
    """,
    ERASURE_TABLE,
    # What shows that it was approved; of the first one nothing does.
    "ALTER TABLE team_policy ADD COLUMN change BLOB",
)


class Registry:
    """The tables of `server.db`."""

    Erasure: TypeAlias = Erasure
    Newcomer: TypeAlias = Newcomer

    @dataclass(frozen=True, slots=True)
    class Install:
        """This deployment: its id, who operates it, and the signed roster of its custodians.

        `operator` is a pseudonym; the name is among the disclosures.
        """

        id: InstallId
        operator: str
        operator_key: bytes
        roster: bytes
        created_at: datetime

    @dataclass(frozen=True, slots=True)
    class Site:
        """What people say of where a location is; empty where nobody said."""

        facility: str = ""
        provider: str = ""
        country: str = ""
        device: str = ""

        def __post_init__(self) -> None:
            """Raise UsageError for what could not be shown in a table."""
            for text in (self.facility, self.provider, self.country, self.device):
                if len(text) > SITE_LENGTH_MAX or not text.isprintable():
                    raise UsageError(
                        f"{text!r:.40} cannot describe a location",
                        f"wanted at most {SITE_LENGTH_MAX} signs that can be printed",
                    )

    @dataclass(frozen=True, slots=True)
    class Place:
        """A location as the operator named it. `credential` tells whether one is sealed for it."""

        id: LocationId
        name: str
        url: str
        site: "Registry.Site"
        credential: bool
        added_at: datetime

    @dataclass(frozen=True, slots=True)
    class CustodianPlace:
        """Where a custodian is that is a process of its own, and by which certificate it is known.

        The marks tell its machine, and that machine's run, from others; empty where it knows none.
        `deny_list` is the number of the newest list that it has taken, 0 for none.
        """

        custodian: int
        url: str
        certificate: bytes = field(repr=False)
        machine: str
        boot: str
        joined_at: datetime
        deny_list: int = 0

    def __init__(self, database: Database) -> None:
        self._database = database
        database.migrate(SCHEMA)
        self.database = database
        """The file itself: the desk of procedures has tables of its own in it."""
        self.log = Log(database)
        """The server's log; every change of these tables is in it."""
        self.log.take_over_plain_facts()
        self.rosters = Rosters(database, self.log)
        """The rosters of before, and who is to take a seat."""

    def install(self) -> Install:
        """Return this install; raise UsageError where `init` has not finished."""
        with self._database.reading() as reading:
            row = reading.row("SELECT id, operator, operator_key, roster, created_at FROM install")
        if row is None:
            raise UsageError(
                "this home was never finished",
                "its `init` or `recover` was interrupted before the end",
                hint="Remove the folder and run that command again. Custodians elsewhere that had "
                "joined it already show another code first: `strongroom custodian join-code "
                "--new-server`.",
            )
        return Registry.Install(InstallId(row[0]), row[1], row[2], row[3], parse_instant(row[4]))

    def begin(self, install: Install, fact: Fact) -> None:
        """Write the install; the last step of `init`."""
        with self._database.transaction() as transaction:
            transaction.run(
                "INSERT INTO install (id, operator, operator_key, roster, created_at) "
                "VALUES (?, ?, ?, ?, ?)",
                (
                    install.id,
                    install.operator,
                    install.operator_key,
                    install.roster,
                    format_instant(install.created_at),
                ),
            )
            self.log.append(transaction, fact)

    def set_operator(self, operator: str, fact: Fact) -> None:
        """Change the operator's pseudonym."""
        with self._database.transaction() as transaction:
            transaction.run("UPDATE install SET operator = ?", (operator,))
            self.log.append(transaction, fact)

    def scour(self) -> None:
        """Leave nothing of what was deleted in the file or its journal."""
        self._database.scour()

    def locations(self) -> list[Place]:
        """Return the locations in the order of their names."""
        with self._database.reading() as reading:
            rows = reading.rows(
                "SELECT id, name, url, facility, provider, country, device, credential, added_at "
                "FROM location ORDER BY name"
            )
        return [
            Registry.Place(
                LocationId(id_), name, url, Registry.Site(*site), bool(secret), parse_instant(added)
            )
            for id_, name, url, *site, secret, added in rows
        ]

    def add_location(self, entry: Place, fact: Fact) -> None:
        """Write a location; refuses a name or URL that is taken."""
        with self._database.transaction() as transaction:
            taken = transaction.row(
                "SELECT name FROM location WHERE name = ? OR url = ?", (entry.name, entry.url)
            )
            if taken is not None:
                raise UsageError(
                    f"the location {entry.url} is already there", f"it is named {taken[0]}"
                )
            transaction.run(
                "INSERT INTO location "
                "(id, name, url, facility, provider, country, device, credential, added_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    entry.id,
                    entry.name,
                    entry.url,
                    *astuple(entry.site),
                    int(entry.credential),
                    format_instant(entry.added_at),
                ),
            )
            self.log.append(transaction, fact)

    def set_credential(self, name: str, sealed: bool, fact: Fact) -> None:
        """Note whether a credential is sealed for a location."""
        with self._database.transaction() as transaction:
            transaction.run(
                "UPDATE location SET credential = ? WHERE name = ?", (int(sealed), name)
            )
            self.log.append(transaction, fact)

    def set_site(self, name: str, site: Site, fact: Fact) -> None:
        """Change what is said of where a location is."""
        with self._database.transaction() as transaction:
            transaction.run(
                "UPDATE location SET facility = ?, provider = ?, country = ?, device = ? "
                "WHERE name = ?",
                (*astuple(site), name),
            )
            self.log.append(transaction, fact)

    def remove_location(self, name: str, fact: Fact) -> None:
        """Forget a location; what lies there stays."""
        with self._database.transaction() as transaction:
            transaction.run("DELETE FROM location WHERE name = ?", (name,))
            self.log.append(transaction, fact)

    def clients(self) -> list[Client]:
        """Return the clients in the order of their names, erased ones with them: each has a log."""
        with self._database.reading() as reading:
            rows = reading.rows(f"{_CLIENT} ORDER BY name")
        return [_client(row) for row in rows]

    def kept_clients(self) -> list[Client]:
        """Return the clients whose data is kept, in the order of their names."""
        return [client for client in self.clients() if client.erasure is None]

    def client(self, name: str) -> Client:
        """Return a client by name whose data is kept; raise ErasedClient for another."""
        return self.known_client(name).check_kept()

    def known_client(self, name: str) -> Client:
        """Return one client by name, erased or not; the error lists those there are."""
        with self._database.reading() as reading:
            row = reading.row(f"{_CLIENT} WHERE name = ?", (name,))
        if row is None:
            names = ", ".join(client.name for client in self.clients()[:20]) or "none yet"
            raise UsageError(
                f"there is no client {name!r:.80}",
                f"known: {names}",
                hint="Add it with `strongroom client add NAME --source URL`.",
            )
        return _client(row)

    def add_client(self, client: Client, fact: Fact) -> None:
        """Write a client; refuses a name that is taken."""
        with self._database.transaction() as transaction:
            if transaction.row("SELECT 1 FROM client WHERE name = ?", (client.name,)):
                raise UsageError(f"there already is a client {client.name}")
            transaction.run(
                "INSERT INTO client (id, name, vault, class, keep, parity, created_at) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    client.id,
                    client.name,
                    client.vault,
                    client.vault_class,
                    str(client.keep),
                    None if client.parity is None else json.dumps(client.parity.encode()),
                    format_instant(client.created_at),
                ),
            )
            self.log.append(transaction, fact)

    def note_erasure(self, client: Client, erasure: Erasure, fact: Fact) -> None:
        """Write how far the erasure of a client has come."""
        with self._database.transaction() as transaction:
            erasure.write(transaction, client.id)
            self.log.append(transaction, fact)

    def witness_cards(self) -> dict[int, bytes]:
        """Return the newest witness card (an envelope) of each custodian, by its index."""
        with self._database.reading() as reading:
            return dict(reading.rows("SELECT custodian, envelope FROM witness_card"))

    def keep_witness_card(self, custodian: int, envelope: bytes, fact: Fact) -> None:
        """Keep a custodian's witness card, in the place of an earlier one."""
        with self._database.transaction() as transaction:
            transaction.run(
                "INSERT INTO witness_card (custodian, envelope) VALUES (?, ?) "
                "ON CONFLICT (custodian) DO UPDATE SET envelope = excluded.envelope",
                (custodian, envelope),
            )
            self.log.append(transaction, fact)

    def custodian_places(self) -> dict[int, CustodianPlace]:
        """Return where each custodian is that is not in this process, by its index."""
        with self._database.reading() as reading:
            rows = reading.rows(
                "SELECT custodian, url, certificate, machine, boot, joined_at, deny_list "
                "FROM custodian_place"
            )
        return {row[0]: _custodian_place(row) for row in rows}

    def add_custodian_place(self, place: CustodianPlace, fact: Fact) -> None:
        """Write where a custodian that was joined is; refuses one that is known already."""
        with self._database.transaction() as transaction:
            if transaction.row(
                "SELECT 1 FROM custodian_place WHERE custodian = ? OR url = ?",
                (place.custodian, place.url),
            ):
                raise UsageError(
                    f"custodian {place.custodian} cannot be at {place.url}",
                    "one of the two is known already",
                )
            transaction.run(
                "INSERT INTO custodian_place (custodian, url, certificate, machine, boot, "
                "joined_at) VALUES (?, ?, ?, ?, ?, ?)",
                (*astuple(place)[:5], format_instant(place.joined_at)),
            )
            self.log.append(transaction, fact)

    def move_custodian(self, place: CustodianPlace, fact: Fact) -> None:
        """Write where a custodian is that was joined again, in the place of where it was."""
        with self._database.transaction() as transaction:
            transaction.run(
                "UPDATE custodian_place SET url = ?, certificate = ?, machine = ?, boot = ?, "
                "joined_at = ?, deny_list = 0 WHERE custodian = ?",
                (*astuple(place)[1:5], format_instant(place.joined_at), place.custodian),
            )
            self.log.append(transaction, fact)

    def keep_certificate(self, custodian: int, certificate: bytes) -> None:
        """Keep the certificate that a custodian has taken in the place of an older one."""
        with self._database.transaction() as transaction:
            transaction.run(
                "UPDATE custodian_place SET certificate = ? WHERE custodian = ?",
                (certificate, custodian),
            )

    def deny_list(self) -> tuple[int, bytes]:
        """Return number and bytes of the newest deny list; 0 and nothing where there is none."""
        with self._database.reading() as reading:
            row = reading.row("SELECT number, list FROM deny_list")
        return (0, b"") if row is None else (row[0], row[1])

    def keep_deny_list(self, number: int, data: bytes, facts: Sequence[Fact]) -> None:
        """Keep a deny list in the place of the one before it; custodians take it later."""
        with self._database.transaction() as transaction:
            transaction.run("DELETE FROM deny_list WHERE number < ?", (number,))
            transaction.run("INSERT INTO deny_list (number, list) VALUES (?, ?)", (number, data))
            for fact in facts:
                self.log.append(transaction, fact)

    def note_deny_list(self, custodian: int, number: int) -> None:
        """Note that a custodian has taken the list of this number."""
        with self._database.transaction() as transaction:
            transaction.run(
                "UPDATE custodian_place SET deny_list = ? WHERE custodian = ?", (number, custodian)
            )

    def note_missed(self, custodians: Collection[int], now: datetime) -> dict[int, datetime]:
        """Note which custodians do not answer now; return since when each was missed.

        Writes only where that has changed, so a command that finds all as it was costs nothing.
        """
        with self._database.reading() as reading:
            rows = reading.rows("SELECT custodian, since FROM missed_custodian")
        known = {custodian: parse_instant(since) for custodian, since in rows}
        missed = {custodian: known.get(custodian, now) for custodian in sorted(custodians)}
        if missed != known:
            with self._database.transaction() as transaction:
                transaction.run("DELETE FROM missed_custodian")
                transaction.run_many(
                    "INSERT INTO missed_custodian (custodian, since) VALUES (?, ?)",
                    [(one, format_instant(since)) for one, since in missed.items()],
                )
        return missed

    def policies(self) -> list[tuple[bytes, bytes | None]]:
        """Return the team policies (envelopes) in the order of their versions.

        With each comes what shows that it was approved, where this home saw that.
        """
        with self._database.reading() as reading:
            rows = reading.rows("SELECT envelope, change FROM team_policy ORDER BY version")
        return [(envelope, change) for envelope, change in rows]

    def keep_policy(
        self, version: int, envelope: bytes, fact: Fact, change: bytes | None = None
    ) -> None:
        """Keep a team policy; there is one of each version."""
        with self._database.transaction() as transaction:
            transaction.run(
                "INSERT INTO team_policy (version, envelope, change) VALUES (?, ?, ?)",
                (version, envelope, change),
            )
            self.log.append(transaction, fact)

    def set_keep(self, client: Client, keep: Keep, fact: Fact) -> None:
        """Change a client's keep policy."""
        with self._database.transaction() as transaction:
            transaction.run("UPDATE client SET keep = ? WHERE id = ?", (str(keep), client.id))
            self.log.append(transaction, fact)

    def settings(self) -> dict[str, str]:
        """Return the settings as they were recorded last; empty where they never were."""
        with self._database.reading() as reading:
            return dict(reading.rows("SELECT name, value FROM setting"))

    def set_settings(self, settings: Mapping[str, str], fact: Fact) -> None:
        """Note what a home is set to."""
        with self._database.transaction() as transaction:
            transaction.run_many(
                "INSERT OR REPLACE INTO setting (name, value) VALUES (?, ?)", settings.items()
            )
            self.log.append(transaction, fact)

    def record(self, fact: Fact) -> None:
        """Record a fact that changes no row here."""
        with self._database.transaction() as transaction:
            self.log.append(transaction, fact)

    def facts(self, kind: str | None = None) -> list[Fact]:
        """Return the server's facts in order."""
        return self.log.facts(kind)

    def close(self) -> None:
        """Give the database back."""
        self._database.close()


_CLIENT = (
    "SELECT id, name, vault, class, keep, parity, created_at, begun_at, erased_at, cleared_at "
    "FROM client LEFT JOIN erasure ON client = id"
)


def _custodian_place(row: Row) -> Registry.CustodianPlace:
    custodian, url, certificate, machine, boot, joined_at, deny_list = row
    joined = parse_instant(joined_at)
    return Registry.CustodianPlace(custodian, url, certificate, machine, boot, joined, deny_list)


def _client(row: Row) -> Client:
    class_: ClientClass = row[3]
    return Client(
        ClientId(row[0]),
        row[1],
        VaultId(row[2]),
        class_,
        Keep.parse(row[4]),
        parse_instant(row[6]),
        None if row[5] is None else Parity.parse(json.loads(row[5])),
        Erasure.read(*row[7:]),
    )
