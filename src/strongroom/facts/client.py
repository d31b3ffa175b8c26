"""What happens to a client and to its writer."""

from typing import Final

from strongroom.facts.kinds import CLASS, COUNT, FLAG, ID, KEEP, PUBLIC_KEY, many
from strongroom.facts.op import Op

_CLIENT: Final = ("client", ID)

OPS: Final = (
    Op(
        "client.added",
        "B",
        "create",
        "A client has a vault, and a key at every custodian.",
        _CLIENT,
        must={"vault": ID, "vault_class": CLASS},
        may={"parity": COUNT},
        private=frozenset({"name"}),
    ),
    Op(
        "client.keep_set",
        "A",
        "update",
        "What is kept of a client follows another policy.",
        _CLIENT,
        must={"before": KEEP, "after": KEEP},
    ),
    Op(
        "client.recovered",
        "B",
        "create",
        "A client was rebuilt from the locations, with so many good snapshots.",
        _CLIENT,
        must={"snapshots": COUNT},
        private=frozenset({"name"}),
    ),
    Op(
        "client.erased",
        "A",
        "delete",
        "These custodians, by their index, have signed that they destroyed their keys of a client; "
        "`whole` tells whether all have.",
        _CLIENT,
        must={"request": ID, "custodians": many(COUNT), "whole": FLAG},
    ),
    Op(
        "client.cleared",
        "A",
        "delete",
        "What lay at the locations of an erased client was deleted: so many copies of sealed "
        "`exports` of its keys, so many `objects` with them; `left` exports are still there.",
        _CLIENT,
        must={"exports": COUNT, "objects": COUNT, "left": COUNT},
    ),
    Op(
        "client.exports_cleared",
        "A",
        "delete",
        "What held keys that a custodian has destroyed was deleted: so many copies of sealed "
        "`exports` over all locations; `left` are still there.",
        _CLIENT,
        must={"exports": COUNT, "left": COUNT},
    ),
    Op(
        "writer.enrolled",
        "A",
        "create",
        "The custodians have pinned this home's writer of a client.",
        _CLIENT,
        must={"writer": PUBLIC_KEY},
    ),
)
