"""What is asked for under a procedure, what approvers say of it, and that it was run."""

from typing import Final

from strongroom.facts.kinds import COUNT, FLAG, HASH, ID, one_of
from strongroom.facts.op import Op

_REQUEST: Final = ("request", ID)
PROCEDURE: Final = one_of(
    "restore",
    "browse",
    "prune-below-floor",
    "location-removal",
    "custodian-enrol",
    "custodian-rotate",
    "custodian-redeal",
    "client-erasure",
    "policy-change",
    "drill-authorisation",
    "recovery",
)

OPS: Final = (
    Op(
        "procedure.requested",
        "B",
        "create",
        "Somebody asks for an act under a procedure. `digest` is of the request, which is what "
        "approvers sign, and `plan` of what they read beside it.",
        _REQUEST,
        must={
            "procedure": PROCEDURE,
            "digest": HASH,
            "plan": HASH,
            "approvals": COUNT,
            "delay_seconds": COUNT,
        },
        may={"of_client": ID},
        private=frozenset({"reason"}),
    ),
    Op(
        "procedure.approved",
        "B",
        "update",
        "An approver has signed a request; `enough` tells whether it is approved with that.",
        _REQUEST,
        must={"approver": ID, "digest": HASH, "counted": COUNT, "enough": FLAG},
    ),
    Op(
        "procedure.refused",
        "B",
        "update",
        "An approver has signed that a request is refused, which is a veto.",
        _REQUEST,
        must={"approver": ID, "digest": HASH},
        private=frozenset({"reason"}),
    ),
    Op(
        "procedure.withdrawn",
        "B",
        "update",
        "What was asked for is not wanted any more.",
        _REQUEST,
        must={"digest": HASH},
        private=frozenset({"reason"}),
    ),
    Op(
        "procedure.run",
        "A",
        "update",
        "What was approved is done: announced, then how it ended.",
        _REQUEST,
        must={"procedure": PROCEDURE, "digest": HASH},
    ),
)
