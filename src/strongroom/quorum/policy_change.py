"""A change of policy: what lets a stranger see that a policy was approved by the one before it.

A policy shows who signed it, and any one approver can sign one. That it was approved is in the
request, the approvals and the deeds of the custodians that followed, which lie beside the policy.
Normative page: docs/formats/procedure-v1.md.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.crypto.framing import frame, unframe
from strongroom.errors import Damaged
from strongroom.quorum.approval import APPROVALS_MAX
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.refusals import NotApproved, OtherPolicy
from strongroom.quorum.request import PROTOCOL, ActRequest
from strongroom.quorum.roster import Roster
from strongroom.quorum.shares import COUNT_MAX
from strongroom.quorum.team_policy import TeamPolicy

CHANGE_BYTES_MAX: Final = 256 << 10
_ROLE: Final = f"{PROTOCOL}policy-change".encode()
_PARTS: Final = 4


@dataclass(frozen=True, slots=True)
class PolicyChange:
    """The request for a policy, who approved it, and the custodians' word that they followed."""

    request: ActRequest
    approvals: tuple[Envelope, ...]
    deeds: tuple[Envelope, ...]

    def encode(self) -> bytes:
        """Return the change as it lies beside its policy, and travels."""
        return frame(_ROLE, self.request.encode(), _listed(self.approvals), _listed(self.deeds))

    @classmethod
    def decode(cls, data: bytes) -> "PolicyChange":
        """Read what `encode` wrote; every limit holds before a signature is looked at."""
        if len(data) > CHANGE_BYTES_MAX:
            raise _malformed(f"over {CHANGE_BYTES_MAX} bytes")
        parts = _parts(data, _PARTS)
        if len(parts) != _PARTS or parts[0] != _ROLE:
            raise _malformed("its parts are not those of one")
        _, request, approvals, deeds = parts
        return cls(
            ActRequest.parse(request),
            tuple(decode_envelope(one, "an approval") for one in _parts(approvals, APPROVALS_MAX)),
            tuple(decode_envelope(one, "a deed") for one in _parts(deeds, COUNT_MAX)),
        )

    def check_limits(self) -> None:
        """Raise Damaged where a change that did not travel is one that could not."""
        if len(self.approvals) > APPROVALS_MAX or len(self.deeds) > COUNT_MAX:
            raise _malformed("one of its lists is too long")
        if len(self.encode()) > CHANGE_BYTES_MAX:
            raise _malformed(f"over {CHANGE_BYTES_MAX} bytes")

    def check(self, before: TeamPolicy, after: TeamPolicy) -> None:
        """Raise unless it shows that `after` follows `before`, approved as that one says.

        Raises OtherPolicy where it does not follow, NotApproved for a change to something else, and
        what `TeamPolicy.check_approved` raises.
        """
        self.check_limits()
        what = f"policy {after.id[:12]} is none that holds"
        if (after.install, after.previous, after.version) != (
            before.install,
            before.id,
            before.version + 1,
        ):
            raise OtherPolicy(what, f"it does not follow version {before.version}")
        if after.signer not in before.approvers.values():
            raise OtherPolicy(what, f"no approver of version {before.version} signed it")
        request = self.request
        wanted = {"policy": after.id, "version": after.version}
        if (request.install, request.procedure, request.policy, request.params) != (
            after.install,
            Procedure.POLICY_CHANGE,
            before.id,
            wanted,
        ):
            raise NotApproved(what, "something else was asked for and approved")
        before.check_approved(request, self.approvals)

    def followers(self, roster: Roster, after: TeamPolicy) -> frozenset[int]:
        """Return the index of each member who signed for following `after` by this request.

        The deed of somebody whom the roster does not know, or whose signature is none, counts for
        nothing. By which of the approvals each has done it does not matter: one may come later.
        """
        found = set()
        for envelope in self.deeds:
            with suppress(Damaged):
                deed = roster.check_deed(envelope, self.request)
                if deed.told == {"policy": after.id, "version": after.version}:
                    found.add(deed.index)
        return frozenset(found)


def _listed(envelopes: Sequence[Envelope]) -> bytes:
    return frame(*(one.encode() for one in envelopes)) if envelopes else b""


def _parts(data: bytes, most: int) -> list[bytes]:
    try:
        return unframe(data, most)
    except ValueError as err:
        raise _malformed(str(err)) from err


def _malformed(why: str) -> Damaged:
    return Damaged("a change of policy is malformed", why)
