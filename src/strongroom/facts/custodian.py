"""What a custodian does, in its own journal; it signs for each of these."""

from typing import Final

from strongroom.facts.kinds import COUNT, HASH, ID
from strongroom.facts.op import Op

_CLIENT: Final = ("client", ID)

OPS: Final = (
    Op(
        "roster.adopted",
        "A",
        "update",
        "A custodian has pinned a roster.",
        ("roster", HASH),
        must={"version": COUNT},
    ),
    Op(
        "client.enrolled",
        "B",
        "create",
        "A custodian has made its key for a client, and pinned vault and writer.",
        _CLIENT,
        must={"vault": ID},
    ),
    Op(
        "writer.succeeded",
        "A",
        "update",
        "A custodian has pinned a new writer of a client and revoked the others.",
        _CLIENT,
        must={"writer": ID},
    ),
    Op(
        "writers.adopted",
        "A",
        "update",
        "A custodian has learnt which writers others pinned while it was away.",
        _CLIENT,
        must={"count": COUNT},
    ),
    Op(
        "snapshot.receipted",
        "B",
        "create",
        "A custodian has signed for a snapshot.",
        ("snapshot", HASH),
        must={"vault": ID, "sequence": COUNT},
    ),
    Op(
        "share.released",
        "A",
        "read",
        "A custodian has journalled its answer to a request; then it left.",
        ("request", ID),
        must={"snapshot": HASH, "sessions": COUNT},
    ),
    Op(
        "kit.confirmed",
        "A",
        "update",
        "Somebody has typed words of a kit; its words were wiped.",
        ("custodian", ID),
    ),
)
