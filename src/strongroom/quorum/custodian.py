"""A custodian: keeps one share of every key and decides alone when to give it.

`LocalCustodian` is the one that lives in this process with a database of its own; what it may be
asked is in `protocol`. The decisions are in `rules`, pure, so that a remote custodian enforces the
same. Every release is journalled, durably, before its answer leaves.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from strongroom.clock import Clock
from strongroom.crypto import public_sealing, signing
from strongroom.crypto.envelope import Envelope, Statement, decode_envelope
from strongroom.crypto.hashing import statement_hash
from strongroom.database import Database, Transaction
from strongroom.errors import Damaged, Refused, StrongroomError, UsageError
from strongroom.facts import Fact, FactValue, Session, Who, read_facts, record
from strongroom.ids import ClientId, CustodianId, InstallId, Token, VaultId, WriterId, new_id
from strongroom.ledger import Witness
from strongroom.quorum import avowal, rules, store
from strongroom.quorum.avowal import Avowal
from strongroom.quorum.gate import Gate
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.key_table import (
    ClientEntry,
    ClientPin,
    PinnedWriter,
    open_table,
)
from strongroom.quorum.kit import Kit
from strongroom.quorum.kit_seat import KitSeat
from strongroom.quorum.receipt import Receipt
from strongroom.quorum.release import Release, ReleaseRequest
from strongroom.quorum.roster import Member, Roster
from strongroom.quorum.rules import Asked, Standing
from strongroom.quorum.team_policy import TeamPolicy
from strongroom.quorum.wire import Wire
from strongroom.quorum.witness_seat import WitnessSeat

_FACT_ROLE = "strongroom/custodian-fact"
Seat = tuple[InstallId, int, str]
"""Where a new custodian sits: its install, its index in the roster from 1, and its name."""


class LocalCustodian:
    """A custodian in this process; safe to share between threads, which take turns."""

    Kit: TypeAlias = Kit
    Pin: TypeAlias = ClientPin
    Wire: TypeAlias = Wire

    def __init__(self, database: Database, kek: bytes, clock: Clock, token: Token) -> None:
        """Take over a database that holds a custodian; `create`, `open` and `restore` call this."""
        self._database = database
        self._clock = clock
        self._token = token
        with database.reading() as transaction:
            row = store.read_self(transaction)
        if row is None:
            raise StrongroomError("the database holds no custodian", "it was never created")
        self._install = row.install
        self._member = row.member
        self._created_at = row.created_at
        self._safe = store.RowSeal(kek, row.install, row.member.id)
        self._identity_seed = self._safe.open("identity", row.identity_sealed)
        if signing.public_key(self._identity_seed) != row.member.identity:
            raise Damaged(f"{row.member} does not serve", "its identity key is another one")
        kit_key = self._safe.open("kit-key", row.kit_key_sealed)
        self._kits = KitSeat(database, self._safe, row.member, kit_key, token)
        self._seat = WitnessSeat(
            database, self._safe, row.member, self._identity_seed, clock, token
        )
        self._gate = Gate(row.member, self._record)

    @classmethod
    def create(
        cls,
        database: Database,
        kek: bytes,
        seat: Seat,
        kit_secret: bytes,
        clock: Clock,
        token: Token,
    ) -> "LocalCustodian":
        """Make a custodian in an empty database; its kit stays unconfirmed until `confirm_kit`."""
        install, index, name = seat
        seed = token(signing.SEED_BYTES)
        member = Member(index, CustodianId(new_id(token)), name, signing.public_key(seed))
        safe = store.RowSeal(kek, install, member.id)
        row = store.SelfRow(
            install=install,
            member=member,
            identity_sealed=safe.close("identity", seed, token),
            kit_key_sealed=safe.close("kit-key", Kit(kit_secret).key(install), token),
            kit_secret_sealed=safe.close("kit-secret", kit_secret, token),
            roster_id=None,
            created_at=clock.now(),
        )
        database.migrate(store.MIGRATIONS)
        with database.transaction() as transaction:
            _refuse_second(transaction)
            store.write_self(transaction, row)
        return cls(database, kek, clock, token)

    @classmethod
    def open(cls, database: Database, kek: bytes, clock: Clock, token: Token) -> "LocalCustodian":
        """Take up an existing custodian; refuse to serve when its secrets do not fit."""
        database.migrate(store.MIGRATIONS)
        return cls(database, kek, clock, token)

    @staticmethod
    def identify(kit: Kit, entries: Sequence[tuple[str, bytes]]) -> tuple[CustodianId, int, str]:
        """Return id and index of the kit's custodian, and the id of the roster its entries name."""
        identity, _, _ = open_table(entries, kit)
        return identity.member.id, identity.member.index, identity.roster

    @classmethod
    def restore(
        cls,
        database: Database,
        kek: bytes,
        entries: Sequence[tuple[str, bytes]],
        kit: Kit,
        clock: Clock,
        token: Token,
    ) -> "LocalCustodian":
        """Rebuild a custodian in an empty database from its kit and the entries at the locations.

        `entries` are full keys and bytes and may hold those of every custodian. Of its own the
        highest serial that opens counts; a client none of whose entries opens is named (Damaged).
        Roster and receipts are handed in afterwards: `adopt_roster`, `resume`.
        """
        identity, clients, kept = open_table(entries, kit)
        install = identity.install
        safe = store.RowSeal(kek, install, identity.member.id)
        row = store.SelfRow(
            install=install,
            member=identity.member,
            identity_sealed=safe.close("identity", identity.seed, token),
            kit_key_sealed=safe.close("kit-key", kit.key(install), token),
            kit_secret_sealed=None,
            roster_id=identity.roster,
            created_at=identity.created_at,
        )
        database.migrate(store.MIGRATIONS)
        with database.transaction() as transaction:
            _refuse_second(transaction)
            store.write_self(transaction, row)
            store.write_kit_entries(transaction, kept)
            for entry in clients:
                sealed = safe.close(f"client/{entry.pin.client}", entry.seed, token)
                store.write_client(transaction, entry.pin, sealed)
        return cls(database, kek, clock, token)

    def card(self) -> Member:
        """Return the index, id, name and identity key."""
        return self._member

    def pins(self) -> list[ClientPin]:
        """Return what is pinned for every client, in order of their ids."""
        with self._database.reading() as transaction:
            return store.read_pins(transaction)

    def pin(self, client: ClientId) -> ClientPin | None:
        """Return what is pinned for one client, or None."""
        with self._database.reading() as transaction:
            return store.read_pin(transaction, client)

    def adopt_roster(self, envelope: Envelope) -> Roster:
        """Pin a roster; the same one again changes nothing, the threshold never changes."""
        with self._database.transaction() as transaction:
            pinned = self._pinned_roster(transaction)
            row = store.read_self(transaction)
            roster = Roster.parse(envelope, None)
            rules.check_roster(self._member, self._install, pinned, roster)
            restored_id = None if row is None else row.roster_id
            if pinned is None and restored_id not in (None, roster.id):
                raise Refused(
                    f"{self._member} refuses roster version {roster.version}",
                    "its kit names another roster",
                )
            if pinned is not None and pinned.id == roster.id:
                return roster
            if restored_id != roster.id:
                identity = (roster.id, self._identity_seed, self._created_at)
                self._kits.write_identity(transaction, *identity)
            store.write_roster(transaction, roster.version, roster.id, envelope.encode())
            self._record(transaction, "roster.adopted", roster.id, {"version": roster.version})
            return roster

    def adopt_policy(self, envelope: Envelope) -> TeamPolicy:
        """Pin the first team policy; the same one again changes nothing."""
        with self._database.transaction() as transaction:
            return self._gate.adopt(transaction, self._roster(transaction), envelope)

    def take_policy(self, envelope: Envelope) -> TeamPolicy:
        """Pin the team policy that whoever holds the kit gives, after `restore`.

        For a recovery only, and nothing that a peer may ask: a kit holds the keys themselves.
        """
        with self._database.transaction() as transaction:
            return self._gate.take(transaction, self._roster(transaction), envelope)

    def enrol(
        self,
        client: ClientId,
        vault: VaultId,
        vault_class: Literal["normal", "high"],
        writer: bytes,
    ) -> Envelope:
        """Pin a client's vault and writer key; return the certificate, always the same."""
        with self._database.transaction() as transaction:
            pin = store.read_pin(transaction, client)
            if pin is not None:
                rules.check_enrolment(self._member, pin, vault, vault_class, writer)
                return self._certificate(pin)
            if store.read_current_writer(transaction, vault) is not None:
                raise Refused(f"{self._member} refuses client {client[:8]}", "its vault is taken")
            self._refuse_shared_writer(transaction, writer)
            seed = self._token(public_sealing.SEED_BYTES)
            pin = ClientPin(
                client=client,
                vault=vault,
                vault_class=vault_class,
                serial=1,
                public=public_sealing.public_key(seed),
                created_at=self._clock.now(),
                writers=(PinnedWriter(writer),),
            )
            self._kits.write_client(transaction, ClientEntry(pin, seed))
            self._record(transaction, "client.enrolled", client, {"vault": vault})
            return self._certificate(pin)

    def succeed(
        self, client: ClientId, new_writer: bytes, revoked_after: Mapping[WriterId, int]
    ) -> Envelope:
        """Pin a new writer and revoke each old one after the sequence given; return a certificate.

        For a recovery only. The certificate has the next serial and the same public key. Asked
        again with the writer that is current already, it changes nothing.
        """
        with self._database.transaction() as transaction:
            entry = self._entry(transaction, client)
            pin = entry.pin
            if pin.current is not None and pin.current.key == new_writer:
                return self._certificate(pin)
            highest = {
                writer.id: store.read_standing(transaction, writer.id).sequence
                for writer in pin.writers
            }
            writers = rules.succession(pin, new_writer, revoked_after, highest)
            self._refuse_shared_writer(transaction, new_writer)
            newer = ClientPin(
                client=client,
                vault=pin.vault,
                vault_class=pin.vault_class,
                serial=pin.serial + 1,
                public=pin.public,
                created_at=self._clock.now(),
                writers=writers,
            )
            self._kits.write_client(transaction, ClientEntry(newer, entry.seed))
            writer_id = SnapshotHeader.writer_id(new_writer)
            self._record(transaction, "writer.succeeded", client, {"writer": writer_id})
            return self._certificate(newer)

    def adopt_writers(self, client: ClientId, writers: Sequence[PinnedWriter]) -> None:
        """Take up the writers that custodians learnt in a recovery this one was away from.

        For a recovery only; the kit's entry follows with `succeed`.
        """
        with self._database.transaction() as transaction:
            entry = self._entry(transaction, client)
            adopted = entry.pin.adopting(writers)
            if adopted == entry.pin:
                return
            for writer in set(adopted.writers) - set(entry.pin.writers):
                rules.check_adopted(
                    self._member, writer, store.read_standing(transaction, writer.id)
                )
                if writer.id not in {one.id for one in entry.pin.writers}:
                    self._refuse_shared_writer(transaction, writer.key)
            sealed = self._safe.close(f"client/{client}", entry.seed, self._token)
            store.write_client(transaction, adopted, sealed)
            self._record(transaction, "writers.adopted", client, {"count": len(adopted.writers)})

    def ingest(self, snapshot: Statement, keys: Sequence[Envelope]) -> Envelope:
        """Check a snapshot and its fresh keys objects; return the receipt, always the same."""
        header = SnapshotHeader.read(snapshot)
        asked = Asked(self._member, self._install, header)
        snapshot_hash = snapshot.hash.hex()
        with self._database.transaction() as transaction:
            entry = self._entry(transaction, header.client)
            writer = rules.check_author(asked, entry.pin, snapshot, receiving=True)
            roster = self._pinned_roster(transaction)
            if roster is None:
                raise asked.refuse("it has adopted no roster yet")
            stored = store.read_receipt(transaction, writer.id, header.sequence)
            if stored is not None:
                rules.check_not_forked(asked, snapshot_hash, stored[0])
                return decode_envelope(stored[1], "a stored receipt")
            standing = store.read_standing(transaction, writer.id)
            rules.check_sequence(asked, snapshot_hash, standing)
            dealings = rules.check_fresh(asked, roster, writer, keys)
            receipt = Receipt(
                install=self._install,
                client=header.client,
                vault=header.vault,
                writer=header.writer,
                sequence=header.sequence,
                snapshot=snapshot_hash,
                custodian=self._member.id,
                index=self._member.index,
                roster=roster.id,
                received_at=self._clock.now(),
                shares=rules.hold_shares(asked, dealings, entry.seed),
            ).sign(self._identity_seed)
            reached = Standing(header.sequence, snapshot_hash)
            store.write_receipt(transaction, writer.id, reached, receipt.encode())
            told: dict[str, FactValue] = {"vault": header.vault, "sequence": header.sequence}
            self._record(transaction, "snapshot.receipted", snapshot_hash, told, header.client)
            return receipt

    def release(self, request: ReleaseRequest) -> Envelope:
        """Journal the request, then return this custodian's shares sealed to the recipient.

        The answer leaves only once its row is durable. Asked again by the same recipient, the
        stored answer is given, byte for byte; another recipient is refused.
        """
        request.check_limits()
        with self._database.transaction() as transaction:
            used = store.read_release(transaction, request.request)
            if used is not None:
                recipient, snapshot_hash, answered = used
                rules.check_reuse(self._member, request, recipient, snapshot_hash)
                return decode_envelope(answered, "a stored answer")
            roster, now = self._roster(transaction), self._clock.now()
            kept = self._gate.check(transaction, roster, request, now)
            answer = None if kept else self._answer(transaction, request)
        if kept is not None or answer is None:
            raise kept or Refused(f"{self._member} refuses request {request.request[:8]}")
        # Point of no return: the journal row is on disk, so the answer may leave.
        return answer

    def _answer(self, transaction: Transaction, request: ReleaseRequest) -> Envelope:
        """Journal a release that may be, and return its answer."""
        header = SnapshotHeader.read(request.snapshot)
        asked = Asked(self._member, self._install, header)
        entry = self._entry(transaction, header.client)
        stored = store.read_receipt(transaction, header.writer, header.sequence)
        opened = rules.open_released(asked, entry, request, stored[0] if stored else None)
        release = Release(
            request=request.request,
            custodian=self._member.id,
            index=self._member.index,
            snapshot=request.snapshot.hash.hex(),
            sessions=header.sessions,
            released_at=self._clock.now(),
        )
        answer = release.sign(self._identity_seed, request.recipient, opened)
        store.write_release(transaction, request, header.client, release, answer.encode())
        count = len(header.sessions)
        told: dict[str, FactValue] = {"snapshot": release.snapshot, "sessions": count}
        self._record(transaction, "share.released", request.request, told, header.client)
        return answer

    def prove(self, challenge: str, keys: Sequence[Statement]) -> Envelope:
        """Open its shares of these keys objects again; return its signed word that they open."""
        with self._database.reading() as transaction:
            entry = self._entry(transaction, avowal.client_of(challenge, keys))
        shares = rules.open_again(self._member, self._install, entry, keys)
        pin, own = entry.pin, (self._member.id, self._member.index, challenge, self._clock.now())
        return Avowal(self._install, pin.client, pin.vault, *own, shares).sign(self._identity_seed)

    def standing(self, vault: VaultId) -> Standing:
        """Return the highest snapshot receipted for the vault's current writer."""
        with self._database.reading() as transaction:
            writer = store.read_current_writer(transaction, vault)
            if writer is None:
                raise Refused(f"{self._member} does not know vault {vault[:8]}", "never enrolled")
            return store.read_standing(transaction, writer)

    @property
    def witness(self) -> Witness:
        """Return the witness at this custodian's side."""
        return self._seat.take(self._record)[0]

    def witness_card(self) -> Envelope:
        """Return the certificate of the witness's key, always the same."""
        return self._seat.take(self._record)[1]

    def resume(self, receipts: Sequence[Envelope]) -> None:
        """Take up receipts this custodian signed before it was rebuilt from its kit.

        They only ever raise what it has receipted. A location that hides the newest of them
        weakens the anchor against rollback: read every location.
        """
        parsed = [(Receipt.parse(one, self._member.identity), one) for one in receipts]
        with self._database.transaction() as transaction:
            for receipt, envelope in parsed:
                if receipt.custodian != self._member.id or receipt.install != self._install:
                    raise Damaged(f"a receipt is not one of {self._member}", "it names another")
                if not store.has_writer(transaction, receipt.writer):
                    raise Refused(
                        f"{self._member} refuses its receipt {receipt.sequence}",
                        f"writer {receipt.writer[:8]} is not pinned",
                    )
                if store.read_receipt(transaction, receipt.writer, receipt.sequence) is None:
                    reached = Standing(receipt.sequence, receipt.snapshot)
                    store.write_receipt(transaction, receipt.writer, reached, envelope.encode())

    def journal(self, after: int) -> list[Fact]:
        """Return the next facts of its journal, oldest first, without the first `after`."""
        with self._database.reading() as transaction:
            return read_facts(transaction, after=after, limit=store.JOURNAL_PAGE)

    @property
    def kit_confirmed(self) -> bool:
        """Return whether somebody has typed words of the kit, or restored from it."""
        return self._kits.confirmed

    def kit(self) -> Kit:
        """Return the kit, to be shown, while it is unconfirmed; refuse afterwards."""
        return self._kits.kit()

    def confirm_kit(self, words: Mapping[int, str]) -> None:
        """Wipe the recovery key once two words or more, by position from 1, are right."""
        self.kit().check_words(words)
        self._kits.forget(lambda one: self._record(one, "kit.confirmed", self._member.id, {}))

    def kit_entries(self, of: str = "") -> list[tuple[str, bytes]]:
        """Return path and bytes of the key table's entries, the same bytes each time.

        `of` is how their names begin: a client's id, or `identity`.
        """
        return self._kits.entries(of)

    def _entry(self, transaction: Transaction, client: ClientId) -> ClientEntry:
        entry = store.read_entry(transaction, client, self._safe)
        if entry is None:
            raise Refused(
                f"{self._member} does not know client {client[:8]}", "it was never enrolled there"
            )
        return entry

    def _certificate(self, pin: ClientPin) -> Envelope:
        return pin.certificate(self._install, self._member).sign(self._identity_seed)

    def _refuse_shared_writer(self, transaction: Transaction, writer: bytes) -> None:
        if len(writer) != signing.PUBLIC_KEY_BYTES:
            raise UsageError("a writer key is malformed", f"{len(writer)} bytes")
        if store.has_writer(transaction, SnapshotHeader.writer_id(writer)):
            raise Refused(f"{self._member} refuses a writer key", "another client has it")

    def _roster(self, transaction: Transaction) -> Roster:
        roster = self._pinned_roster(transaction)
        if roster is None:
            raise Refused(f"{self._member} has adopted no roster yet", "nobody gave it one")
        return roster

    def _pinned_roster(self, transaction: Transaction) -> Roster | None:
        data = store.read_roster(transaction)
        return None if data is None else Roster.parse(decode_envelope(data, "the roster"), None)

    def _record(
        self,
        transaction: Transaction,
        op: str,
        subject: str,
        body: Mapping[str, FactValue],
        client: str = "",
    ) -> None:
        # Chance is for keys: what a custodian draws stays the same whatever it tells of it. One op
        # on one subject happens once in a millisecond, and the fact's id has the millisecond.
        own = statement_hash(_FACT_ROLE, self._member.id.encode(), op.encode(), subject.encode())
        author = Who(self._member.id, "custodian")
        session = Session(author, "", self._install, self._clock, lambda size: own[:size])
        record(transaction, session.fact(op, subject, client=client, **body))


def _refuse_second(transaction: Transaction) -> None:
    if store.read_self(transaction) is not None:
        raise StrongroomError("the database holds a custodian already", "nothing was changed")
