"""Team policies: the first one of an install, the one of a recovery, and where they lie.

A first policy is of one person, the operator: whoever restores own data waits for nothing, what
destroys or changes trust waits a day. docs/formats/procedure-v1.md.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from strongroom.clients import Registry
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, Refused, UsageError
from strongroom.facts import Session
from strongroom.ids import InstallId
from strongroom.ledger import Policy
from strongroom.locations import Copies, ObjectMissing
from strongroom.operations.certificates import SMALL_BYTES_MAX
from strongroom.operations.deployment import Deployment, Tools
from strongroom.operations.placing import path_of_change, path_of_policy
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


def keep_policy(
    registry: Registry,
    session: Session,
    envelope: Envelope,
    change: Acts.PolicyChange | None = None,
) -> None:
    """Keep a policy in the home with what shows that it was approved, and the fact of it."""
    policy = Acts.Policy.parse(envelope)
    fact = session.fact(
        "policy.signed",
        policy.id,
        version=policy.version,
        mode=policy.mode,
        approvers=len(policy.approvers),
        cosignatures=policy.cosignatures,
    )
    shown = None if change is None else change.encode()
    registry.keep_policy(policy.version, envelope.encode(), fact, shown)


@dataclass(frozen=True, slots=True)
class Shown:
    """A policy as it was signed, with what shows that it was approved; nothing does of a first."""

    envelope: Envelope
    change: Acts.PolicyChange | None

    @property
    def policy(self) -> Acts.Policy:
        """Return what it says."""
        return Acts.Policy.parse(self.envelope)

    def place(self, copies: Copies) -> None:
        """Put it at every location; a policy lies nowhere without its change."""
        policy = self.policy
        if self.change is not None:
            copies.put(path_of_change(policy.install, policy.id), self.change.encode())
        copies.put(path_of_policy(policy.install, policy.id), self.envelope.encode())


def kept_policies(registry: Registry) -> list[Shown]:
    """Return every policy that the home has, in the order of their versions."""
    return [
        Shown(
            decode_envelope(envelope, "a policy"),
            None if change is None else Acts.PolicyChange.decode(change),
        )
        for envelope, change in registry.policies()
    ]


def kept_policy(registry: Registry) -> Envelope | None:
    """Return the newest policy that the home has; None in one of before there were policies."""
    kept = registry.policies()
    return decode_envelope(kept[-1][0], "the policy") if kept else None


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
        Shown(kept, None).place(deployment.copies)
    return kept


def hand_over_policies(deployment: Deployment, custodian: Custodian) -> None:
    """Show a custodian each policy that followed the one which it has pinned, oldest first.

    Raises what it refuses one of them with: OtherPolicy where it has pinned none of this install's.
    """
    _, pinned = custodian.pinned()
    missing: list[Shown] = []
    for shown in _newest_first(deployment):
        if shown.envelope == pinned:
            break
        missing.append(shown)
    for shown in reversed(missing):
        custodian.adopt_policy(shown.envelope, shown.change)


def _newest_first(deployment: Deployment) -> Iterator[Shown]:
    """Yield every policy of this install; what the home lacks of them is read at the locations."""
    kept = kept_policies(deployment.registry)
    yield from reversed(kept[1:])
    for shown in kept[:1]:
        policy, envelope, change = shown.policy, shown.envelope, shown.change
        while policy.previous is not None:
            before = _read_policy(deployment.copies, policy.install, policy.previous)
            follows = Acts.Policy.parse(before)
            change = change or read_change(deployment.copies, follows, policy)
            yield Shown(envelope, change)
            policy, envelope, change = follows, before, None
        yield Shown(envelope, None)


def policies_to_place(registry: Registry) -> dict[str, bytes]:
    """Return what belongs to every location of the policies, by its path.

    That of a recovery stays in its home: a recovery can be rehearsed, and leaves nothing there.
    """
    operator = registry.install().operator_key
    found: dict[str, bytes] = {}
    for shown in kept_policies(registry):
        policy = shown.policy
        if shown.change is not None:
            found[path_of_change(policy.install, policy.id)] = shown.change.encode()
        if policy.signer == operator or policy.previous is not None:
            found[path_of_policy(policy.install, policy.id)] = shown.envelope.encode()
    return found


def check_own_policy(deployment: Deployment, policy: Acts.Policy) -> None:
    """Raise Damaged unless a policy that lies at a location is one of this install's.

    A home that has the operator's first has all that followed it, and anybody can sign another. One
    that was recovered has none of before: there each must lead back to the first, at the locations.
    """
    registry, install = deployment.registry, deployment.install
    kept = [shown.policy for shown in kept_policies(registry)]
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


def check_own_change(deployment: Deployment, policy: str, data: bytes) -> None:
    """Raise Damaged unless this shows that a policy of this install was approved."""
    for shown in kept_policies(deployment.registry):
        if shown.policy.id == policy and shown.change is not None:
            if shown.change.encode() != data:
                raise Damaged(
                    f"the change to policy {policy[:12]} is another one", "it was altered"
                )
            return
    copies, install = deployment.copies, deployment.install
    after = Acts.Policy.parse(_read_policy(copies, install, policy))
    check_own_policy(deployment, after)
    if after.previous is None:
        raise Damaged(f"policy {policy[:12]} follows no other", "nothing was to be approved")
    _check_change(data, Acts.Policy.parse(_read_policy(copies, install, after.previous)), after)


def policies_before(
    policy: Acts.Policy, copies: Copies, install: InstallId, roster: Roster | None = None
) -> Iterator[Acts.Policy]:
    """Yield what a policy follows, as the locations show it, back to where it follows nothing.

    Or to where nothing shows that the step was approved as the policy before it says, and with a
    roster, that as many of its members follow as open a key.
    """
    while policy.previous is not None:
        before = Acts.Policy.parse(_read_policy(copies, install, policy.previous))
        try:
            read_change(copies, before, policy, roster)
        except (Damaged, ObjectMissing):
            return
        policy = before
        yield policy


def read_change(
    copies: Copies, before: Acts.Policy, after: Acts.Policy, roster: Roster | None = None
) -> Acts.PolicyChange:
    """Return what shows, at a location, that a policy was approved as the one before it says.

    With a roster, also that as many of its members follow as open a key: they have judged whether
    somebody refused it. Raises Damaged where what lies there does not show it, and ObjectMissing
    where nothing does.
    """
    key = path_of_change(after.install, after.id)
    accept = partial(_check_change, before=before, after=after, roster=roster)
    return Acts.PolicyChange.decode(copies.get(key, accept, 0, SMALL_BYTES_MAX))


def _check_change(
    data: bytes, before: Acts.Policy, after: Acts.Policy, roster: Roster | None = None
) -> None:
    """Raise Damaged unless it shows so; another copy may be whole."""
    change = Acts.PolicyChange.decode(data)
    try:
        change.check(before, after)
    except Refused as err:
        raise Damaged(f"nothing shows that policy {after.id[:12]} was approved", str(err)) from err
    if roster is not None:
        count = len(change.followers(roster, after))
        if count < roster.threshold:
            raise Damaged(
                f"nothing shows that policy {after.id[:12]} is followed",
                f"{count} of {roster.threshold} custodians needed have signed that they do",
            )


def _is_first(policy: Acts.Policy, operator: bytes) -> bool:
    return (policy.version, policy.previous, policy.signer) == (1, None, operator)


def _read_policy(copies: Copies, install: InstallId, policy: str) -> Envelope:
    """Return the policy of this id; whatever else lies in its place counts for nothing."""
    key = path_of_policy(install, policy)

    def accept(data: bytes) -> None:
        found = Acts.Policy.parse(decode_envelope(data, key))
        if (found.id, found.install) != (policy, install):
            raise Damaged(f"{key} is not what it is named by", "its hash or its install differs")

    return decode_envelope(copies.get(key, accept, 0, SMALL_BYTES_MAX), key)
