"""What happens to a snapshot while it is made."""

from typing import Final

from strongroom.facts.kinds import COMMITMENT, COUNT, HASH, ID, many
from strongroom.facts.op import Op

_CLIENT: Final = ("client", ID)

OPS: Final = (
    Op(
        "backup.written",
        "B",
        "create",
        "A snapshot's record is durable in the home. `facts` commits, source by source, to the "
        "facts to restore by; where they are too many for a list, `facts_hash` does to all.",
        _CLIENT,
        must={"snapshot": HASH, "sessions": COUNT},
        may={"facts": many(COMMITMENT), "facts_hash": HASH},
    ),
    Op(
        "snapshot.good",
        "B",
        "update",
        "Enough custodians have signed for a snapshot.",
        _CLIENT,
        must={"snapshot": HASH, "receipts": COUNT},
    ),
)
