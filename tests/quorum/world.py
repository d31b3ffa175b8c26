"""A deployment in memory for the tests of this room: custodians, a writer, a chain of snapshots."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, Statement, sign_envelope
from strongroom.database import Database
from strongroom.ids import ClientId, InstallId, SessionId, SourceId, Token, VaultId, new_id
from strongroom.ledger import Policy
from strongroom.quorum import Dealing, LocalCustodian, Opening, Roster, SnapshotHeader
from strongroom.quorum.client_seat import KeyChange
from strongroom.quorum.dealing import Dealt
from strongroom.quorum.key_table import ClientPin
from strongroom.quorum.label import Label, VaultClass
from strongroom.quorum.release import ReleaseRequest
from strongroom.quorum.team_policy import TeamPolicy
from tests.quorum.granting import Ledger, Server

KEK = bytes(range(32))
START = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)


class TickingClock:
    """A clock that moves one second at each look, so that every instant differs."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        self.at += timedelta(seconds=1)
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()


def seeded(seed: str) -> Token:
    """Return repeatable chance: SHAKE256 of the seed and a counter."""
    calls = 0

    def token(length: int) -> bytes:
        nonlocal calls
        calls += 1
        return hashlib.shake_256(f"{seed}/{calls}".encode()).digest(length)

    return token


@dataclass
class World:
    """`threshold` of `count` custodians with one client enrolled."""

    threshold: int = 2
    count: int = 3
    vault_class: VaultClass = "normal"
    seed: str = "world"
    token: Token = field(init=False)
    databases: list[Database] = field(init=False)
    custodians: list[LocalCustodian] = field(init=False)
    kit_secrets: list[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self.token = seeded(self.seed)
        self.clock = TickingClock()
        self.install = InstallId(new_id(self.token))
        self.client = ClientId(new_id(self.token))
        self.vault = VaultId(new_id(self.token))
        self.operator_seed = self.token(32)
        self.writer_seed = self.token(32)
        self.writer = signing.public_key(self.writer_seed)
        self.structure_key = self.token(32)
        self.databases = [open_sqlite(None) for _ in range(self.count)]
        self.kit_secrets = [self.token(32) for _ in range(self.count)]
        self.custodians = [
            LocalCustodian.create(
                self.databases[at],
                KEK,
                (self.install, at + 1, f"name{at + 1}"),
                self.kit_secrets[at],
                self.clock,
                self.token,
            )
            for at in range(self.count)
        ]
        self.roster_envelope = self.sign_roster()
        self.roster = Roster.parse(self.roster_envelope, signing.public_key(self.operator_seed))
        for custodian in self.custodians:
            custodian.adopt_roster(self.roster_envelope)
        certificates = [
            custodian.enrol(self.client, self.vault, self.vault_class, self.writer)
            for custodian in self.custodians
        ]
        self.client_keys = [self.roster.check_client_key(one).public for one in certificates]
        self.last = SnapshotHeader.NO_PREVIOUS
        self.sequence = 0
        self.keys: dict[SessionId, Envelope] = {}

    def close(self) -> None:
        for database in self.databases:
            database.close()

    def sign_roster(self, **changes: Any) -> Envelope:
        values: dict[str, Any] = {
            "operator_seed": self.operator_seed,
            "install": self.install,
            "threshold": self.threshold,
            "members": [custodian.card() for custodian in self.custodians],
            "version": 1,
            "created_at": self.clock.now(),
        }
        return Roster.sign(**{**values, **changes})

    def sign_policy(
        self, at: datetime = START, seed: bytes | None = None, **changes: Any
    ) -> Envelope:
        """Return the first policy of this install, or another one."""
        seed = seed or self.operator_seed
        values: dict[str, Any] = {
            "install": self.install,
            "mode": "single",
            "cosignatures": Policy.default_quorum(self.count, self.threshold),
            "approvers": [signing.public_key(seed)],
            "rules": TeamPolicy.single_rules(),
        }
        return TeamPolicy.sign(seed, TeamPolicy.Draft(**{**values, **changes}), at)

    @property
    def policy_envelope(self) -> Envelope:
        """Return the first policy; nothing is drawn for it, and no time passes."""
        return self.sign_policy()

    def label(self, **changes: Any) -> Label:
        made = self.roster.label(
            self.client,
            self.vault,
            SessionId(new_id(self.token)),
            SourceId(new_id(self.token)),
            self.vault_class,
            self.clock.now(),
        )
        return replace(made, **changes)

    def deal(self, label: Label | None = None) -> Dealt:
        return Dealing.deal(
            label or self.label(),
            self.client_keys,
            self.writer_seed,
            self.structure_key,
            self.token,
        )

    def header(self, dealt: list[Dealt], **changes: Any) -> SnapshotHeader:
        fresh = tuple(
            (Dealing.parse(one.keys_object.statement).label.session, object_hash(one.keys_object))
            for one in dealt
        )
        made = SnapshotHeader(
            install=self.install,
            client=self.client,
            vault=self.vault,
            vault_class=self.vault_class,
            writer=SnapshotHeader.writer_id(self.writer),
            sequence=self.sequence + 1,
            previous=self.last,
            created_at=self.clock.now(),
            generation=0,
            roster=self.roster.id,
            index="1" * 64,
            fresh=fresh,
            sessions=tuple(sorted({*self.keys, *(session for session, _ in fresh)})),
        )
        return replace(made, **changes)

    def snapshot(self, sessions: int = 1) -> tuple[Statement, list[Envelope], list[Dealt]]:
        """Deal and sign the next snapshot; nobody has seen it yet."""
        dealt = [self.deal() for _ in range(sessions)]
        statement = self.header(dealt).sign(self.writer_seed, b"body").statement
        for one in dealt:
            self.keys[Dealing.parse(one.keys_object.statement).label.session] = one.keys_object
        self.sequence += 1
        self.last = statement.hash.hex()
        return statement, [one.keys_object for one in dealt], dealt

    def backed_up(self, sessions: int = 1) -> tuple[Statement, list[Dealt]]:
        """Make the next snapshot and collect every receipt."""
        statement, keys, dealt = self.snapshot(sessions)
        for custodian in self.custodians:
            self.roster.check_receipt(custodian.ingest(statement, keys), statement)
        return statement, dealt

    def lose_seed(self, index: int) -> None:
        """Put another seed in the place of a custodian's for the client."""
        custodian = self.custodians[index - 1]
        sealed = custodian._own.safe.close(f"client/{self.client}", self.token(32), self.token)
        with self.databases[index - 1].transaction() as transaction:
            transaction.run("UPDATE client SET seed_sealed = ?", (sealed,))

    def rotate(self, index: int) -> ClientPin:
        """Let a custodian rotate its key for the client; what is dealt next is sealed to it."""
        custodian = self.custodians[index - 1]
        with self.databases[index - 1].transaction() as transaction:
            custodian._clients.rotate(transaction, self.client)
        (pin,) = custodian.pins()
        self.client_keys[index - 1] = pin.public
        return pin

    def drop_former(self, index: int, up_to: int) -> KeyChange:
        """Let a custodian destroy its former keys for the client up to a serial."""
        custodian = self.custodians[index - 1]
        with self.databases[index - 1].transaction() as transaction:
            return custodian._clients.drop_former(transaction, self.client, up_to)

    def opening(self, statement: Statement) -> Opening:
        """Return an opening that everybody approved and witnessed."""
        sessions = SnapshotHeader.read(statement).sessions
        keys = [self.keys[session].statement for session in sessions]
        opening = Opening.begin(statement, keys, self.token, self.clock.now())
        opening.grant(self.server.grant(opening.request))
        return opening

    def granted(self, request: ReleaseRequest) -> ReleaseRequest:
        """Return a request with a grant of exactly what it asks for."""
        return self.server.granted(request)

    @cached_property
    def server(self) -> Server:
        """Return the server of this install; the custodians pin its policy before they are asked.

        It begins late: what chance and the clock give to everything before is frozen in vectors.
        """
        for custodian in self.custodians:
            custodian.adopt_policy(self.policy_envelope)
        ledger = Ledger(self.install, self.client, self.clock, seeded(f"{self.seed}/server"))
        policy = TeamPolicy.parse(self.policy_envelope)
        return Server(ledger, self.custodians, policy, [self.operator_seed])


def object_hash(envelope: Envelope) -> str:
    return envelope.statement.hash.hex()


def resigned(
    envelope: Envelope,
    seed: bytes,
    kind: str,
    changes: Mapping[str, Any],
    body: bytes | None = None,
) -> Envelope:
    """Sign an object anew with changed fields; the value None removes a field."""
    fields = {**envelope.statement.fields(kind), **changes}
    kept = {name: value for name, value in fields.items() if value is not None}
    return sign_envelope(seed, kind, kept, envelope.body if body is None else body)
