"""What happens to persons: they appear in the ledger. Who they are is private."""

from typing import Final

from strongroom.facts.kinds import ID
from strongroom.facts.op import Op

OPS: Final = (
    Op(
        "person.named",
        "B",
        "create",
        "A person acts for the first time, or others act on their behalf. The private `name` is "
        "whose pseudonym the subject is.",
        ("person", ID),
        private=frozenset({"name"}),
    ),
    Op(
        "person.stationed",
        "B",
        "update",
        "A person acts from a new place. `station` is its pseudonym, which is the `node` of "
        "facts; the private `login` and `host` are what it stands for.",
        ("person", ID),
        must={"station": ID},
        private=frozenset({"login", "host"}),
    ),
)
