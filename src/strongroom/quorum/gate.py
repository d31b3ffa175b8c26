"""The gate of a custodian: what must hold before it does what somebody asks for.

It keeps, in the custodian's own database, the team policy that it has pinned, the log in which each
client's keys are announced, what it was told to refuse and since when it waits; what it decides is
in `gate_rules`, pure. Every change is in the transaction, and in the journal, of whoever calls.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Protocol

from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.database import Transaction
from strongroom.errors import StrongroomError, UsageError
from strongroom.facts import FactValue
from strongroom.ledger import Witness
from strongroom.quorum import gate_rules, recovery_rows, redeal_rows, store
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.order import Order
from strongroom.quorum.policy_change import PolicyChange
from strongroom.quorum.procedure import Procedure, Value
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

    def adopt(
        self,
        transaction: Transaction,
        roster: Roster,
        envelope: Envelope,
        change: PolicyChange | None = None,
    ) -> TeamPolicy:
        """Pin the first policy, or the next with its change; the same one again changes nothing.

        A custodian that has a client was away from the change, and takes it by the deeds of those
        that were there. One that has none holds nothing that a policy guards: approvals are enough.
        """
        policy = TeamPolicy.parse(envelope)
        pinned = self._pinned(transaction)
        if pinned is not None and pinned.id == policy.id:
            return pinned
        if pinned is None:
            gate_rules.check_first_policy(self._member, roster, policy)
        elif change is None:
            raise OtherPolicy(
                f"{self._member} refuses policy version {policy.version}",
                f"version {pinned.version} is pinned, and this is not it",
                hint="Another policy comes by a `policy-change` that approvers have signed.",
            )
        else:
            gate_rules.check_next_policy(self._member, roster, pinned, policy)
            change.check(pinned, policy)
            self._refuse_vetoed(transaction, change.request)
            if store.has_clients(transaction):
                gate_rules.check_followed(self._member, roster, policy, change)
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

    def change(
        self,
        transaction: Transaction,
        roster: Roster,
        envelope: Envelope,
        params: Mapping[str, Value],
    ) -> TeamPolicy:
        """Pin the policy that an approved order encloses; that one again changes nothing."""
        policy, pinned = TeamPolicy.parse(envelope), self.policy(transaction)
        if (policy.id, policy.version) != (params["policy"], params["version"]):
            raise OtherPolicy(
                f"{self._member} refuses policy version {policy.version}",
                "it is not the one that was approved",
            )
        if policy.id != pinned.id:
            gate_rules.check_next_policy(self._member, roster, pinned, policy)
            self._pin(transaction, policy, envelope)
        return policy

    def refuse(
        self, transaction: Transaction, request: ActRequest, word: Envelope, now: datetime
    ) -> None:
        """Keep an approver's refusal of a request for good; the same again changes nothing."""
        what = f"{self._member} takes no refusal of request {request.request[:8]}"
        policy = self.policy(transaction)
        if (request.install, request.policy) != (policy.install, policy.id):
            raise OtherPolicy(what, f"it is under policy {request.policy[:8]}, not the pinned")
        (said,) = policy.check_given(request, [word])
        if said.decision != "refuse":
            raise UsageError(what, f"approver {said.approver[:8]} approves it")
        if not store.is_refused(transaction, request.digest):
            self._veto(transaction, request, now)

    def check(
        self, transaction: Transaction, roster: Roster, asked: ReleaseRequest, now: datetime
    ) -> StrongroomError | None:
        """Let a request for keys pass, or raise why not.

        A refusal that is returned is to be kept: it waits from now on, or was vetoed for good.
        """
        if asked.grant is None:
            raise NoGrant(
                f"{self._member} refuses request {asked.request[:8]}",
                "nobody approved it, and no log announces it",
            )
        client = SnapshotHeader.read(asked.snapshot).client
        request, pinned = asked.grant.request, store.read_client_log(transaction, client)
        judge = self._judge(transaction, roster, request, pinned, now)
        kept = self._pass(transaction, judge, request, partial(judge.judge, asked))
        if kept is None and pinned != request.origin:
            store.write_client_log(transaction, client, request.origin)
            self._journal(transaction, "log.pinned", _log_id(request), {}, client)
        if kept is None and request.procedure is Procedure.RECOVERY:
            recovery_rows.allow_writer(transaction, client, request)
        return kept

    def check_order(
        self, transaction: Transaction, roster: Roster, order: Order, now: datetime
    ) -> StrongroomError | None:
        """Let an order pass, or raise why not; what is returned is to be kept, as of `check`."""
        request = order.grant.request
        judge = self._judge(transaction, roster, request, None, now)
        return self._pass(transaction, judge, request, partial(judge.judge_order, order))

    def _judge(
        self,
        transaction: Transaction,
        roster: Roster,
        request: ActRequest,
        pinned: str | None,
        now: datetime,
    ) -> gate_rules.Judge:
        self._refuse_vetoed(transaction, request)
        seen = Witness.seen(transaction, request.origin)
        return gate_rules.Judge(self._member, roster, self.policy(transaction), seen, pinned, now)

    def _pass(
        self,
        transaction: Transaction,
        judge: gate_rules.Judge,
        request: ActRequest,
        decide: Callable[[], datetime],
    ) -> StrongroomError | None:
        try:
            at = decide()
        except Vetoed as err:
            self._veto(transaction, request, judge.now)
            return err
        return self._wait(transaction, judge, request, at)

    def _veto(self, transaction: Transaction, request: ActRequest, now: datetime) -> None:
        store.write_refused(transaction, request.digest, now)
        self._journal(transaction, "request.vetoed", request.request, {}, request.client or "")

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
            self._veto(transaction, request, now)
            return err
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

    def _wait(
        self, transaction: Transaction, judge: gate_rules.Judge, request: ActRequest, at: datetime
    ) -> VetoTime | None:
        """Return that a request waits from now on; raise that it still does; None where not."""
        delay = judge.policy.rules[request.procedure].delay
        if not delay:
            return None
        since = store.read_waiting(transaction, request.digest)
        # From when it was first shown here: what witnesses say can be a quarter of an hour earlier.
        ends = (since or judge.now) + delay
        if since is not None and at >= ends:
            return None
        waits = VetoTime(
            f"{self._member} waits with request {request.request[:8]}",
            f"any approver may refuse it until {ends:%Y-%m-%d %H:%M:%S} Z",
        )
        if since is not None:
            raise waits
        store.write_waiting(transaction, request.digest, judge.now)
        self._journal(
            transaction, "request.waits", request.request, {"until": int(ends.timestamp())}
        )
        return waits

    def _pinned(self, transaction: Transaction) -> TeamPolicy | None:
        data = store.read_policy(transaction)
        return None if data is None else TeamPolicy.parse(decode_envelope(data, "the policy"))

    def _pin(self, transaction: Transaction, policy: TeamPolicy, envelope: Envelope) -> None:
        store.write_policy(transaction, policy.version, envelope.encode())
        # Those who decide now have approved nothing of it, and could not refuse it.
        redeal_rows.end(transaction)
        told: dict[str, FactValue] = {"version": policy.version}
        self._journal(transaction, "policy.adopted", policy.id, told)


def _log_id(request: ActRequest) -> str:
    """Return how facts name the log of a request."""
    return hashlib.sha256(request.origin.encode()).hexdigest()
