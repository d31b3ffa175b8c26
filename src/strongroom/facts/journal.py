"""The plain table of facts: a custodian's journal.

What a row says beside the fact's bytes is there to be asked for; the bytes are what counts.
"""

from typing import Final

from strongroom.clock import format_instant
from strongroom.database import Transaction
from strongroom.facts.fact import Fact

FACT_TABLE: Final = """
CREATE TABLE fact (
  number INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  actor TEXT NOT NULL,
  at TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT
"""
"""The table as a migration step. Before facts were closed, `body` held the body alone."""


def record(transaction: Transaction, fact: Fact) -> None:
    """Write the fact in the caller's transaction."""
    transaction.run(
        "INSERT INTO fact (kind, subject, actor, at, body) VALUES (?, ?, ?, ?, ?)",
        (fact.op, fact.subject, fact.who.id, format_instant(fact.at), fact.encode().decode()),
    )


def read_facts(
    transaction: Transaction, op: str | None = None, *, after: int = 0, limit: int = -1
) -> list[Fact]:
    """Return the facts in the order they were recorded, of one op where given.

    Without the first `after` facts ever recorded: none is ever removed, so their numbers have no
    gaps. At most `limit` of them, where it is not negative.
    """
    rows = transaction.rows(
        "SELECT number, kind, subject, actor, at, body FROM fact "
        "WHERE number > ? AND (? IS NULL OR kind = ?) ORDER BY number LIMIT ?",
        (after, op, op, limit),
    )
    return [Fact.of_row(*row) for row in rows]
