"""Why a custodian refuses an act, each reason with a code of its own.

Whoever asks, a test of an attack too, tells them apart by the code and never by the words. The
codes travel; they are never used again for another reason.
"""

from strongroom.errors import Refused


class NoPolicy(Refused):
    """A custodian that has pinned no team policy yet."""

    code = "no_policy"


class OtherPolicy(Refused):
    """A policy, or a request under one, that is not the one that is pinned."""

    code = "other_policy"
    hint = "Ask again: a request is judged by the policy that the custodians have pinned."


class ForgedApproval(Refused):
    """An approval whose signature its approver did not make."""

    code = "forged_approval"
    hint = "Somebody tries to have keys opened that nobody approved. Find out who."


class OtherRequest(Refused):
    """An approval of another request: the same with one parameter changed is another one."""

    code = "other_request"


class NotAnApprover(Refused):
    """An approval of somebody whom the policy does not name."""

    code = "not_an_approver"


class NotApproved(Refused):
    """Too few approvals."""

    code = "not_approved"
    hint = "`strongroom procedure show` tells who has approved and how many are needed."


class Vetoed(Refused):
    """An approver has refused; no approval outweighs that."""

    code = "vetoed"
    hint = "Talk to who refused. What is still wanted is asked for again, as a new request."
