"""Acts: what other rooms may know of asking, approving and granting (procedure-v1)."""

from typing import TypeAlias

from strongroom.quorum.approval import Approval
from strongroom.quorum.deed import Deed
from strongroom.quorum.erasure import Erasure
from strongroom.quorum.grant import Grant, Proven
from strongroom.quorum.order import Order
from strongroom.quorum.policy_change import PolicyChange
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.redealing import Redealing
from strongroom.quorum.refusals import (
    LogMoved,
    NoPolicy,
    NotRecovered,
    OtherLog,
    OtherPolicy,
    Unheard,
)
from strongroom.quorum.release import ReleaseRequest
from strongroom.quorum.request import ActRequest, Wanted, recovery_params
from strongroom.quorum.team_policy import Rule, TeamPolicy


class Acts:
    """The door to what is said of an act before it is done; each name has its own page of code."""

    Approval: TypeAlias = Approval
    Deed: TypeAlias = Deed
    Erasure: TypeAlias = Erasure
    Grant: TypeAlias = Grant
    Order: TypeAlias = Order
    Policy: TypeAlias = TeamPolicy
    PolicyChange: TypeAlias = PolicyChange
    Procedure: TypeAlias = Procedure
    Proven: TypeAlias = Proven
    Redealing: TypeAlias = Redealing
    ReleaseRequest: TypeAlias = ReleaseRequest
    Request: TypeAlias = ActRequest
    Rule: TypeAlias = Rule
    Wanted: TypeAlias = Wanted
    LogMoved: TypeAlias = LogMoved
    NoPolicy: TypeAlias = NoPolicy
    NotRecovered: TypeAlias = NotRecovered
    OtherLog: TypeAlias = OtherLog
    OtherPolicy: TypeAlias = OtherPolicy
    Unheard: TypeAlias = Unheard
    recovery_params = staticmethod(recovery_params)
