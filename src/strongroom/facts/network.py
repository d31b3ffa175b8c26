"""The ways between our own processes: what was found of them, and who goes them no more."""

from typing import Final

from strongroom.facts.kinds import COUNT, ID, many
from strongroom.facts.op import Op

OPS: Final = (
    Op(
        "network.probed",
        "C",
        "read",
        "`network probe` has tried, at every listener of this install, each way in that has to be "
        "closed and the one that is open. Wrong: it ended otherwise. Unknown: nobody could look.",
        ("install", ID),
        must={
            "listeners": COUNT,
            "attempts": COUNT,
            "wrong": COUNT,
            "unknown": COUNT,
            "wrong_at": many(ID),
        },
    ),
    Op(
        "network.denied",
        "B",
        "update",
        "A certificate counts no more, by its serial: it is in the deny list of this number, which "
        "every custodian takes at the next command that meets it.",
        ("certificate", ID),
        must={"number": COUNT},
        may={"custodian": ID},
    ),
)
