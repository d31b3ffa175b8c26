"""A custodian that stands in for another: what a test does not change goes to the honest one."""

from collections.abc import Sequence
from typing import Any

from strongroom.crypto.envelope import Envelope, Statement
from strongroom.facts import Fact
from strongroom.ids import VaultId
from strongroom.ledger import Witness
from strongroom.quorum import Custodian, LocalCustodian
from strongroom.quorum.order import Order
from strongroom.quorum.policy_change import PolicyChange
from strongroom.quorum.release import ReleaseRequest
from strongroom.quorum.request import ActRequest
from strongroom.quorum.roster import Member
from strongroom.quorum.rules import Standing


class StandIn:
    """Answers as the custodian it wraps does."""

    def __init__(self, honest: Custodian) -> None:
        self._honest = honest

    def card(self) -> Member:
        return self._honest.card()

    def adopt_roster(self, envelope: Envelope) -> object:
        return self._honest.adopt_roster(envelope)

    def adopt_policy(self, envelope: Envelope, change: PolicyChange | None = None) -> object:
        return self._honest.adopt_policy(envelope, change)

    def enrol(self, *arguments: Any) -> Envelope:
        return self._honest.enrol(*arguments)

    def ingest(self, snapshot: Statement, keys: Sequence[Envelope]) -> Envelope:
        return self._honest.ingest(snapshot, keys)

    def hear(self, request: ActRequest, approvals: Sequence[Envelope]) -> Envelope:
        return self._honest.hear(request, approvals)

    def pinned(self) -> tuple[Envelope, Envelope | None]:
        return self._honest.pinned()

    def pins(self) -> list[LocalCustodian.Pin]:
        return self._honest.pins()

    def replace_writer(self, *arguments: Any) -> Envelope:
        return self._honest.replace_writer(*arguments)

    def release(self, request: ReleaseRequest) -> Envelope:
        return self._honest.release(request)

    def obey(self, order: Order) -> Envelope:
        return self._honest.obey(order)

    def refuse(self, request: ActRequest, word: Envelope) -> None:
        self._honest.refuse(request, word)

    def reopen(self, request: str, keys: Statement, recipient: bytes) -> Envelope:
        return self._honest.reopen(request, keys, recipient)

    def rehold(self, request: str, former: Envelope, anew: Envelope) -> Envelope:
        return self._honest.rehold(request, former, anew)

    def prove(self, challenge: str, keys: Sequence[Statement]) -> Envelope:
        return self._honest.prove(challenge, keys)

    def standing(self, vault: VaultId) -> Standing:
        return self._honest.standing(vault)

    @property
    def witness(self) -> Witness.Like:
        return self._honest.witness

    def witness_card(self) -> Envelope:
        return self._honest.witness_card()

    def journal(self, after: int) -> list[Fact]:
        return self._honest.journal(after)

    @property
    def kit_confirmed(self) -> bool:
        return self._honest.kit_confirmed

    def kit_entries(self, of: str = "") -> list[tuple[str, bytes]]:
        return self._honest.kit_entries(of)

    def kit_page(self, of: str, after: str) -> list[tuple[str, bytes]]:
        return self._honest.kit_page(of, after)
