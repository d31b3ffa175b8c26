"""Team policies: the first one of an install, the one of a recovery, and where they lie.

A first policy is of one person, the operator: whoever restores own data waits for nothing, what
destroys or changes trust waits a day. docs/formats/procedure-v1.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from strongroom.clients import Registry
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, UsageError
from strongroom.facts import Session
from strongroom.ids import InstallId
from strongroom.ledger import Policy
from strongroom.locations import Copies
from strongroom.operations.deployment import Deployment, Tools
from strongroom.operations.placing import path_of_policy, policy_path
from strongroom.quorum import Acts, Custodian, Roster


@dataclass(frozen=True, slots=True)
class Team:
    """Who approves, by their device keys, and how many of them are needed."""

    approvers: tuple[bytes, ...]
    approvals: int

    def check(self) -> None:
        """Raise UsageError for a team that could approve nothing, or everything alone."""
        if len(set(self.approvers)) < len(self.approvers):
            raise UsageError("an approver is named twice", "each has a device key of their own")
        if not 1 <= self.approvals <= len(self.approvers):
            raise UsageError(
                f"{self.approvals} approvals cannot be reached",
                f"approvers named: {len(self.approvers)}",
                hint="Name each with --approver FILE.pub, or ask for fewer with --approvals.",
            )


def first_policy(
    tools: Tools,
    roster: Roster,
    operator_seed: bytes,
    team: Team | None = None,
    delay: timedelta = Acts.Policy.DAY,
) -> Envelope:
    """Return the policy that an install begins with, signed by the roster's operator.

    What destroys or changes trust waits for `delay`, in which it can be refused.
    """
    quorum = Policy.default_quorum(len(roster.members), roster.threshold)
    if team is None:
        return _single(tools, roster, operator_seed, quorum, delay)
    rules = Acts.Policy.team_rules(team.approvals, delay)
    draft = Acts.Policy.Draft(roster.install, "team", quorum, team.approvers, rules)
    return Acts.Policy.sign(operator_seed, draft, tools.clock.now())


def recovered_policy(tools: Tools, roster: Roster, device_seed: bytes, custodians: int) -> Envelope:
    """Return the policy of a home that a recovery made: of whoever brought the kits.

    The operator's key went with the old home. So many custodians came back; what they can cosign
    is what is asked of them, never fewer than open a key.
    """
    quorum = Policy.default_quorum(len(roster.members), roster.threshold)
    return _single(tools, roster, device_seed, min(quorum, max(roster.threshold, custodians)))


def _single(
    tools: Tools,
    roster: Roster,
    seed: bytes,
    cosignatures: int,
    delay: timedelta = Acts.Policy.DAY,
) -> Envelope:
    draft = Acts.Policy.Draft(
        roster.install,
        "single",
        cosignatures,
        [signing.public_key(seed)],
        Acts.Policy.single_rules(delay),
    )
    return Acts.Policy.sign(seed, draft, tools.clock.now())


def keep_policy(registry: Registry, session: Session, envelope: Envelope) -> None:
    """Keep a policy in the home, with the fact that tells of it."""
    policy = Acts.Policy.parse(envelope)
    fact = session.fact(
        "policy.signed",
        policy.id,
        version=policy.version,
        mode=policy.mode,
        approvers=len(policy.approvers),
        cosignatures=policy.cosignatures,
    )
    registry.keep_policy(policy.version, envelope.encode(), fact)


def kept_policies(registry: Registry) -> list[Envelope]:
    """Return every policy that the home has, in the order of their versions."""
    return [decode_envelope(data, "a policy") for data in registry.policies()]


def kept_policy(registry: Registry) -> Envelope | None:
    """Return the newest policy that the home has; None in one of before there were policies."""
    kept = registry.policies()
    return decode_envelope(kept[-1], "the policy") if kept else None


def current_policy(deployment: Deployment) -> Acts.Policy:
    """Return the newest policy of this home.

    A home of before there were policies gets its first one now: the operator signs it, and it goes
    to the custodians as to the locations.
    """
    return Acts.Policy.parse(current_envelope(deployment))


def current_envelope(deployment: Deployment) -> Envelope:
    """Return the newest policy of this home as it was signed, as `current_policy` does."""
    kept = kept_policy(deployment.registry)
    if kept is None:
        kept = first_policy(deployment.tools, deployment.roster, deployment.tools.device.seed())
        keep_policy(deployment.registry, deployment.session, kept)
        for custodian in deployment.custodians.values():
            custodian.adopt_policy(kept)
        deployment.copies.put(policy_path(deployment.install, kept), kept.encode())
    return kept


def hand_over_policies(registry: Registry, custodian: Custodian) -> None:
    """Show a custodian the newest policy, or every one from the first on where it knows none.

    One that has a client takes the first alone: the others it takes as an order that was approved.
    """
    kept = kept_policies(registry)
    try:
        for newest in kept[-1:]:
            custodian.adopt_policy(newest)
    except Acts.OtherPolicy:
        for policy in kept:
            custodian.adopt_policy(policy)


def policies_to_place(registry: Registry) -> list[Envelope]:
    """Return the policies that belong to every location.

    That of a recovery stays in its home: a recovery can be rehearsed, and leaves nothing there.
    """
    kept = kept_policies(registry)
    operator = registry.install().operator_key
    return [
        one
        for one, policy in ((one, Acts.Policy.parse(one)) for one in kept)
        if policy.signer == operator or policy.previous is not None
    ]


def check_own_policy(deployment: Deployment, policy: Acts.Policy) -> None:
    """Raise Damaged unless a policy that lies at a location is one of this install's.

    A home that has the operator's first has all that followed it, and anybody can sign another. One
    that was recovered has none of before: there each must lead back to the first, at the locations.
    """
    registry, install = deployment.registry, deployment.install
    kept = [Acts.Policy.parse(decode_envelope(one, "a policy")) for one in registry.policies()]
    if policy.id in {one.id for one in kept}:
        return
    operator = registry.install().operator_key
    if not any(_is_first(one, operator) for one in kept) and policy.install == install:
        line = policies_before(policy, deployment.copies, install)
        if any(_is_first(one, operator) for one in (policy, *line)):
            return
    raise Damaged(
        f"policy {policy.id[:12]} is none of this install's",
        "it does not follow from the one that the operator signed first",
    )


def policies_before(
    policy: Acts.Policy, copies: Copies, install: InstallId
) -> Iterator[Acts.Policy]:
    """Yield what a policy follows, as the locations show it, back to where it follows nothing."""
    while policy.previous is not None:
        before = _read_policy(copies, install, policy.previous)
        if before.version + 1 != policy.version or policy.signer not in before.approvers.values():
            return
        policy = before
        yield policy


def _is_first(policy: Acts.Policy, operator: bytes) -> bool:
    return (policy.version, policy.previous, policy.signer) == (1, None, operator)


def _read_policy(copies: Copies, install: InstallId, policy: str) -> Acts.Policy:
    """Return the policy of this id; whatever else lies in its place counts for nothing."""
    key = path_of_policy(install, policy)

    def accept(data: bytes) -> None:
        found = Acts.Policy.parse(decode_envelope(data, key))
        if (found.id, found.install) != (policy, install):
            raise Damaged(f"{key} is not what it is named by", "its hash or its install differs")

    return Acts.Policy.parse(decode_envelope(copies.get(key, accept), key))
