"""What is done with a vault without reading what is in it."""

from typing import Final

from strongroom.facts.kinds import ANSWER, COUNT, FLAG, HASH, ID, many
from strongroom.facts.op import Op

_CLIENT: Final = ("client", ID)

OPS: Final = (
    Op(
        "session.redealt",
        "A",
        "update",
        "A session was dealt anew, by order of this request, to this version of the roster: its "
        "keys object is now the one of this hash, and these custodians have `signed` for it. The "
        "process that dealt it saw its key.",
        ("session", ID),
        must={"request": ID, "version": COUNT, "keys": HASH, "signed": many(COUNT)},
    ),
    Op(
        "vault.checked",
        "C",
        "read",
        "`vault check` has compared what the locations hold with what they should, and tried "
        "at which the worker could overwrite or delete.",
        _CLIENT,
        must={
            "objects": COUNT,
            "problems": COUNT,
            "read_data": FLAG,
            "overwritten_at": many(ID),
            "deleted_at": many(ID),
            "kept_at": many(ID),
            "every_copy_destroyable": ANSWER,
        },
    ),
    Op(
        "vault.scrubbed",
        "C",
        "read",
        "`vault scrub` has read a share of the copies at these locations again.",
        _CLIENT,
        must={
            "objects": COUNT,
            "bytes": COUNT,
            "share": COUNT,
            "locations": many(ID),
            "absent": many(ID),
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
        "vault.objects_lost",
        "B",
        "detect",
        "No location has these packs or keys objects any more; what needs them cannot be restored.",
        _CLIENT,
        must={"packs": COUNT, "keys": COUNT},
    ),
)
