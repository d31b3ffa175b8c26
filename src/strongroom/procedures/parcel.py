"""A request as it travels to an approver, in one file: the request, its plan, its policy.

It holds nothing secret and need not be signed: what an approver signs is the digest of the request,
the request names plan and policy by hash, and both sides compare six words. Pure. Format:
docs/formats/request-file-v1.md.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import ClassVar, Final

from strongroom.crypto import canonical
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged
from strongroom.procedures.plan import Plan
from strongroom.quorum import Acts

PARCEL_BYTES_MAX: Final = 512 << 10
FORMAT: Final = "request-file-v1"
_HINT: Final = "Name the file that `strongroom procedure show ID --to FILE` wrote."


@dataclass(frozen=True, slots=True)
class Parcel:
    """What an approver gets to see, and signs the digest of."""

    BYTES_MAX: ClassVar[int] = PARCEL_BYTES_MAX

    request: Acts.Request
    plan: Plan
    policy: Envelope

    def __post_init__(self) -> None:
        """Raise Damaged unless the request is of this policy and this plan."""
        policy = self.rules()
        if (self.request.policy, self.request.install) != (policy.id, policy.install):
            raise _refuse("the request is judged by another policy")
        if self.request.plan != self.plan.digest:
            raise _refuse("the plan is not the one that is asked for")

    def encode(self) -> bytes:
        """Return the bytes of the file."""
        fields = {
            "format": FORMAT,
            "request": base64.b64encode(self.request.encode()).decode(),
            "policy": base64.b64encode(self.policy.encode()).decode(),
            "plan": list(self.plan.lines),
        }
        return canonical.dumps(fields)

    @classmethod
    def parse(cls, data: bytes) -> "Parcel":
        """Read what `encode` wrote; raises Damaged unless its parts belong together."""
        raw = _object(data)
        if raw.keys() != {"format", "request", "policy", "plan"} or raw["format"] != FORMAT:
            raise _refuse("its fields are not those of one")
        lines = raw["plan"]
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise _refuse("its plan is no list of lines")
        return cls(
            Acts.Request.parse(_bytes(raw["request"])),
            Plan(tuple(lines)),
            decode_envelope(_bytes(raw["policy"]), "the policy of a request"),
        )

    def rules(self) -> Acts.Policy:
        """Return the policy that the request is judged by."""
        return Acts.Policy.parse(self.policy)


def _object(data: bytes) -> dict[str, object]:
    if len(data) > PARCEL_BYTES_MAX:
        raise _refuse(f"it is over {PARCEL_BYTES_MAX} bytes")
    try:
        raw = canonical.loads(data)
    except (ValueError, RecursionError) as err:
        raise _refuse("it is not canonical JSON") from err
    if not isinstance(raw, dict):
        raise _refuse("it is no object")
    return raw


def _bytes(value: object) -> bytes:
    try:
        data = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError) as err:
        raise _refuse("a part is not base64") from err
    if not data or base64.b64encode(data).decode() != value:
        raise _refuse("a part is not base64")
    return data


def _refuse(why: str) -> Damaged:
    return Damaged("this is no request to approve", why, _HINT)
