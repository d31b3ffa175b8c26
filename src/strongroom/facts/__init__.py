"""Facts: the one currency between rooms.

A fact says what happened, to what, by whom, when. It is written in the same transaction as the
rows it speaks of, so neither exists without the other, and becomes a leaf of the ledger. Its
vocabulary is closed: each area lists its ops and what their facts may hold, which is ids, counts,
hashes and words of ours. Never a secret, a name, a path, a URL or the content of a backup.
"""

from strongroom.facts.fact import Fact, Who
from strongroom.facts.journal import FACT_TABLE, read_facts, record
from strongroom.facts.kinds import FactValue
from strongroom.facts.session import Session

__all__ = ["FACT_TABLE", "Fact", "FactValue", "Session", "Who", "read_facts", "record"]
