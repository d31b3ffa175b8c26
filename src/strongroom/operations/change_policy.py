"""Changing the team policy: one approver signs the next one, others approve it, custodians follow.

The policy that follows names the one before it, so nobody can leave one out. It counts for a
custodian once that one has judged the order; the home follows as soon as so many custodians do as
open a key, and goes on telling the others. docs/formats/procedure-v1.md.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from strongroom.crypto import canonical, signing
from strongroom.crypto.envelope import Envelope
from strongroom.errors import Refused, StrongroomError, UsageError
from strongroom.operations.deployment import Deployment
from strongroom.operations.orders import check_all, give_order, kept_words
from strongroom.operations.pending import acts_now
from strongroom.operations.policies import (
    Shown,
    Team,
    current_policy,
    hand_over_policies,
    keep_policy,
)
from strongroom.operations.requesting import Permit, Wish, end, permitted
from strongroom.procedures import Act, Plan
from strongroom.quorum import Acts, Roster

APPROVALS: Final = 2
"""How many approve in a team that begins, unless somebody says."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be otherwise; what is None stays as it is."""

    approvers: tuple[bytes, ...] | None = None
    approvals: int | None = None
    delay: timedelta | None = None

    def after(self, policy: Acts.Policy) -> Acts.Policy.Draft:
        """Return what the policy after this one is to say; raise UsageError for what cannot be.

        Who names approvers makes a team; nothing makes one person of a team again.
        """
        delay = self.delay
        if delay is None:
            delay = max(rule.delay for rule in policy.rules.values())
        alone = policy.mode == "single" and self.approvers is None
        approvers = tuple(policy.approvers.values()) if self.approvers is None else self.approvers
        if alone and self.approvals is not None:
            raise UsageError(
                "one person decides here, who approves alone",
                f"{self.approvals} approvals are wanted",
                hint="Name those who are to approve: --approver FILE.pub, once for each.",
            )
        if alone:
            rules = Acts.Policy.single_rules(delay)
        else:
            team = Team(approvers, self._approvals(policy))
            team.check()
            rules = Acts.Policy.team_rules(team.approvals, delay)
        return Acts.Policy.Draft(
            policy.install,
            "single" if alone else "team",
            policy.cosignatures,
            approvers,
            rules,
            policy,
        )

    def _approvals(self, policy: Acts.Policy) -> int:
        if self.approvals is not None:
            return self.approvals
        if policy.mode == "single":
            return APPROVALS
        return max(rule.approvals for rule in policy.rules.values())


def sign_next(seed: bytes, policy: Acts.Policy, change: Change, at: datetime) -> Envelope:
    """Return the policy after this one, signed; raise Refused for who approves nothing now."""
    public = signing.public_key(seed)
    if public not in policy.approvers.values():
        raise Refused(
            "this device may not sign the next policy",
            f"version {policy.version} does not name its key {public.hex()[:16]}",
            hint="An approver of the policy that holds now signs the one that follows it.",
        )
    return Acts.Policy.sign(seed, change.after(policy), at)


def tell_change(before: Acts.Policy, after: Acts.Policy) -> list[str]:
    """Return what is otherwise in a policy than in the one before it, as lines for people."""
    gone = sorted(before.approvers.keys() - after.approvers.keys())
    new = sorted(after.approvers.keys() - before.approvers.keys())
    return [
        f"team policy version {after.version} after version {before.version}",
        f"mode {after.mode}, {len(after.approvers)} approvers, cosignatures {after.cosignatures}",
        *(f"approver {one} is added, with the key {after.approvers[one].hex()}" for one in new),
        *(f"approver {one} is removed" for one in gone),
        *tell_rules(after, before),
    ]


def tell_rules(policy: Acts.Policy, before: Acts.Policy | None = None) -> list[str]:
    """Return its rules as lines, alike ones together; after another, those that are otherwise."""
    alike: dict[str, list[str]] = {}
    for procedure, rule in policy.rules.items():
        was = None if before is None else before.rules[procedure]
        if was != rule:
            changed = "" if was is None else f"{_rule(was)} -> "
            alike.setdefault(f"{changed}{_rule(rule)}", []).append(str(procedure))
    return [f"{rule}: {', '.join(procedures)}" for rule, procedures in alike.items()]


@dataclass(frozen=True, slots=True)
class Followed:
    """Which custodians follow the newest policy, and why others do not, by their index."""

    custodians: Sequence[int]
    absent: Mapping[int, StrongroomError]
    roster: Roster

    def check_complete(self) -> None:
        """Raise PartlyDone, naming everybody who does not follow yet."""
        check_all("the team policy is followed", self.roster, len(self.custodians), self.absent)


def change_policy(deployment: Deployment, envelope: Envelope | None = None) -> Followed:
    """Ask for another policy, or go on: have custodians follow it, keep it, and place it.

    Without one, or with the one that holds already, those custodians are shown what was approved
    that do not follow yet. Raises Waiting until it is approved and its delay has passed; PartlyDone
    comes from `check_complete` of what this returns.
    """
    current = current_policy(deployment)
    policy = current if envelope is None else Acts.Policy.parse(envelope)
    if envelope is None or policy.id == current.id:
        return _show_again(deployment, current)
    if (policy.install, policy.previous, policy.version) != (
        current.install,
        current.id,
        current.version + 1,
    ):
        raise Refused(
            f"policy version {policy.version} does not follow version {current.version}",
            "it names another one before it, or is of another install",
            hint="Sign it anew, after what `strongroom policy show --to FILE` writes.",
        )
    followed = _followed_already(deployment, envelope)
    if followed is not None:
        keep_policy(deployment.registry, deployment.session, envelope, followed)
        _end_others(deployment, policy)
        Shown(envelope, followed).place(deployment.copies)
        return _show_again(deployment, policy)
    with permitted(deployment, None, _wish(current, policy)) as permit:
        orders = give_order(deployment, permit, [envelope])
        if len(orders.deeds) < deployment.roster.threshold:
            # The home stays with those custodians that can open something.
            orders.check_complete("the team policy is changed")
        change = _change(deployment, permit)
        keep_policy(deployment.registry, deployment.session, envelope, change)
    Shown(envelope, change).place(deployment.copies)
    return Followed(sorted(orders.deeds), orders.absent, deployment.roster)


def _followed_already(deployment: Deployment, envelope: Envelope) -> Acts.PolicyChange | None:
    """Return what shows that enough custodians follow a policy by a request that is over here.

    A run that was cut off after they did it leaves this home behind, and once the request is over
    no other one could bring it after them: who follows a policy does nothing under the one before.
    """
    before, after = current_policy(deployment), Acts.Policy.parse(envelope)
    for act in acts_now(deployment):
        if act.is_open or act.request.params.get("policy") != after.id:
            continue
        _have_said_again(deployment, act, envelope)
        words = kept_words(deployment, act.request)
        change = Acts.PolicyChange(act.request, act.given, tuple(words.values()))
        if len(change.followers(deployment.roster, after)) >= deployment.roster.threshold:
            change.check(before, after)
            return change
    return None


def _have_said_again(deployment: Deployment, act: Act, envelope: Envelope) -> None:
    """Fetch the deeds that were lost on their way, of custodians that follow the policy already.

    They are given the order of then, and answer as they did. Nobody else is: it is over.
    """
    runs = deployment.registry.log.facts("procedure.run")
    announced = [one for one in runs if (one.subject, one.phase) == (act.id, "intent")]
    if not announced:
        return
    permit = Permit(act.request, act.given, b"", announced[-1])
    for index, custodian in deployment.custodians.items():
        # Who does not answer, or came to follow it by another request, adds nothing to this one.
        with suppress(StrongroomError):
            _, pinned = custodian.pinned()
            if pinned == envelope:
                give_order(deployment, permit, [envelope], index)


def _end_others(deployment: Deployment, policy: Acts.Policy) -> None:
    """End what else was asked for to come to this policy, which holds now."""
    for act in acts_now(deployment):
        if act.is_open and act.request.params.get("policy") == policy.id:
            end(deployment, act, "other_policy")


def _change(deployment: Deployment, permit: Permit | None) -> Acts.PolicyChange:
    """Return what shows others that the policy was approved, and that custodians follow it."""
    if permit is None:
        raise Refused("no policy is changed without approval", "no request was made")
    words = kept_words(deployment, permit.request)
    return Acts.PolicyChange(permit.request, permit.approvals, tuple(words.values()))


def _show_again(deployment: Deployment, policy: Acts.Policy) -> Followed:
    """Show custodians that do not follow yet what was approved: they judge it for themselves.

    Whether the request has expired since does not matter: the others have done it in its time.
    """
    if policy.previous is None:
        raise UsageError(
            f"version {policy.version} of the team policy holds already",
            "it is the first, and nobody was to approve it",
            hint="Sign the next one: `strongroom policy sign --help`.",
        )
    asked = {
        index: partial(hand_over_policies, deployment, custodian)
        for index, custodian in deployment.custodians.items()
    }
    followed: list[int] = []
    absent = dict(deployment.absent_custodians)
    for index, answer in deployment.asking.each(asked):
        try:
            answer.result()
            followed.append(index)
        except StrongroomError as err:
            absent[index] = err
    return Followed(sorted(followed), dict(sorted(absent.items())), deployment.roster)


def _wish(before: Acts.Policy, after: Acts.Policy) -> Wish:
    order = canonical.dumps({"procedure": "policy-change", "policy": after.id}).decode()
    params: dict[str, str | int] = {"policy": after.id, "version": after.version}
    plan = Plan.of(*tell_change(before, after))
    return Wish(Acts.Procedure.POLICY_CHANGE, params, plan, order)


def _rule(rule: Acts.Rule) -> str:
    hours = rule.delay.total_seconds() / 3600
    return f"{rule.approvals} must approve, {f'then {hours:g} h' if hours else 'at once'}"
