"""Every parser of requests, approvals and policies; `parsers` holds them in its table.

What is signed is signed anew around the mutated bytes, by a key that the reader believes.
"""

import json
from collections.abc import Callable
from dataclasses import replace

from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, Statement
from strongroom.crypto.hashing import content_hash
from strongroom.ids import ClientId
from strongroom.procedures.device import Device
from strongroom.procedures.parcel import Parcel
from strongroom.quorum.approval import Approval
from strongroom.quorum.deed import Deed
from strongroom.quorum.erasure import Erasure
from strongroom.quorum.grant import Grant
from strongroom.quorum.hearing import Hearing
from strongroom.quorum.order import Order
from strongroom.quorum.policy_change import PolicyChange
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.request import ActRequest
from strongroom.quorum.team_policy import TeamPolicy
from tests.vectors import build_device_v1, build_request_file_v1
from tests.vectors import build_procedure_v1 as vector

SEED = b"\x09" * 32
PUBLIC = signing.public_key(SEED)
FIRST = TeamPolicy.sign(vector.OPERATOR, vector.single(), vector.AT)
ASKED = vector.request(Procedure.RESTORE, TeamPolicy.parse(FIRST))
ORDER = vector.order(TeamPolicy.parse(FIRST), FIRST)
POLICY = {**FIRST.statement.fields("policy"), "signer": PUBLIC.hex(), "type": "policy"}


def act_parsers() -> dict[str, tuple[bytes, Callable[[bytes], object], bool]]:
    """Return valid bytes, what reads them, and whether they are JSON, by `module:name`."""
    parcel = bytes.fromhex(build_request_file_v1.build()["file"])
    device = build_device_v1.build()["file"].encode()
    given = Approval.sign(SEED, ASKED, "approve", vector.AT)
    return {
        "procedures.parcel:Parcel.parse": (parcel, Parcel.parse, True),
        "procedures.device:Device.parse": (
            device,
            lambda data: Device.parse(data.decode("utf-8", "replace")),
            False,
        ),
        "quorum.procedure:Procedure.parse": (
            b'{"target":"folder"}',
            lambda data: Procedure.RESTORE.parse(_value(data)),
            True,
        ),
        "quorum.request:ActRequest.parse": (ASKED.encode(), ActRequest.parse, True),
        "quorum.grant:Grant.decode": (
            replace(vector.grant(ASKED), hearings=vector.hearings(ASKED)).encode(),
            Grant.decode,
            False,
        ),
        "quorum.hearing:Hearing.parse": (
            vector.hearings(ASKED)[0].statement.header,
            lambda data: Hearing.parse(_signed(data), PUBLIC),
            True,
        ),
        "quorum.order:Order.decode": (ORDER.encode(), Order.decode, False),
        "quorum.policy_change:PolicyChange.decode": (
            vector.change(TeamPolicy.parse(FIRST), FIRST).encode(),
            PolicyChange.decode,
            False,
        ),
        "quorum.deed:Deed.read": (
            vector.deed(Procedure.POLICY_CHANGE, TeamPolicy.parse(FIRST)).statement.header,
            lambda data: Deed.read(_signed(data)),
            True,
        ),
        "quorum.erasure:Erasure.parse": (
            json.dumps(vector.DEEDS[Procedure.CLIENT_ERASURE]).encode(),
            lambda data: Erasure.parse(_value(data), ClientId("c1" * 16)),
            True,
        ),
        "quorum.approval:Approval.parse": (
            given.statement.header,
            lambda data: Approval.parse(_signed(data), PUBLIC),
            True,
        ),
        "quorum.team_policy:TeamPolicy.parse": (
            json.dumps(POLICY, sort_keys=True, separators=(",", ":")).encode(),
            lambda data: TeamPolicy.parse(_signed(data)),
            True,
        ),
    }


def _signed(header: bytes) -> Envelope:
    body_hash = content_hash(b"")
    signature = signing.sign(SEED, "strongroom/envelope-v1", header + body_hash)
    return Envelope(Statement(header, body_hash, signature), b"")


def _value(data: bytes) -> object:
    """Return a JSON value, or the text itself where it is none."""
    try:
        value: object = json.loads(data)
    except (ValueError, RecursionError):
        return data.decode("utf-8", "surrogateescape")
    return value
