"""The clients at a custodian's side: whom it has pinned, with which vault, key and writers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from strongroom.crypto import public_sealing, signing
from strongroom.crypto.envelope import Envelope
from strongroom.database import Transaction
from strongroom.errors import Refused, UsageError
from strongroom.facts import FactValue
from strongroom.ids import ClientId, VaultId, WriterId
from strongroom.quorum import erasure_rows, redeal_rows, rules, store
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.key_table import ClientEntry, ClientPin, PinnedWriter
from strongroom.quorum.own import Own
from strongroom.quorum.rules import NO_PAST, Past


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What became of a custodian's keys for a client."""

    serial: int
    """That of its entry from now on."""
    dropped: int = 0
    entries: tuple[str, ...] = ()
    """The names of the entries that hold what was dropped; they were handed out."""

    @property
    def told(self) -> dict[str, int | tuple[str, ...]]:
        """Return what a deed tells of it."""
        return {"serial": self.serial, "dropped": self.dropped, "entries": self.entries}


@dataclass(frozen=True, slots=True)
class ClientSeat:
    """Pins clients and their writers, and certifies the keys made for them."""

    _own: Own

    def enrol(
        self,
        client: ClientId,
        vault: VaultId,
        vault_class: Literal["normal", "high"],
        writer: bytes,
        past: Past,
    ) -> Envelope:
        """Pin a client's vault and writer key; return the certificate, always the same.

        Its past is what it is told at first.
        """
        with self._own.database.transaction() as transaction:
            pin = store.read_pin(transaction, client)
            if pin is not None:
                rules.check_enrolment(self._own.member, pin, vault, vault_class, writer)
                return self.certificate(pin)
            self._own.refuse_erased(transaction, client)
            rules.check_room(self._own.member, *store.count_clients(transaction))
            if past != NO_PAST:
                rules.check_past(self._own.member, self._own.rosters(transaction), client, past)
            if store.read_current_writer(transaction, vault) is not None:
                raise Refused(
                    f"{self._own.member} refuses client {client[:8]}", "its vault is taken"
                )
            keys = (*(one.key for one in past.former), writer)
            rules.check_distinct(client, keys)
            for key in keys:
                self._refuse_shared_writer(transaction, key)
            seed = self._own.token(public_sealing.SEED_BYTES)
            pin = ClientPin(
                client=client,
                vault=vault,
                vault_class=vault_class,
                serial=1,
                public=public_sealing.public_key(seed),
                created_at=self._own.clock.now(),
                writers=(*past.former, PinnedWriter(writer)),
            )
            self._own.kits.write_client(transaction, ClientEntry(pin, seed))
            if past.standing.sequence:
                store.write_beginning(transaction, SnapshotHeader.writer_id(writer), past.standing)
            self._own.record(transaction, "client.enrolled", client, {"vault": vault})
            return self.certificate(pin)

    def succeed(
        self, client: ClientId, new_writer: bytes, revoked_after: Mapping[WriterId, int]
    ) -> Envelope:
        """Pin a new writer and revoke each old one after the sequence given; return a certificate.

        For a recovery only. The certificate has the next serial and the same public key. Asked
        again with the writer that is current already, it changes nothing.
        """
        with self._own.database.transaction() as transaction:
            return self.succeed_within(transaction, client, new_writer, revoked_after)

    def succeed_within(
        self,
        transaction: Transaction,
        client: ClientId,
        new_writer: bytes,
        revoked_after: Mapping[WriterId, int],
    ) -> Envelope:
        """Do what `succeed` does in the transaction of whoever allows it."""
        entry = self._own.entry(transaction, client)
        pin = entry.pin
        if pin.current is not None and pin.current.key == new_writer:
            return self.certificate(pin)
        highest = {
            writer.id: store.read_standing(transaction, writer.id).sequence
            for writer in pin.writers
        }
        writers = rules.succession(pin, new_writer, revoked_after, highest)
        self._refuse_shared_writer(transaction, new_writer)
        # A home was lost, and with it may be the key to which an order opens what was dealt before.
        redeal_rows.end(transaction)
        now = self._own.clock.now()
        newer = replace(pin, serial=pin.serial + 1, created_at=now, writers=writers)
        self._own.kits.write_client(transaction, replace(entry, pin=newer))
        writer_id = SnapshotHeader.writer_id(new_writer)
        self._own.record(transaction, "writer.succeeded", client, {"writer": writer_id})
        return self.certificate(newer)

    def adopt_writers(self, client: ClientId, writers: Sequence[PinnedWriter]) -> None:
        """Take up the writers that custodians learnt in a recovery this one was away from.

        For a recovery only; the kit's entry follows with `succeed`.
        """
        with self._own.database.transaction() as transaction:
            entry = self._own.entry(transaction, client)
            adopted = entry.pin.adopting(writers)
            if adopted == entry.pin:
                return
            for writer in set(adopted.writers) - set(entry.pin.writers):
                rules.check_adopted(
                    self._own.member, writer, store.read_standing(transaction, writer.id)
                )
                if writer.id not in {one.id for one in entry.pin.writers}:
                    self._refuse_shared_writer(transaction, writer.key)
            newer = replace(entry, pin=adopted)
            store.write_client(transaction, newer, self._own.safe, self._own.token)
            self._own.record(
                transaction, "writers.adopted", client, {"count": len(adopted.writers)}
            )

    def rotate(self, transaction: Transaction, client: ClientId) -> "KeyChange":
        """Make a new key for what is dealt to a client from now on; what was dealt still opens."""
        entry = self._own.entry(transaction, client)
        newer = entry.rotated(self._own.token(public_sealing.SEED_BYTES), self._own.clock.now())
        self._own.kits.write_client(transaction, newer)
        serial = newer.pin.serial
        self._own.record(transaction, "client.key_rotated", client, {"serial": serial})
        return KeyChange(serial)

    def drop_former(self, transaction: Transaction, client: ClientId, up_to: int) -> "KeyChange":
        """Destroy a client's former keys of serials up to this one, and the entries that hold them.

        What was dealt to them can be opened here no more. Nothing changes where there are none. The
        rows are gone with the transaction; that the bytes are is for whoever ends it.
        """
        entry = self._own.entry(transaction, client)
        newer = entry.without_former(up_to, self._own.clock.now())
        dropped = len(entry.former) - len(newer.former)
        if not dropped:
            return KeyChange(entry.pin.serial)
        # Every entry until now was made while one of these was kept.
        gone = [path for path, _ in self._own.kits.entries_within(transaction, f"{client}-")]
        erasure_rows.wipe_kit_entries(transaction, gone)
        self._own.kits.write_client(transaction, newer)
        told: dict[str, FactValue] = {"serial": newer.pin.serial, "dropped": dropped}
        self._own.record(transaction, "client.former_keys_dropped", client, told)
        names = tuple(path.rpartition("/")[2] for path in gone)
        return KeyChange(newer.pin.serial, dropped, names)

    def certificate(self, pin: ClientPin) -> Envelope:
        """Return the certificate of a pin's serial; the same each time it is made."""
        return pin.certificate(self._own.install, self._own.member).sign(self._own.seed)

    def _refuse_shared_writer(self, transaction: Transaction, writer: bytes) -> None:
        if len(writer) != signing.PUBLIC_KEY_BYTES:
            raise UsageError("a writer key is malformed", f"{len(writer)} bytes")
        if store.has_writer(transaction, SnapshotHeader.writer_id(writer)):
            raise Refused(f"{self._own.member} refuses a writer key", "another client has it")
