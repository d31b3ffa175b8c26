"""What the custodians have pinned, compared with the team policy of this home.

A custodian that was away from a change follows the policy of before, and so does one that was made
again from its kit at a location that lacks the newest. One that follows a policy which nobody knows
here was shown one by somebody else.
"""

from dataclasses import dataclass
from typing import Final, Literal

from strongroom.errors import StrongroomError
from strongroom.operations.deployment import Deployment
from strongroom.operations.look_at_custodians import find_member
from strongroom.operations.policies import hand_over_policies, kept_policies, kept_policy
from strongroom.quorum import Acts

State = Literal["older", "newer", "unknown"]
_WHAT_TO_DO: Final[dict[State, str]] = {
    "older": "`strongroom policy change` shows it what was approved since",
    "newer": "this home does not yet: `strongroom policy change FILE` goes on with that policy",
    "unknown": "this home does not come to that one: find out with the approvers who signed it; "
    "`strongroom custodian enrol` gives its seat to another",
}


@dataclass(frozen=True, slots=True)
class Behind:
    """A custodian that answers and has pinned another policy than this home."""

    index: int
    who: str
    version: int
    state: State

    def __str__(self) -> str:
        """Say it as a sentence, with what to do."""
        return (
            f"{self.who} follows another team policy, version {self.version}, and answers nothing "
            f"that is asked for under this one; {_WHAT_TO_DO[self.state]}"
        )


def behind(deployment: Deployment) -> list[Behind]:
    """Return each custodian that answers and follows another policy than this home."""
    kept = kept_policy(deployment.registry)
    if kept is None:
        return []
    found = []
    asked = {index: custodian.pinned for index, custodian in deployment.custodians.items()}
    for index, answer in deployment.asking.each(asked):
        try:
            _, pinned = answer.result()
        except StrongroomError:
            # Who does not answer is told of as that.
            continue
        # One that has none yet is shown it when it is asked for something.
        if pinned is not None and pinned != kept:
            policy, who = Acts.Policy.parse(pinned), str(deployment.roster.member(index))
            found.append(Behind(index, who, policy.version, _state_of(deployment, policy)))
    return sorted(found, key=lambda one: one.index)


def catch_up_policies(deployment: Deployment, name: str) -> list[str]:
    """Show a custodian the policies that it was away from; say why it does not follow, if so."""
    member = find_member(deployment, name)
    custodian = deployment.custodians.get(member.index)
    if custodian is None:
        return []
    try:
        hand_over_policies(deployment, custodian)
    except StrongroomError as err:
        return [f"{member} does not follow the team policy of this home: {err}"]
    return []


def _state_of(deployment: Deployment, policy: Acts.Policy) -> State:
    """Say whether a policy is one of before, or one that this home may still come to."""
    kept = [shown.policy.id for shown in kept_policies(deployment.registry)]
    if policy.id in kept:
        return "older"
    asked = {act.request.params.get("policy") for act in deployment.desk.acts()}
    return "newer" if policy.previous == kept[-1] and policy.id in asked else "unknown"
