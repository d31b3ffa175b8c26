"""Writes fact-v1.json: facts and their bytes, and rows from before facts were closed.

Run as `python -m tests.vectors.build_fact_v1`. A vector that was released is never edited.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from strongroom.facts import Fact, Session, Who
from tests.support.stepping_clock import SteppingClock

PATH = Path(__file__).with_name("fact-v1.json")
CLIENT, HASH = "c1" * 16, "5a" * 32
ROWS = [
    (1, "location.added", "offsite", "operator", '{"copied":3,"url":"s3://bucket"}'),
    (2, "client.keep_set", CLIENT, "operator", '{"after":"7d5w12m3f","before":"1d1w1m1f"}'),
    (3, "kit.confirmed", "cd" * 16, "cd" * 16, "{}"),
]
ROW_AT = "2026-11-20T08:00:00.123456Z"


def session() -> Session:
    """Return a session whose chance is a count."""
    clock, drawn = SteppingClock(), iter(range(1, 1000))
    clock.at = datetime(2026, 11, 22, 18, 0, 0, 250_000, tzinfo=UTC)
    who = Who("ab" * 16, "human")
    return Session(
        who, "12" * 16, "34" * 16, clock, lambda size: next(drawn).to_bytes(size, "big"), "56" * 16
    )


def facts() -> Iterator[Fact]:
    """Yield a fact of each form."""
    made = session()
    told = [f"{'01' * 16} {HASH}", f"{'02' * 16} {HASH}"]
    yield made.fact("backup.written", CLIENT, snapshot=HASH, sessions=2, facts=told)
    added = made.fact("location.added", "10" * 16, copied=(1 << 53) - 1)
    yield replace(added, sd={"url": "77" * 32, "name": "66" * 32})
    intent = made.intent("restore.done", CLIENT, snapshot=HASH)
    yield intent
    yield made.result(intent, "denied", "unwitnessed", snapshot=HASH)
    yield made.result(intent, snapshot=HASH, sources=1, chosen=0)
    own = replace(made, who=Who("cd" * 16, "custodian"), run="", behalf="")
    yield own.fact("share.released", "ef" * 16, client=CLIENT, snapshot=HASH, sessions=4)


def build() -> dict[str, Any]:
    """Return the vectors; the same each time."""
    return {
        "facts": [fact.encode().decode() for fact in facts()],
        "rows": [
            {
                "row": {"number": number, "kind": op, "subject": subject, "actor": actor}
                | {"at": ROW_AT, "body": body},
                "fact": Fact.of_row(number, op, subject, actor, ROW_AT, body).encode().decode(),
            }
            for number, op, subject, actor, body in ROWS
        ],
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(build(), indent=1) + "\n", encoding="utf-8")
