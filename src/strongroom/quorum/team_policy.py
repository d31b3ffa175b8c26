"""The team policy: who approves what, how many of them, after which delay; custodians pin it.

What counts as approved is decided here, from the request, the approvals and the policy alone, so
that a custodian, the runner and a stranger come to the same answer. Normative page:
docs/formats/procedure-v1.md.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, ClassVar, Final, Literal, cast

from strongroom.clock import format_instant
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, sign_envelope
from strongroom.errors import Damaged
from strongroom.ids import InstallId
from strongroom.quorum.approval import APPROVALS_MAX, Approval
from strongroom.quorum.client_key import SERIAL_MAX
from strongroom.quorum.fields import Fields
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.refusals import (
    ForgedApproval,
    NotAnApprover,
    NotApproved,
    OtherRequest,
    Vetoed,
)
from strongroom.quorum.request import FORMAT, ActRequest
from strongroom.quorum.shares import COUNT_MAX

KIND: Final = "policy"
APPROVERS_MAX: Final = 32
DELAY_MAX: Final = timedelta(days=30)
DAY: Final = timedelta(days=1)
AT_ONCE: Final = timedelta()
_READING: Final = frozenset({Procedure.RESTORE, Procedure.BROWSE, Procedure.DRILL_AUTHORISATION})
Mode = Literal["single", "team"]


@dataclass(frozen=True, slots=True)
class Rule:
    """How many must approve a procedure, and how long it then waits for a veto."""

    approvals: int
    delay: timedelta


@dataclass(frozen=True, slots=True)
class TeamPolicy:
    """A signed policy; `id` is its object hash in hexadecimal. `approvers` are keys by id."""

    id: str
    install: InstallId
    version: int
    previous: str | None
    mode: Mode
    cosignatures: int
    signer: bytes
    approvers: Mapping[str, bytes]
    rules: Mapping[Procedure, Rule]
    created_at: datetime

    DAY: ClassVar[timedelta] = DAY
    DELAY_MAX: ClassVar[timedelta] = DELAY_MAX

    @dataclass(frozen=True, slots=True)
    class Draft:
        """What a policy is to say; `previous` is the one that it follows."""

        install: InstallId
        mode: Mode
        cosignatures: int
        approvers: Iterable[bytes]
        rules: Mapping[Procedure, Rule]
        previous: "TeamPolicy | None" = None
        version: int = 1

    @staticmethod
    def single_rules(delay: timedelta = DAY) -> dict[Procedure, Rule]:
        """Return what holds where one person approves: what only reads own data waits for nothing.

        A disaster is no time to wait, so neither does a recovery.
        """
        at_once = _READING | {Procedure.RECOVERY}
        return {one: Rule(1, AT_ONCE if one in at_once else delay) for one in Procedure}

    @staticmethod
    def team_rules(approvals: int, delay: timedelta = DAY) -> dict[Procedure, Rule]:
        """Return what holds where so many approve: what does not only read waits."""
        return {one: Rule(approvals, AT_ONCE if one in _READING else delay) for one in Procedure}

    @staticmethod
    def sign(seed: bytes, draft: Draft, at: datetime) -> Envelope:
        """Return the policy as a signed object; what it says is read back before it leaves."""
        keys = {signing.key_id(key): key for key in draft.approvers}
        previous = draft.previous
        fields: dict[str, Any] = {
            "format": FORMAT,
            "install": draft.install,
            "version": draft.version if previous is None else previous.version + 1,
            "previous": None if previous is None else previous.id,
            "mode": draft.mode,
            "cosignatures": draft.cosignatures,
            "signer": signing.public_key(seed).hex(),
            "approvers": [{"id": one, "key": keys[one].hex()} for one in sorted(keys)],
            "rules": {
                str(one): {
                    "approvals": rule.approvals,
                    "delay_seconds": int(rule.delay.total_seconds()),
                }
                for one, rule in draft.rules.items()
            },
            "created_at": format_instant(at),
        }
        envelope = sign_envelope(seed, KIND, fields)
        TeamPolicy.parse(envelope)
        return envelope

    @classmethod
    def parse(cls, envelope: Envelope) -> "TeamPolicy":
        """Return the policy after checking that the signer it names signed it.

        Whether that one may sign a policy is for whoever pins it to say.
        """
        fields = Fields(envelope.statement.fields(KIND), "a policy")
        fields.exact("format", FORMAT)
        policy = cls(
            id=envelope.statement.hash.hex(),
            install=InstallId(fields.id("install")),
            version=fields.number("version", 1, SERIAL_MAX),
            previous=_previous(fields),
            mode=cast("Mode", fields.choice("mode", "single", "team")),
            cosignatures=fields.number("cosignatures", 1, COUNT_MAX),
            signer=fields.key("signer"),
            approvers=_approvers(fields),
            rules=_rules(fields.take("rules")),
            created_at=fields.instant("created_at"),
        )
        fields.done()
        if envelope.body:
            raise fields.refuse("it has a body")
        if policy.mode == "single" and len(policy.approvers) != 1:
            raise fields.refuse("mode single has one approver")
        if policy.version == 1 and policy.previous is not None:
            raise fields.refuse("the first version follows no other")
        if max(rule.approvals for rule in policy.rules.values()) > len(policy.approvers):
            raise fields.refuse(f"a rule wants more approvals than {len(policy.approvers)}")
        envelope.statement.verify(policy.signer, "the policy")
        return policy

    def check_approved(
        self, request: ActRequest, approvals: Sequence[Envelope]
    ) -> tuple[Approval, ...]:
        """Return the approvals that count, once they are enough for the request under this policy.

        Raises ForgedApproval, OtherRequest, NotAnApprover, Vetoed or NotApproved. A veto counts
        before anything that is missing.
        """
        given = self.check_given(request, approvals)
        refused = [one for one in given if one.decision == "refuse"]
        if refused:
            raise Vetoed(f"request {request.request[:8]} is refused", f"by {_names(refused)}")
        counted = tuple(
            one for one in given if self.mode == "single" or one.approver != request.requester
        )
        needed = self.rules[request.procedure].approvals
        if len(counted) < needed:
            raise NotApproved(
                f"request {request.request[:8]} is not approved",
                f"{len(counted)} of {needed} approvals that count"
                + ("" if len(counted) == len(given) else "; the requester's does not"),
            )
        return counted

    def check_given(
        self, request: ActRequest, approvals: Sequence[Envelope]
    ) -> tuple[Approval, ...]:
        """Return what approvers said of this request, each once, each with a good signature."""
        if len(approvals) > APPROVALS_MAX:
            raise Damaged("the approvals are malformed", f"over {APPROVALS_MAX} of them")
        given = tuple(self._given(request, one) for one in approvals)
        if not all(left.approver < right.approver for left, right in pairwise(given)):
            raise Damaged("the approvals are malformed", "not one of each approver, in order")
        return given

    def _given(self, request: ActRequest, envelope: Envelope) -> Approval:
        approval = Approval.read(envelope)
        name = f"the approval of {approval.approver[:8]}"
        if (approval.install, approval.request) != (request.install, request.digest):
            raise OtherRequest(
                f"{name} is not of request {request.request[:8]}", "it signs another digest"
            )
        key = self.approvers.get(approval.approver)
        if key is None:
            raise NotAnApprover(f"{name} does not count", "the policy does not name its key")
        try:
            return Approval.parse(envelope, key)
        except Damaged as err:
            raise ForgedApproval(f"{name} is forged", err.why) from err


def _names(approvals: Sequence[Approval]) -> str:
    return ", ".join(f"approver {one.approver[:8]}" for one in approvals)


def _previous(fields: Fields) -> str | None:
    value = fields.take("previous")
    return None if value is None else Fields({"previous": value}, fields.what).hash("previous")


def _approvers(fields: Fields) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    listed = fields.list("approvers", APPROVERS_MAX)
    for raw in listed:
        one = Fields(raw, "an approver of a policy")
        name, key = one.id("id"), one.key("key")
        one.done()
        if signing.key_id(key) != name:
            raise one.refuse("its id is not that of its key")
        keys[name] = key
    if not keys or len(keys) < len(listed) or list(keys) != sorted(keys):
        raise fields.refuse("approvers must be one or more, sorted and distinct")
    return keys


def _rules(raw: object) -> dict[Procedure, Rule]:
    fields = Fields(raw, "the rules of a policy")
    rules: dict[Procedure, Rule] = {}
    for procedure in Procedure:
        one = Fields(fields.take(str(procedure)), f"the rule for {procedure}")
        rules[procedure] = Rule(
            one.number("approvals", 1, APPROVERS_MAX),
            timedelta(seconds=one.number("delay_seconds", 0, int(DELAY_MAX.total_seconds()))),
        )
        one.done()
    fields.done()
    return rules
