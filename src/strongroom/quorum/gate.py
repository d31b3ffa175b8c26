"""The gate of a custodian: what must hold before it does what somebody asks for.

It keeps, in the custodian's own database, the team policy that it has pinned; what it decides is in
`gate_rules`, pure. Every change is in the transaction, and in the journal, of whoever calls.
"""

from collections.abc import Callable, Mapping

from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.database import Transaction
from strongroom.facts import FactValue
from strongroom.quorum import gate_rules, store
from strongroom.quorum.refusals import NoPolicy, OtherPolicy
from strongroom.quorum.roster import Member, Roster
from strongroom.quorum.team_policy import TeamPolicy

Journal = Callable[[Transaction, str, str, Mapping[str, FactValue]], None]


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

    def _pinned(self, transaction: Transaction) -> TeamPolicy | None:
        data = store.read_policy(transaction)
        return None if data is None else TeamPolicy.parse(decode_envelope(data, "the policy"))

    def _pin(self, transaction: Transaction, policy: TeamPolicy, envelope: Envelope) -> None:
        store.write_policy(transaction, policy.version, envelope.encode())
        told: dict[str, FactValue] = {"version": policy.version}
        self._journal(transaction, "policy.adopted", policy.id, told)
