"""What happens to the ledger itself."""

from typing import Final

from strongroom.facts.kinds import ID, many, one_of
from strongroom.facts.op import Op
from strongroom.facts.scan import LOOKS

OPS: Final = (
    Op(
        "ledger.secret_masked",
        "A",
        "detect",
        "What looked like a secret was kept out of a fact. Its subject is that "
        "fact, `looked_like` says what was seen.",
        ("fact", ID),
        must={"looked_like": many(one_of(*LOOKS))},
    ),
)
