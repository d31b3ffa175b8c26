"""A custodian: keeps one share of every key and decides alone when to give it.

`LocalCustodian` is the one that lives in this process with a database of its own; what it may be
asked is in `protocol`. The decisions are in `rules`, pure, so that a remote custodian enforces the
same. Every release is journalled, durably, before its answer leaves.
"""

import hashlib
from collections.abc import Mapping, Sequence
from typing import Literal, TypeAlias

from strongroom.clock import Clock
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, Statement
from strongroom.database import Database, Transaction
from strongroom.errors import Damaged, Refused, StrongroomError
from strongroom.facts import Fact, FactValue, read_facts
from strongroom.ids import ClientId, CustodianId, InstallId, Token, VaultId, WriterId, new_id
from strongroom.ledger import Witness
from strongroom.quorum import avowal, rules, store
from strongroom.quorum.avowal import Avowal
from strongroom.quorum.client_key import ClientKey
from strongroom.quorum.client_seat import ClientSeat
from strongroom.quorum.deeds import Seats
from strongroom.quorum.erasure_seat import ErasureSeat
from strongroom.quorum.gate import Gate
from strongroom.quorum.key_table import ClientPin, PinnedWriter, open_table
from strongroom.quorum.kit import Kit
from strongroom.quorum.kit_seat import KitSeat
from strongroom.quorum.order import Order
from strongroom.quorum.order_seat import OrderSeat
from strongroom.quorum.own import Own
from strongroom.quorum.policy_change import PolicyChange
from strongroom.quorum.receipt_seat import ReceiptSeat
from strongroom.quorum.recovery_seat import RecoverySeat
from strongroom.quorum.redeal_seat import RedealSeat
from strongroom.quorum.release import ReleaseRequest
from strongroom.quorum.release_seat import ReleaseSeat
from strongroom.quorum.request import ActRequest
from strongroom.quorum.roster import Member, Roster
from strongroom.quorum.roster_seat import RosterSeat
from strongroom.quorum.rules import NO_PAST, Past, Standing
from strongroom.quorum.schema import MIGRATIONS
from strongroom.quorum.team_policy import TeamPolicy
from strongroom.quorum.wire import Wire
from strongroom.quorum.witness_seat import WitnessSeat

Seat = tuple[InstallId, int, str]
"""Where a new custodian sits: its install, its index in the roster from 1, and its name."""


class LocalCustodian:
    """A custodian in this process; safe to share between threads, which take turns."""

    Certificate: TypeAlias = ClientKey
    Kit: TypeAlias = Kit
    Past: TypeAlias = Past
    Pin: TypeAlias = ClientPin
    Writer: TypeAlias = PinnedWriter
    Wire: TypeAlias = Wire

    def __init__(self, database: Database, kek: bytes, clock: Clock, token: Token) -> None:
        """Take over a database that holds a custodian; `create`, `open` and `restore` call this."""
        with database.reading() as transaction:
            row = store.read_self(transaction)
        if row is None:
            raise StrongroomError("the database holds no custodian", "it was never created")
        member, safe = row.member, store.RowSeal(kek, row.install, row.member.id)
        seed = safe.open("identity", row.identity_sealed)
        if signing.public_key(seed) != member.identity:
            raise Damaged(f"{member} does not serve", "its identity key is another one")
        kits = KitSeat(database, safe, member, safe.open("kit-key", row.kit_key_sealed), token)
        self._own = Own(database, member, seed, row.created_at, kits, clock, token)
        self._witness = WitnessSeat(database, safe, member, seed, clock, token)
        self._gate = Gate(member, self._own.record)
        self._clients = ClientSeat(self._own)
        self._receipts = ReceiptSeat(self._own)
        self._recoveries = RecoverySeat(self._own, self._gate, self._clients)
        self._releases = ReleaseSeat(self._own, self._gate)
        self._rosters = RosterSeat(self._own)
        self._redeals = RedealSeat(self._own)
        seats = self._own, self._gate, self._rosters, self._clients, ErasureSeat(self._own)
        self._orders = OrderSeat(Seats(*seats, self._redeals))

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
        database.migrate(MIGRATIONS)
        with database.transaction() as transaction:
            _refuse_second(transaction)
            store.write_self(transaction, row)
        return cls(database, kek, clock, token)

    @classmethod
    def open(cls, database: Database, kek: bytes, clock: Clock, token: Token) -> "LocalCustodian":
        """Take up an existing custodian; refuse to serve when its secrets do not fit."""
        database.migrate(MIGRATIONS)
        custodian = cls(database, kek, clock, token)
        custodian._finish()
        return custodian

    @staticmethod
    def identify(
        kit: Kit, entries: Sequence[tuple[str, bytes]]
    ) -> tuple[CustodianId, int, str, Mapping[str, Damaged]]:
        """Return id and index of the kit's custodian, and the id of the roster its entries name.

        The last are the clients that `restore` leaves out, for none of their entries opens.
        """
        table = open_table(entries, kit)
        member = table.identity.member
        return member.id, member.index, table.identity.roster, table.unreadable

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
        highest serial that opens counts; a client none of whose entries opens is left out, and
        named by `identify`.
        Roster and receipts are handed in afterwards: `adopt_roster`, `resume`.
        """
        identity, clients, kept, _ = open_table(entries, kit)
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
        database.migrate(MIGRATIONS)
        with database.transaction() as transaction:
            _refuse_second(transaction)
            store.write_self(transaction, row)
            store.write_kit_entries(transaction, kept)
            for entry in clients:
                store.write_client(transaction, entry, safe, token)
        return cls(database, kek, clock, token)

    def card(self) -> Member:
        """Return the index, id, name and identity key."""
        return self._own.member

    @property
    def install(self) -> InstallId:
        """Return the install that it serves."""
        return self._own.install

    def pins(self) -> list[ClientPin]:
        """Return what is pinned for every client, in order of their ids."""
        with self._own.database.reading() as transaction:
            return store.read_pins(transaction)

    def pin(self, client: ClientId) -> ClientPin | None:
        """Return what is pinned for one client, or None."""
        with self._own.database.reading() as transaction:
            return store.read_pin(transaction, client)

    def adopt_roster(self, envelope: Envelope) -> Roster:
        """Pin the first roster; the same one again changes nothing, and no other one is taken.

        Every later one comes enclosed in an order that was approved: `obey`.
        """
        return self._rosters.adopt(envelope)

    def take_roster(self, envelope: Envelope) -> Roster:
        """Pin the roster that a recovery found, which may be a later one than the kit names.

        For a recovery only, and nothing that a peer may ask: a kit holds the keys themselves.
        """
        return self._rosters.take(envelope)

    def adopt_policy(self, envelope: Envelope, change: PolicyChange | None = None) -> TeamPolicy:
        """Pin the first team policy, or the next with the change that shows that it was approved.

        The same one again changes nothing. A custodian that has a client takes the next one so only
        where custodians show that they follow it; else it comes in an order: `obey`.
        """
        with self._own.database.transaction() as transaction:
            return self._gate.adopt(transaction, self._own.roster(transaction), envelope, change)

    def take_policy(self, envelope: Envelope) -> TeamPolicy:
        """Pin the team policy that whoever holds the kit gives, after `restore`.

        For a recovery only, and nothing that a peer may ask: a kit holds the keys themselves.
        """
        with self._own.database.transaction() as transaction:
            return self._gate.take(transaction, self._own.roster(transaction), envelope)

    def enrol(
        self,
        client: ClientId,
        vault: VaultId,
        vault_class: Literal["normal", "high"],
        writer: bytes,
        past: Past = NO_PAST,
    ) -> Envelope:
        """Pin a client's vault and writer key; return the certificate, always the same.

        A past is for who took the seat of another: what others signed of that client before.
        """
        return self._clients.enrol(client, vault, vault_class, writer, past)

    def succeed(
        self, client: ClientId, new_writer: bytes, revoked_after: Mapping[WriterId, int]
    ) -> Envelope:
        """Pin a new writer and revoke each old one after the sequence given; return a certificate.

        For a recovery only. The certificate has the next serial and the same public key. Asked
        again with the writer that is current already, it changes nothing.
        """
        return self._clients.succeed(client, new_writer, revoked_after)

    def adopt_writers(self, client: ClientId, writers: Sequence[PinnedWriter]) -> None:
        """Take up the writers that custodians learnt in a recovery this one was away from.

        For a recovery only; the kit's entry follows with `succeed`.
        """
        self._clients.adopt_writers(client, writers)

    def ingest(self, snapshot: Statement, keys: Sequence[Envelope]) -> Envelope:
        """Check a snapshot and its fresh keys objects; return the receipt, always the same."""
        return self._receipts.ingest(snapshot, keys)

    def resume(self, receipts: Sequence[Envelope]) -> None:
        """Take up receipts this custodian signed before it was rebuilt from its kit.

        They only ever raise what it has receipted. A location that hides the newest of them
        weakens the anchor against rollback: read every location.
        """
        self._receipts.resume(receipts)

    def hear(self, request: ActRequest, approvals: Sequence[Envelope]) -> Envelope:
        """Journal an approved recovery; return the word that it was told, always the same."""
        return self._recoveries.hear(request, approvals)

    def pinned(self) -> tuple[Envelope, Envelope | None]:
        """Return the pinned roster and, where there is one, the team policy."""
        return self._recoveries.pinned()

    def replace_writer(
        self, client: ClientId, writer: bytes, revoked_after: Mapping[WriterId, int]
    ) -> Envelope:
        """Pin the one new writer that an approved recovery of a client allows; certify it."""
        return self._recoveries.replace_writer(client, writer, revoked_after)

    def release(self, request: ReleaseRequest) -> Envelope:
        """Journal the request, then return this custodian's shares sealed to the recipient.

        The answer leaves only once its row is durable. Asked again by the same recipient, the
        stored answer is given, byte for byte; another recipient is refused.
        """
        return self._releases.release(request)

    def obey(self, order: Order) -> Envelope:
        """Do what was approved; return the signed deed, always the same.

        It leaves only once it is durable, together with what was done.
        """
        return self._orders.obey(order)

    def reopen(self, request: str, keys: Statement, recipient: bytes) -> Envelope:
        """Return its shares of one session, sealed to who deals it anew as an order allows."""
        return self._redeals.reopen(request, keys, recipient)

    def rehold(self, request: str, former: Envelope, anew: Envelope) -> Envelope:
        """Check what a session was dealt anew with; return the receipt, always the same."""
        return self._redeals.rehold(request, former, anew)

    def refuse(self, request: ActRequest, word: Envelope) -> None:
        """Remember for good that an approver refuses a request; the same again changes nothing."""
        self._orders.refuse(request, word)

    def prove(self, challenge: str, keys: Sequence[Statement]) -> Envelope:
        """Open its shares of these keys objects again; return its signed word that they open."""
        with self._own.database.reading() as transaction:
            entry = self._own.entry(transaction, avowal.client_of(challenge, keys))
        shares, former = rules.open_again(self._own.member, self._own.install, entry, keys)
        pin, own = (
            entry.pin,
            (self._own.member.id, self._own.member.index, challenge, self._own.clock.now()),
        )
        said = Avowal(self._own.install, pin.client, pin.vault, *own, shares, former)
        return said.sign(self._own.seed)

    def standing(self, vault: VaultId) -> Standing:
        """Return the highest snapshot receipted for the vault's current writer."""
        with self._own.database.reading() as transaction:
            writer = store.read_current_writer(transaction, vault)
            if writer is None:
                raise Refused(
                    f"{self._own.member} does not know vault {vault[:8]}", "never enrolled"
                )
            return store.read_standing(transaction, writer)

    @property
    def witness(self) -> Witness:
        """Return the witness at this custodian's side."""
        return self._witness.take(self._own.record)[0]

    def witness_card(self) -> Envelope:
        """Return the certificate of the witness's key, always the same."""
        return self._witness.take(self._own.record)[1]

    def note_server(self, authority: bytes) -> None:
        """Journal that it answers another server from now on, by the authority's certificate.

        For whoever runs it, and nothing that a peer may ask.
        """
        with self._own.database.transaction() as transaction:
            told: dict[str, FactValue] = {"authority": hashlib.sha256(authority).hexdigest()}
            self._own.record(transaction, "custodian.handed_over", self._own.member.id, told)

    def journal(self, after: int) -> list[Fact]:
        """Return the next facts of its journal, oldest first, without the first `after`."""
        with self._own.database.reading() as transaction:
            return read_facts(transaction, after=after, limit=store.JOURNAL_PAGE)

    @property
    def kit_confirmed(self) -> bool:
        """Return whether somebody has typed words of the kit, or restored from it."""
        return self._own.kits.confirmed

    def kit(self) -> Kit:
        """Return the kit, to be shown, while it is unconfirmed; refuse afterwards."""
        return self._own.kits.kit()

    def confirm_kit(self, words: Mapping[int, str]) -> None:
        """Wipe the recovery key once two words or more, by position from 1, are right."""
        self.kit().check_words(words)
        self._own.kits.forget(
            lambda one: self._own.record(one, "kit.confirmed", self._own.member.id, {})
        )

    def kit_entries(self, of: str = "") -> list[tuple[str, bytes]]:
        """Return path and bytes of the key table's entries, the same bytes each time.

        `of` is how their names begin: a client's id, or `identity`.
        """
        return self._own.kits.entries(of)

    def kit_page(self, of: str, after: str) -> list[tuple[str, bytes]]:
        """Return the next of these entries behind a path, as many as are told at once."""
        return self._own.kits.page(of, after)

    def _finish(self) -> None:
        """Finish what was cut off when it ran last; it serves also where that cannot be now."""
        try:
            self._releases.wipe_ended()
            self._orders.scour()
        except Damaged:
            raise
        except StrongroomError:
            # The disk is full, or another process reads: what is to be done stays noted.
            return


def _refuse_second(transaction: Transaction) -> None:
    if store.read_self(transaction) is not None:
        raise StrongroomError("the database holds a custodian already", "nothing was changed")
