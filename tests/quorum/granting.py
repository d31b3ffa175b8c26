"""A client's log in memory, and the grants that an honest server makes from it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.clock import Clock
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope
from strongroom.errors import StrongroomError
from strongroom.facts import Fact, Session, Who
from strongroom.ids import ClientId, InstallId, Token, new_id
from strongroom.ledger import Checkpoint, Log, Witness
from strongroom.quorum import LocalCustodian, SnapshotHeader
from strongroom.quorum.approval import Approval
from strongroom.quorum.gate_rules import wanted_of
from strongroom.quorum.grant import Grant, Proven
from strongroom.quorum.procedure import Procedure, Value
from strongroom.quorum.release import ReleaseRequest
from strongroom.quorum.request import ActRequest, recovery_params
from strongroom.quorum.team_policy import TeamPolicy

HOUR = timedelta(hours=1)
PARAMS: dict[Procedure, dict[str, Value]] = {
    Procedure.RESTORE: {"target": "folder"},
    Procedure.BROWSE: {},
}


@dataclass
class Ledger:
    """The log of a client under one origin, witnessed by custodians."""

    install: InstallId
    client: ClientId
    clock: Clock
    token: Token
    number: int = 1
    named: tuple[str, bytes] | None = None
    """Origin and seed of the log, where they are those of another one."""

    def __post_init__(self) -> None:
        own = (f"{self.install}.ledger.invalid/{self.number:032x}", bytes([self.number]) * 32)
        self.origin, self.seed = self.named or own
        self.key = Checkpoint.Key(self.origin, 1, signing.public_key(self.seed))
        self.database = open_sqlite(None)
        self.database.migrate(Log.SCHEMA)
        self.log = Log(self.database)
        self.log.begin_epoch(self.origin, str(self.key), self.clock.now())

    def append(self, fact: Fact) -> int:
        with self.database.transaction() as transaction:
            return self.log.append(transaction, fact)

    def announce(self, op: str = "keys.opened", client: str = "", **body: Any) -> Fact:
        """Append an announcement, and return it."""
        who = Who("ab" * 16, "human")
        session = Session(who, "", "", self.clock, self.token)
        fact = session.intent(op, client or self.client, **body)
        self.append(fact)
        return fact

    def announce_run(self, subject: str, **body: Any) -> Fact:
        """Append the announcement that something approved is run, in the server's log."""
        session = Session(Who("ab" * 16, "human"), "", "", self.clock, self.token)
        fact = session.intent("procedure.run", subject, **body)
        self.append(fact)
        return fact

    def sign(self) -> bytes:
        return self.log.sign(self.seed, self.clock.now())

    def cosign(self, custodians: Sequence[LocalCustodian], purpose: str = "client") -> bytes:
        """Sign the log, have it cosigned, and return the note with every line."""
        note = self.sign()
        checkpoint = Checkpoint.claimed(note)
        for custodian in custodians:
            witness = custodian.witness
            witness.register([Witness.Log(self.origin, str(self.key), purpose)])
            (seen,) = witness.latest([self.origin])
            old = 0 if seen is None else seen.size
            proof = self.log.consistency(old, checkpoint.size) if old else []
            answer = witness.add_checkpoint(Witness.request(old, proof, note))
            assert answer.status == 200, answer
            note += answer.body
        return note

    def prove(self, fact: Fact, note: bytes, cards: Sequence[Envelope]) -> Proven:
        number = self.log.number_of(fact.id)
        assert number is not None
        size = Checkpoint.claimed(note).size
        return Proven(
            fact.encode(), number, tuple(self.log.inclusion(number, size)), note, tuple(cards)
        )


@dataclass
class Server:
    """An honest server of one client: it asks, has it approved, announces it, and proves that."""

    ledger: Ledger
    custodians: Sequence[LocalCustodian]
    policy: TeamPolicy
    approvers: Sequence[bytes]
    requester: str = "77" * 16

    def ask(self, asked: ReleaseRequest, **changes: Any) -> ActRequest:
        """Return the request for exactly what is asked for."""
        header = SnapshotHeader.read(asked.snapshot)
        procedure = changes.get("procedure", Procedure.RESTORE)
        origin = changes.get("origin", self.ledger.origin)
        now = self.ledger.clock.now()
        params = recovery_params(origin) if procedure is Procedure.RECOVERY else PARAMS[procedure]
        fields: dict[str, Any] = {
            "install": header.install,
            "request": asked.request,
            "procedure": procedure,
            "params": params,
            "client": header.client,
            "wanted": wanted_of(asked, header),
            "plan": None,
            "requester": self.requester,
            "origin": origin,
            "policy": self.policy.id,
            "not_before": now,
            "expires": now + HOUR,
            "nonce": new_id(self.ledger.token),
        }
        return ActRequest(**{**fields, **changes}).check()

    def approve(self, request: ActRequest) -> tuple[Envelope, ...]:
        now = self.ledger.clock.now()
        given = [Approval.sign(seed, request, "approve", now) for seed in self.approvers]
        return tuple(sorted(given, key=lambda one: Approval.read(one).approver))

    def announce(
        self, request: ActRequest, approvals: tuple[Envelope, ...], /, **body: Any
    ) -> Fact:
        told = {
            "request": request.request,
            "snapshot": request.wanted.snapshot if request.wanted else "0" * 64,
            "grant": Grant.digest(request, approvals),
        }
        return self.ledger.announce(**{**told, **body})

    def grant(
        self,
        asked: ReleaseRequest,
        *,
        witnesses: Sequence[LocalCustodian] | None = None,
        body: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Grant:
        """Return a grant for what is asked for, every step of it as it should be."""
        request = self.ask(asked, **changes)
        approvals = self.approve(request)
        fact = self.announce(request, approvals, **(body or {}))
        return self.proven(request, approvals, fact, witnesses)

    def proven(
        self,
        request: ActRequest,
        approvals: tuple[Envelope, ...],
        fact: Fact,
        witnesses: Sequence[LocalCustodian] | None = None,
    ) -> Grant:
        """Have an announcement witnessed, and return the grant."""
        asked = self.custodians if witnesses is None else witnesses
        note = self.ledger.cosign(asked)
        cards = [custodian.witness_card() for custodian in asked]
        recovery = request.procedure is Procedure.RECOVERY
        hearings = self.tell(request, approvals, asked) if recovery else ()
        return Grant(request, approvals, self.ledger.prove(fact, note, cards), hearings)

    @staticmethod
    def tell(
        request: ActRequest, approvals: Sequence[Envelope], custodians: Sequence[LocalCustodian]
    ) -> tuple[Envelope, ...]:
        """Tell custodians of a recovery, and return the words of those that hear of it."""
        heard: list[Envelope] = []
        for custodian in custodians:
            with suppress(StrongroomError):
                heard.append(custodian.hear(request, approvals))
        return tuple(heard)

    def granted(self, asked: ReleaseRequest, **changes: Any) -> ReleaseRequest:
        """Return what is asked for with its grant."""
        return replace(asked, grant=self.grant(asked, **changes))
