"""What happens to the ledger itself."""

from typing import Final

from strongroom.facts.kinds import CODE, ID, many
from strongroom.facts.op import Op

OPS: Final = (
    Op(
        "ledger.secret_masked",
        "A",
        "detect",
        "What looked like a secret was kept out of a fact. `masked` is the id of that fact, "
        "`looked_like` what it looked like.",
        ("fact", ID),
        must={"looked_like": many(CODE)},
    ),
)
