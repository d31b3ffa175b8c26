"""What is deleted: announced, begun, done."""

from typing import Final

from strongroom.facts.kinds import COUNT, HASH, ID
from strongroom.facts.op import Op

_CLIENT: Final = ("client", ID)

OPS: Final = (
    Op(
        "prune.planned",
        "A",
        "delete",
        "A tombstone announces what goes after the wait.",
        _CLIENT,
        must={"tomb": HASH, "snapshots": COUNT, "objects": COUNT, "bytes": COUNT},
    ),
    Op(
        "prune.begun",
        "A",
        "delete",
        "The snapshots of a tombstone cannot be restored from here on.",
        _CLIENT,
        must={"tomb": HASH},
    ),
    Op(
        "prune.done",
        "A",
        "delete",
        "Objects were deleted, or a location did not let them go.",
        _CLIENT,
        must={"objects": COUNT, "bytes": COUNT, "retained": COUNT, "rescued": COUNT},
    ),
)
