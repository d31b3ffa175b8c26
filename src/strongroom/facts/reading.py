"""What is read of what a client keeps. Where somebody looked is in no fact; how much, is."""

from typing import Final

from strongroom.facts.kinds import COUNT, HASH, ID, many, one_of
from strongroom.facts.op import Op

_CLIENT: Final = ("client", ID)

OPS: Final = (
    Op(
        "keys.asked",
        "A",
        "read",
        "The custodians are asked for the keys of a snapshot, all that it depends on: before there "
        "were intents.",
        _CLIENT,
        must={"snapshot": HASH, "request": ID},
    ),
    Op(
        "keys.opened",
        "A",
        "read",
        "The keys of a snapshot, all that it depends on: announced, then enough custodians "
        "answered. The others, by their index, were absent or refused, or answered with something "
        "else.",
        _CLIENT,
        must={"snapshot": HASH, "request": ID},
        may={"absent": many(COUNT), "altered": many(COUNT)},
    ),
    Op(
        "keys.opened",
        "A",
        "read",
        "The keys of a snapshot, all that it depends on: asked for by a procedure, approved, "
        "announced with `grant`, the digest of both, then enough custodians answered; or, where "
        "fewer did, those that were away from a recovery and are shown it, which opens nothing. "
        "The others, by their index, were absent or refused, or answered with something else. "
        "`approved` tells how: by several, by one person with a passphrase, or by the key file "
        "alone.",
        _CLIENT,
        must={
            "snapshot": HASH,
            "request": ID,
            "grant": HASH,
            "procedure": one_of("restore", "browse", "recovery"),
            "approved": one_of("team", "single", "unattended"),
        },
        may={"absent": many(COUNT), "altered": many(COUNT)},
        version=2,
    ),
    Op(
        "restore.done",
        "A",
        "read",
        "Sources were restored from a snapshot; `chosen` counts what was chosen of them.",
        _CLIENT,
        must={"snapshot": HASH, "sources": COUNT, "chosen": COUNT},
        private=frozenset({"to"}),
    ),
    Op(
        "browse.done",
        "A",
        "read",
        "What a snapshot holds was listed.",
        _CLIENT,
        must={"snapshot": HASH, "rows": COUNT},
    ),
    Op(
        "diff.done",
        "A",
        "read",
        "Two snapshots were compared.",
        _CLIENT,
        must={"snapshot": HASH, "other": HASH, "differences": COUNT},
    ),
)
