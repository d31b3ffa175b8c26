"""Facts: the one currency between rooms.

A fact says what happened, to what, by whom, when. It is written in the same transaction as the
rows it speaks of, so neither exists without the other. The ledger takes the table over later;
until then it is a plain table. A body holds ids, counts and salted commitments: never a secret,
never the content of a backup.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from strongroom.clock import format_instant, parse_instant
from strongroom.database import Transaction

FACT_TABLE = """
CREATE TABLE fact (
  number INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  subject TEXT NOT NULL,
  actor TEXT NOT NULL,
  at TEXT NOT NULL,
  body TEXT NOT NULL
) STRICT
"""
"""The table as a migration step; every database that records facts has it."""

FactValue = str | int | bool | None | list[str]


@dataclass(frozen=True, slots=True)
class Fact:
    """`kind` is two words with a dot (`backup.committed`); `subject` is an id."""

    kind: str
    subject: str
    actor: str
    at: datetime
    body: Mapping[str, FactValue]


def record(transaction: Transaction, fact: Fact) -> None:
    """Write the fact in the caller's transaction."""
    transaction.run(
        "INSERT INTO fact (kind, subject, actor, at, body) VALUES (?, ?, ?, ?, ?)",
        (
            fact.kind,
            fact.subject,
            fact.actor,
            format_instant(fact.at),
            json.dumps(dict(fact.body), sort_keys=True, separators=(",", ":")),
        ),
    )


def read_facts(transaction: Transaction, kind: str | None = None) -> list[Fact]:
    """Return the facts in the order they were recorded, of one kind where given."""
    rows = transaction.rows(
        "SELECT kind, subject, actor, at, body FROM fact WHERE ? IS NULL OR kind = ? "
        "ORDER BY number",
        (kind, kind),
    )
    return [
        Fact(kind, subject, actor, parse_instant(at), json.loads(body))
        for kind, subject, actor, at, body in rows
    ]
