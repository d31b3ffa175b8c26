"""Acts: what other rooms may know of asking, approving and granting (procedure-v1)."""

from typing import TypeAlias

from strongroom.quorum.approval import Approval
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.request import ActRequest, Wanted
from strongroom.quorum.team_policy import Rule, TeamPolicy


class Acts:
    """The door to what is said of an act before it is done; each name has its own page of code."""

    Approval: TypeAlias = Approval
    Policy: TypeAlias = TeamPolicy
    Procedure: TypeAlias = Procedure
    Request: TypeAlias = ActRequest
    Rule: TypeAlias = Rule
    Wanted: TypeAlias = Wanted
