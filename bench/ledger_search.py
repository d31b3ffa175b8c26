"""Searching a log: how long it takes to make the search file, and to answer questions by it.

The questions are drawn from the log itself, so every one has something to find but the last kind:
ids, first digits of ids, fields, words that nearly every fact has, several of these together, and
what is not there. Each is asked as the command line asks it, for the newest fifty.
"""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from bench.data import SEED
from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.ledger import Log, Search

SHOWN = 50
ASKED = 25
FILE = "search.db"


@dataclass(frozen=True, slots=True)
class SearchTimes:
    """Seconds; `made` is CPU time for all leaves, the others are wall time for one question."""

    made_seconds: float
    p50_seconds: float
    p95_seconds: float
    worst_seconds: float
    questions: int
    file_bytes: int


def measure_search(log: Log, folder: Path) -> SearchTimes:
    """Return how long searching this log takes; the search file is made in the folder."""
    search = Search(log, lambda _anew: open_sqlite(folder / FILE, durable=False), lambda _leaf: ())
    try:
        begun = process_time()
        search.find(Search.Query.parse("nothing-of-the-kind"), SHOWN)
        made = process_time() - begun
        times = sorted(_ask(search, query) for query in _questions(log))
    finally:
        search.close()
    return SearchTimes(
        made,
        times[len(times) // 2],
        times[len(times) * 95 // 100],
        times[-1],
        len(times),
        sum(path.stat().st_size for path in folder.glob(f"{FILE}*")),
    )


def _ask(search: Search, query: Search.Query) -> float:
    begun = perf_counter()
    search.find(query, SHOWN)
    return perf_counter() - begun


def _questions(log: Log) -> Iterator[Search.Query]:
    chance = random.Random(SEED)
    size = log.size()
    for _ in range(ASKED):
        for kind in _KINDS:
            fact = json.loads(log.leaf(chance.randrange(size)))
            yield kind(fact)


def _area(fact: dict[str, Any]) -> str:
    return str(fact["op"]).partition(".")[0]


_KINDS: tuple[Callable[[dict[str, Any]], Search.Query], ...] = (
    lambda fact: Search.Query.parse(fact["id"]),
    lambda fact: Search.Query.parse(fact["id"][:12]),
    lambda fact: Search.Query.parse(f"who:{fact['who']['id']}"),
    lambda fact: Search.Query.parse(f"subject:{fact['subject']}"),
    lambda fact: Search.Query.parse(f"op:{fact['op']} subject:{fact['subject']}"),
    lambda fact: Search.Query.parse(f"op:{_area(fact)} out:ok"),
    lambda fact: Search.Query.parse(f"{fact['op']} {fact['who']['id'][:12]}"),
    lambda fact: Search.Query.parse(_area(fact), datetime.fromisoformat(fact["at"])),
    lambda fact: Search.Query.parse(f"{fact['op']} nothing-of-the-kind"),
    lambda _fact: Search.Query.parse("out:denied"),
)
