"""The kit at a custodian's side: shown until confirmed, and the key table sealed under it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from strongroom.database import Database, Transaction
from strongroom.errors import Damaged, Refused
from strongroom.ids import Token
from strongroom.quorum import store
from strongroom.quorum.key_table import (
    ClientEntry,
    IdentityEntry,
    client_name,
    identity_name,
    newest,
)
from strongroom.quorum.kit import PAGE_ENTRIES, EntryPlace, Kit, first_page
from strongroom.quorum.roster import Member


@dataclass(frozen=True, slots=True)
class KitSeat:
    """Where a custodian's kit lies: in its own database, until somebody holds it on paper."""

    database: Database
    safe: store.RowSeal
    member: Member
    key: bytes = field(repr=False)
    """The kit key, under which the entries are sealed."""
    token: Token

    @property
    def confirmed(self) -> bool:
        """Return whether somebody has typed words of the kit, or restored from it."""
        return self._secret() is None

    def kit(self) -> Kit:
        """Return the kit, to be shown, while it is unconfirmed; refuse afterwards."""
        secret = self._secret()
        if secret is None:
            raise Refused(
                f"the kit of {self.member} cannot be shown again",
                "it was confirmed, and its words were wiped",
            )
        return Kit(secret)

    def forget(self, record: Callable[[Transaction], None]) -> None:
        """Wipe the recovery key, and record it."""
        with self.database.transaction() as transaction:
            store.forget_kit_secret(transaction)
            record(transaction)

    def entries(self, of: str) -> list[tuple[str, bytes]]:
        """Return path and bytes of the entries whose names begin so."""
        with self.database.reading() as transaction:
            return self.entries_within(transaction, of)

    def page(self, of: str, after: str) -> list[tuple[str, bytes]]:
        """Return the next of these entries behind a path, as many as are told at once."""
        with self.database.reading() as transaction:
            beginning = self._place(of).path
            return first_page(store.read_kit_entries(transaction, beginning, after, PAGE_ENTRIES))

    def entries_within(self, transaction: Transaction, of: str) -> list[tuple[str, bytes]]:
        """Do what `entries` does within a transaction."""
        return store.read_kit_entries(transaction, self._place(of).path)

    def write_client(self, transaction: Transaction, entry: ClientEntry) -> None:
        """Write a client's row, and its entry of the pin's serial."""
        pin = entry.pin
        store.write_client(transaction, entry, self.safe, self.token)
        place = self._place(client_name(pin.client, pin.serial))
        self._write(transaction, place, entry, entry.to_json(self.safe.install, self.member.id))

    def write_identity(
        self, transaction: Transaction, roster_id: str, seed: bytes, created_at: datetime
    ) -> None:
        """Write the next entry of who this custodian is, and which roster it follows."""
        entries = store.read_kit_entries(transaction, self._place("identity").path)
        found = newest([EntryPlace.parse(path) for path, _ in entries]).get("identity")
        serial = 1 if found is None else found[0] + 1
        entry = IdentityEntry(self.safe.install, self.member, roster_id, seed, created_at)
        self._write(transaction, self._place(identity_name(serial)), entry, entry.to_json())

    def _write(
        self,
        transaction: Transaction,
        place: EntryPlace,
        entry: ClientEntry | IdentityEntry,
        inside: Mapping[str, Any],
    ) -> None:
        """Write an entry that was read again as a recovery will read it.

        What it holds came from the server: one entry that nobody can read must not get into what
        is to bring all the others back.
        """
        try:
            data = place.seal(self.key, inside, self.token)
            read = type(entry).parse(place.open(self.key, data), place)
        except Damaged as err:
            raise self._unreadable(place, err.why) from err
        except ValueError as err:
            raise self._unreadable(place, str(err)) from err
        if read != entry:
            raise self._unreadable(place, "it reads back as another")
        store.write_kit_entries(transaction, [(place.path, data)])

    def _unreadable(self, place: EntryPlace, why: str | None) -> Refused:
        return Refused(
            f"{self.member} keeps nothing that its kit could not bring back",
            f"the entry {place.name}: {why}",
        )

    def _secret(self) -> bytes | None:
        with self.database.reading() as transaction:
            row = store.read_self(transaction)
        if row is None or row.kit_secret_sealed is None:
            return None
        return self.safe.open("kit-secret", row.kit_secret_sealed)

    def _place(self, name: str) -> EntryPlace:
        return EntryPlace(self.safe.install, self.member.id, name)
