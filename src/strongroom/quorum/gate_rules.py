"""What a custodian decides about policies, without a database: which one it pins.

Each refusal is an error of its own (`refusals`). A custodian elsewhere runs these same rules.
Normative page: docs/formats/procedure-v1.md.
"""

from strongroom.errors import Refused
from strongroom.quorum.refusals import OtherPolicy
from strongroom.quorum.roster import Member, Roster
from strongroom.quorum.team_policy import TeamPolicy


def check_first_policy(member: Member, roster: Roster, policy: TeamPolicy) -> None:
    """Raise OtherPolicy unless the roster's operator signed this policy as the first one."""
    _check_fits(member, roster, policy)
    if (policy.version, policy.previous) != (1, None):
        raise _other(member, policy, "no policy is pinned, and it is not the first")
    if policy.signer != roster.operator:
        raise _other(member, policy, "the roster's operator did not sign it")


def check_given_policy(member: Member, roster: Roster, policy: TeamPolicy) -> None:
    """Raise OtherPolicy unless who holds this custodian's kit may give it this policy."""
    _check_fits(member, roster, policy)


def _check_fits(member: Member, roster: Roster, policy: TeamPolicy) -> None:
    if policy.install != roster.install:
        raise _other(member, policy, "it is of another install")
    if not roster.threshold <= policy.cosignatures <= len(roster.members):
        raise _other(
            member,
            policy,
            f"it wants {policy.cosignatures} cosignatures: from {roster.threshold}, which open a "
            f"key, to {len(roster.members)} are allowed",
        )


def _other(member: Member, policy: TeamPolicy, why: str) -> Refused:
    return OtherPolicy(f"{member} refuses policy version {policy.version}", why)
