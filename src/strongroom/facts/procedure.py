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
        "An approver has signed a request; `enough` tells whether it is approved with that, and "
        "`approved` that one person decides here, by a key that the key file alone opens where it "
        "says `unattended`.",
        _REQUEST,
        must={"approver": ID, "digest": HASH, "counted": COUNT, "enough": FLAG},
        may={"approved": one_of("single", "unattended")},
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
        "procedure.ended",
        "B",
        "update",
        "What was asked for can never be done as it was: the log that was to announce it began "
        "anew, or another policy or roster holds. The same command asks again.",
        _REQUEST,
        must={"digest": HASH, "cause": one_of("other_log", "other_policy", "other_roster")},
    ),
    Op(
        "procedure.run",
        "A",
        "update",
        "What was approved is done: announced, then how it ended. `grant` is of the request with "
        "its approvals, and is what custodians look for.",
        _REQUEST,
        must={"procedure": PROCEDURE, "digest": HASH},
        may={"grant": HASH},
    ),
    Op(
        "procedure.obeyed",
        "B",
        "update",
        "A custodian has signed a deed: it did what was approved. The home keeps the deed, named "
        "by its hash.",
        _REQUEST,
        must={"custodian": ID, "deed": HASH},
    ),
)
