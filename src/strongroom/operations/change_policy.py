"""Changing the team policy: one approver signs the next one, others approve it, custodians follow.

The policy that follows names the one before it, so nobody can leave one out. It counts for a
custodian once that one has judged the order; the home follows as soon as so many custodians do as
open a key, and goes on telling the others. docs/formats/procedure-v1.md.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from strongroom.crypto import canonical, signing
from strongroom.crypto.envelope import Envelope
from strongroom.errors import Refused, StrongroomError, UsageError
from strongroom.operations.deployment import Deployment
from strongroom.operations.intent import announced
from strongroom.operations.orders import Orders, give_order, kept_deeds
from strongroom.operations.placing import policy_path
from strongroom.operations.policies import (
    Team,
    current_policy,
    keep_policy,
    kept_policies,
    kept_policy,
)
from strongroom.operations.requesting import Permit, Wish, permitted
from strongroom.operations.witnessing import OpenLog
from strongroom.procedures import Act, Plan
from strongroom.quorum import Acts

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


def change_policy(deployment: Deployment, envelope: Envelope | None = None) -> Orders:
    """Ask for another policy, or go on: have custodians follow it, keep it, and place it.

    Without one, or with the one that holds already, those custodians are told that do not follow
    yet. Raises Waiting until it is approved and its delay has passed; PartlyDone comes from
    `check_complete` of what this returns.
    """
    current = current_policy(deployment)
    policy = current if envelope is None else Acts.Policy.parse(envelope)
    if envelope is None or policy.id == current.id:
        return _tell_again(deployment, current)
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
    with permitted(deployment, None, _wish(current, policy)) as permit:
        orders = give_order(deployment, permit, [envelope])
        if len(orders.deeds) < deployment.roster.threshold:
            # The home stays with those custodians that can open something.
            orders.check_complete("the team policy is changed")
        keep_policy(deployment.registry, deployment.session, envelope)
    deployment.copies.put(policy_path(deployment.install, envelope), envelope.encode())
    return orders


def behind(deployment: Deployment) -> list[int]:
    """Return the index of each custodian that has not followed to the newest policy yet."""
    kept = kept_policy(deployment.registry)
    act = None if kept is None else _act_of(deployment, Acts.Policy.parse(kept))
    if act is None:
        return []
    deeds = kept_deeds(deployment, act.request)
    # Who took a seat since was shown every policy when it did.
    were = [one for one in deployment.rosters.rosters if one.created_at <= act.asked_at][-1:]
    return [
        one.index
        for one in deployment.roster.members
        if one.index not in deeds and all(one in roster.members for roster in were)
    ]


def _tell_again(deployment: Deployment, policy: Acts.Policy) -> Orders:
    """Tell those custodians of a change that holds already who do not follow it yet."""
    act = _act_of(deployment, policy)
    if act is None:
        raise UsageError(
            f"policy version {policy.version} holds already",
            "nothing that was approved here made it",
            hint="Sign the next one: `strongroom policy sign --help`.",
        )
    late = behind(deployment)
    if not late:
        return Orders(kept_deeds(deployment, act.request), {}, deployment.roster)
    digest = act.request.digest
    grant = Acts.Grant.digest(act.request, act.given)
    told = {"procedure": str(act.request.procedure), "digest": digest, "grant": grant}
    intent = deployment.intent("procedure.run", act.id, private=None, client="", **told)
    envelope = kept_policies(deployment.registry)[-1]
    absent: dict[int, StrongroomError] = {}
    with announced(deployment, OpenLog.of_server(deployment), intent, witnessed=False) as outcome:
        permit = Permit(act.request, act.given, b"", intent)
        for index in late:
            absent |= give_order(deployment, permit, [envelope], index).absent
        outcome.update(told)
    return Orders(kept_deeds(deployment, act.request), absent, deployment.roster)


def _act_of(deployment: Deployment, policy: Acts.Policy) -> Act | None:
    """Return the act by which custodians were told to follow a policy; None for the first one."""
    found = [
        act
        for act in deployment.desk.acts()
        if act.request.params.get("policy") == policy.id and deployment.desk.deeds(act.id)
    ]
    return found[-1] if found else None


def _wish(before: Acts.Policy, after: Acts.Policy) -> Wish:
    order = canonical.dumps({"procedure": "policy-change", "policy": after.id}).decode()
    params: dict[str, str | int] = {"policy": after.id, "version": after.version}
    plan = Plan.of(*tell_change(before, after))
    return Wish(Acts.Procedure.POLICY_CHANGE, params, plan, order)


def _rule(rule: Acts.Rule) -> str:
    hours = rule.delay.total_seconds() / 3600
    return f"{rule.approvals} must approve, {f'then {hours:g} h' if hours else 'at once'}"
