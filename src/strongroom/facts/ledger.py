"""What happens to the ledger itself."""

from typing import Final

from strongroom.facts.kinds import ANCHOR, COUNT, HASH, ID, many, one_of
from strongroom.facts.op import Op
from strongroom.facts.scan import LOOKS

OPS: Final = (
    Op(
        "ledger.anchored",
        "B",
        "create",
        "Where clients' logs stood when this command ended: the id of each log, how many facts it "
        "had, and the root over them.",
        ("install", ID),
        must={"logs": many(ANCHOR)},
    ),
    Op(
        "ledger.epoch_begun",
        "A",
        "create",
        "A log goes on in a new epoch, after a recovery or because its home was put back. `log`, "
        "`size` and `root` are the last checkpoint known of the old one, which `cosigned` "
        "custodians have cosigned; `lost` facts behind it were seen and are not found.",
        ("install or client", ID),
        must={"cause": one_of("recovered", "put_back"), "lost": COUNT},
        may={"log": ID, "size": COUNT, "root": HASH, "cosigned": COUNT},
    ),
    Op(
        "ledger.resumed",
        "A",
        "update",
        "A log whose home was put back has taken so many facts that the locations had of it.",
        ("install or client", ID),
        must={"facts": COUNT},
    ),
    Op(
        "ledger.secret_masked",
        "A",
        "detect",
        "What looked like a secret was kept out of a fact. Its subject is that "
        "fact, `looked_like` says what was seen.",
        ("fact", ID),
        must={"looked_like": many(one_of(*LOOKS))},
    ),
    Op(
        "ledger.erased",
        "A",
        "delete",
        "What opened the commitments of a person was deleted: so many private `values`, and who "
        "the pseudonym was. The private `basis` is why that was lawful.",
        ("person", ID),
        may={"values": COUNT},
        private=frozenset({"basis"}),
    ),
    Op(
        "ledger.expired",
        "B",
        "delete",
        "So many private `values` were older than the settings allow, and were deleted.",
        ("install", ID),
        must={"values": COUNT},
    ),
    Op(
        "ledger.reconciled",
        "B",
        "read",
        "What custodians wrote down of what they did was compared with the logs: so many journals, "
        "of so many custodians, with so many releases and receipts, and so many `findings` where "
        "they differ.",
        ("install", ID),
        must={
            "journals": COUNT,
            "custodians": COUNT,
            "releases": COUNT,
            "receipts": COUNT,
            "findings": COUNT,
        },
    ),
    Op(
        "ledger.exported",
        "B",
        "read",
        "Logs were written as folders of files that leave the home.",
        ("install", ID),
        private=frozenset({"to"}),
    ),
    Op(
        "ledger.bundled",
        "B",
        "read",
        "So many `facts` with their proofs, and so many of their private values, were written into "
        "a file for somebody else. The private `to` is where.",
        ("install", ID),
        must={"facts": COUNT, "disclosed": COUNT},
        private=frozenset({"to"}),
    ),
)
