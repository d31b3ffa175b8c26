"""The gate of a custodian: what must hold before it does what somebody asks for.

It keeps, in the custodian's own database, the team policy that it has pinned, the log in which each
client's keys are announced, what it was told to refuse and since when it waits; what it decides is
in `gate_rules`, pure. Every change is in the transaction, and in the journal, of whoever calls.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.database import Transaction
from strongroom.errors import StrongroomError
from strongroom.facts import FactValue
from strongroom.ledger import Witness
from strongroom.quorum import gate_rules, store
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.refusals import NoGrant, NoPolicy, OtherPolicy, Vetoed, VetoTime
from strongroom.quorum.release import ReleaseRequest
from strongroom.quorum.request import ActRequest
from strongroom.quorum.roster import Member, Roster
from strongroom.quorum.team_policy import TeamPolicy


class Journal(Protocol):
    """Records what a custodian did in its own journal, within a transaction."""

    def __call__(
        self,
        transaction: Transaction,
        op: str,
        subject: str,
        body: Mapping[str, FactValue],
        client: str = "",
        /,
    ) -> None:
        """Record it."""
        ...


class Gate:
    """The gate of one custodian."""

    def __init__(self, member: Member, journal: Journal) -> None:
        self._member = member
        self._journal = journal

    def policy(self, transaction: Transaction) -> TeamPolicy:
        """Return the pinned policy; raise NoPolicy where there is none yet."""
        pinned = self._pinned(transaction)
        if pinned is None:
            raise NoPolicy(f"{self._member} has pinned no team policy", "nobody gave it one")
        return pinned

    def adopt(self, transaction: Transaction, roster: Roster, envelope: Envelope) -> TeamPolicy:
        """Pin the first policy; the same one again changes nothing."""
        policy = TeamPolicy.parse(envelope)
        pinned = self._pinned(transaction)
        if pinned is not None:
            if pinned.id != policy.id:
                raise OtherPolicy(
                    f"{self._member} refuses policy version {policy.version}",
                    f"version {pinned.version} is pinned, and this is not it",
                )
            return pinned
        gate_rules.check_first_policy(self._member, roster, policy)
        self._pin(transaction, policy, envelope)
        return policy

    def take(self, transaction: Transaction, roster: Roster, envelope: Envelope) -> TeamPolicy:
        """Pin the policy that whoever holds the kit gives to a custodian that was rebuilt."""
        policy = TeamPolicy.parse(envelope)
        if self._pinned(transaction) is not None:
            raise OtherPolicy(f"{self._member} has a policy", "it was not rebuilt just now")
        gate_rules.check_given_policy(self._member, roster, policy)
        self._pin(transaction, policy, envelope)
        return policy

    def check(
        self, transaction: Transaction, roster: Roster, asked: ReleaseRequest, now: datetime
    ) -> StrongroomError | None:
        """Let a request for keys pass, or raise why not.

        A refusal that is returned is to be kept: it waits from now on, or was vetoed for good.
        """
        client = SnapshotHeader.read(asked.snapshot).client
        if asked.grant is None:
            raise NoGrant(
                f"{self._member} refuses request {asked.request[:8]}",
                "nobody approved it, and no log announces it",
            )
        request = asked.grant.request
        self._refuse_vetoed(transaction, request)
        pinned = store.read_client_log(transaction, client)
        judge = gate_rules.Judge(
            self._member,
            roster,
            self.policy(transaction),
            Witness.seen(transaction, request.origin),
            pinned,
            now,
        )
        try:
            at = judge.judge(asked)
        except Vetoed as err:
            return self._keep_veto(transaction, request, err, now)
        waits = self._wait(transaction, judge, request, at)
        if waits is None and pinned != request.origin:
            store.write_client_log(transaction, client, request.origin)
            self._journal(transaction, "log.pinned", _log_id(request), {}, client)
        return waits

    def hear(
        self,
        transaction: Transaction,
        roster: Roster,
        request: ActRequest,
        approvals: Sequence[Envelope],
        now: datetime,
    ) -> StrongroomError | None:
        """Note that this custodian was told of a recovery, or raise why it is none to be heard.

        A refusal that is returned is to be kept: it was vetoed for good.
        """
        self._refuse_vetoed(transaction, request)
        policy = self.policy(transaction)
        judge = gate_rules.Judge(self._member, roster, policy, None, None, now)
        try:
            judge.check_told(request, approvals)
        except Vetoed as err:
            return self._keep_veto(transaction, request, err, now)
        if store.read_hearing(transaction, request.digest) is None:
            told: dict[str, FactValue] = {"log": _log_id(request)}
            client = request.client or ""
            self._journal(transaction, "recovery.heard", request.request, told, client)
        return None

    def _refuse_vetoed(self, transaction: Transaction, request: ActRequest) -> None:
        if store.is_refused(transaction, request.digest):
            raise Vetoed(
                f"{self._member} refuses request {request.request[:8]}",
                "an approver has refused it",
            )

    def _keep_veto(
        self, transaction: Transaction, request: ActRequest, veto: Vetoed, now: datetime
    ) -> Vetoed:
        store.write_refused(transaction, request.digest, now)
        self._journal(transaction, "request.vetoed", request.request, {}, request.client or "")
        return veto

    def _wait(
        self, transaction: Transaction, judge: gate_rules.Judge, request: ActRequest, at: datetime
    ) -> VetoTime | None:
        """Return that a request waits from now on; raise that it still does; None where not."""
        delay = judge.policy.rules[request.procedure].delay
        if not delay:
            return None
        since = store.read_waiting(transaction, request.digest)
        ends = (since or at) + delay
        if since is not None and at >= ends:
            return None
        waits = VetoTime(
            f"{self._member} waits with request {request.request[:8]}",
            f"any approver may refuse it until {ends:%Y-%m-%d %H:%M:%S} Z",
        )
        if since is not None:
            raise waits
        store.write_waiting(transaction, request.digest, at)
        self._journal(
            transaction, "request.waits", request.request, {"until": int(ends.timestamp())}
        )
        return waits

    def _pinned(self, transaction: Transaction) -> TeamPolicy | None:
        data = store.read_policy(transaction)
        return None if data is None else TeamPolicy.parse(decode_envelope(data, "the policy"))

    def _pin(self, transaction: Transaction, policy: TeamPolicy, envelope: Envelope) -> None:
        store.write_policy(transaction, policy.version, envelope.encode())
        told: dict[str, FactValue] = {"version": policy.version}
        self._journal(transaction, "policy.adopted", policy.id, told)


def _log_id(request: ActRequest) -> str:
    """Return how facts name the log of a request."""
    return hashlib.sha256(request.origin.encode()).hexdigest()
