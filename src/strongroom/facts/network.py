"""What was found of the ways between our own processes."""

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
)
