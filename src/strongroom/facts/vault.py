"""What is done with a vault without reading what is in it."""

from typing import Final

from strongroom.facts.kinds import ANSWER, COUNT, FLAG, ID
from strongroom.facts.op import Op

_CLIENT: Final = ("client", ID)

OPS: Final = (
    Op(
        "vault.checked",
        "C",
        "read",
        "`vault check` has compared what the locations hold with what they should. The last "
        "counts are of locations: where the worker could overwrite and delete, where it could not.",
        _CLIENT,
        must={
            "objects": COUNT,
            "problems": COUNT,
            "read_data": FLAG,
            "overwritten_at": COUNT,
            "deleted_at": COUNT,
            "kept_at": COUNT,
            "every_copy_destroyable": ANSWER,
        },
    ),
    Op(
        "vault.scrubbed",
        "C",
        "read",
        "`vault scrub` has read a share of the copies at so many locations again.",
        _CLIENT,
        must={
            "objects": COUNT,
            "bytes": COUNT,
            "share": COUNT,
            "locations": COUNT,
            "absent": COUNT,
            "problems": COUNT,
        },
    ),
    Op(
        "vault.repaired",
        "B",
        "update",
        "`vault repair` has put copies where they lacked, and good ones for damaged ones.",
        _CLIENT,
        must={"copied": COUNT, "replaced": COUNT, "left_out": COUNT},
    ),
    Op(
        "vault.packs_lost",
        "B",
        "detect",
        "No location has these packs any more; what needs them cannot be restored.",
        _CLIENT,
        must={"packs": COUNT},
    ),
)
