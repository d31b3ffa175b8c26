"""What the ledger's scenario measures, each in a process of its own that prints its figures.

Facts are made by a session as commands make them, appended in a transaction each, durable before
the next; the bare insert beside it is of the same bytes into the same file under the same settings.
"""

import json
import random
import secrets
import sqlite3
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from bench.data import SEED
from bench.ledger_search import measure_search
from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.clock import SystemClock
from strongroom.crypto.signing import public_key
from strongroom.facts import Fact, Session, Who
from strongroom.ledger import Checkpoint, Disclosures, Log, Policy
from strongroom.operations.disclosure_files import DisclosureFiles
from strongroom.operations.privacy import Privacy

WRITERS = 64
WRITERS_SECONDS = 5.0
ROUNDS = 25
A_ROUND = 100
AT_ONCE = 1_000
CLIENTS = 300
ORIGIN = f"{'ab' * 16}.ledger.invalid/{'cd' * 16}"
SEED_OF_LOG = b"\x07" * 32
Figures = dict[str, float]


class Facts:
    """Makes facts of a few hundred clients as commands do: author, clock, token, every check."""

    def __init__(self) -> None:
        chance = random.Random(SEED)
        self._clients = [chance.randbytes(16).hex() for _ in range(CLIENTS)]
        self._chance = chance
        who = Who("0" * 32, "human")
        self.session = Session(who, "a" * 32, "b" * 32, SystemClock(), secrets.token_bytes)

    def client(self) -> str:
        """Return one of the clients."""
        return self._clients[int(self._chance.random() * CLIENTS)]

    def __iter__(self) -> Iterator[Fact]:
        """Yield facts without end; three of four are of snapshots."""
        tell, draw = self.session.fact, self._chance
        while True:
            client = self.client()
            snapshot = draw.randbytes(32).hex()
            yield tell("backup.written", client, snapshot=snapshot, sessions=1)
            yield tell("snapshot.good", client, snapshot=snapshot, receipts=3)
            yield tell("snapshot.good", client, snapshot=draw.randbytes(32).hex(), receipts=2)
            yield tell("source.removed", client, source=draw.randbytes(16).hex())


def one_writer(folder: Path) -> Figures:
    """Append facts one by one; then facts that commit to private values, which are kept as well."""
    facts = iter(Facts())
    plain, bare, ratio = _beside_bare(folder / "plain.db", lambda: next(facts))
    with _private_facts(folder) as (disclosed, settle):
        private, _, private_ratio = _beside_bare(folder / "private.db", disclosed, settle)
    return {
        "append_milliseconds": plain,
        "bare_milliseconds": bare,
        "append_ratio": ratio,
        "private_milliseconds": private,
        "private_ratio": private_ratio,
    }


@contextmanager
def _private_facts(folder: Path) -> Iterator[tuple[Callable[[], Fact], Callable[[], None]]]:
    """Give what makes facts of one client's sources with their names, and what settles those."""
    facts = Facts()
    path = folder / "disclosures.db"
    files = DisclosureFiles(lambda _: Disclosures(open_sqlite(path, durable=False)))
    session, client = facts.session, facts.client()
    origin = Disclosures.Origin("login", "host")
    privacy = Privacy(
        session.clock, session.token, session.run, origin, "", strict=False, kept=None, files=files
    )

    def disclosed() -> Fact:
        source = secrets.token_hex(16)
        fact = session.fact(
            "source.added", client, client=client, source=source, source_kind="sqlite"
        )
        private = {"name": "orders", "url": f"sqlite:////srv/data/orders-{source[:4]}.db"}
        kept, _alarm = session.screen(fact, private)
        return privacy.disclose(fact, kept)

    try:
        yield disclosed, files.settle
    finally:
        files.close()


def _beside_bare(
    path: Path, make: Callable[[], Fact], settle: Callable[[], None] = lambda: None
) -> tuple[float, float, float]:
    """Append facts in turns with bare inserts into the same file, and settle after each turn.

    Returns the milliseconds of one of each, and the ratio.
    """
    database = open_sqlite(path)
    database.migrate(Log.SCHEMA)
    log = Log(database)
    bare = sqlite3.connect(path, isolation_level=None)
    bare.execute("PRAGMA synchronous = FULL")
    bare.execute("CREATE TABLE bare (number INTEGER PRIMARY KEY, bytes BLOB)")
    leaf = make().encode()
    ours, theirs = [], []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(A_ROUND):
            bare.execute("BEGIN IMMEDIATE")
            bare.execute("INSERT INTO bare (bytes) VALUES (?)", (leaf,))
            bare.execute("COMMIT")
        between = time.perf_counter()
        for _ in range(A_ROUND):
            fact = make()
            with database.transaction() as transaction:
                log.append(transaction, fact)
        settle()
        ours.append((time.perf_counter() - between) / A_ROUND)
        theirs.append((between - started) / A_ROUND)
    bare.close()
    database.close()
    return (
        statistics.median(ours) * 1000,
        statistics.median(theirs) * 1000,
        statistics.median(x / y for x, y in zip(ours, theirs, strict=True)),
    )


def many_writers(folder: Path) -> Figures:
    """Let 64 threads append at once for some seconds; say how long the last in line waited."""
    database = open_sqlite(folder / "many.db")
    database.migrate(Log.SCHEMA)
    log = Log(database)
    ends = time.perf_counter() + WRITERS_SECONDS
    waits: list[list[float]] = [[] for _ in range(WRITERS)]

    def write(mine: list[float]) -> None:
        facts = iter(Facts())
        while (started := time.perf_counter()) < ends:
            with database.transaction() as transaction:
                log.append(transaction, next(facts))
            mine.append(time.perf_counter() - started)

    threads = [threading.Thread(target=write, args=(mine,)) for mine in waits]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    every = sorted(wait for mine in waits for wait in mine)
    counts = [len(mine) for mine in waits]
    log.verify()
    database.close()
    return {
        "writers_a_second": len(every) / WRITERS_SECONDS,
        "writers_p99_milliseconds": every[len(every) * 99 // 100] * 1000,
        "writers_longest_milliseconds": every[-1] * 1000,
        "writers_fewest_ratio": min(counts) / statistics.median(counts),
    }


def at_once(folder: Path, count: int) -> Figures:
    """Append many facts, a thousand in one transaction; return what 20,000 of them took."""
    database = open_sqlite(folder / "bulk.db")
    database.migrate(Log.SCHEMA)
    started = time.perf_counter()
    append_all(Log(database), database.transaction, count)
    took = time.perf_counter() - started
    database.close()
    return {"many_seconds": took / count * 20_000}


def append_all(log: Log, transaction: Callable[[], object], count: int) -> None:
    """Make and append so many facts."""
    facts = iter(Facts())
    for start in range(0, count, AT_ONCE):
        with transaction() as held:  # type: ignore[attr-defined]  # what a database gives
            log.append_many(held, [next(facts) for _ in range(min(AT_ONCE, count - start))])


def large(folder: Path, count: int) -> Figures:
    """Make a log of so many facts, sign and export it, and search in it."""
    database = open_sqlite(folder / "large.db", durable=False)
    database.migrate(Log.SCHEMA)
    log = Log(database)
    append_all(log, database.transaction, count)
    key = Checkpoint.Key(ORIGIN, 1, public_key(SEED_OF_LOG))
    log.begin_epoch(ORIGIN, str(key), SystemClock().now())
    log.sign(SEED_OF_LOG, SystemClock().now())
    log.export(folder / "site")
    (folder / "policy").write_bytes(Policy.of([key], {}, 0).encode())
    started = time.perf_counter()
    log.verify()
    verified = time.perf_counter() - started
    found = measure_search(log, folder)
    database.close()
    return {
        "home_verify_seconds": verified,
        "search_made_cpu_seconds": found.made_seconds,
        "search_milliseconds": found.p95_seconds * 1000,
        "search_p50_milliseconds": found.p50_seconds * 1000,
        "search_bytes": float(found.file_bytes),
    }


def pymerkle(folder: Path, count: int) -> Figures:
    """Append the bytes of facts with pymerkle, one by one and then all at once."""
    tree = import_module("pymerkle").SqliteTree(str(folder / "pymerkle.db"))
    facts = iter(Facts())
    entries = [next(facts).encode() for _ in range(count)]
    one = entries[: min(count, 1_000)]
    started = time.perf_counter()
    for entry in one:
        tree.append_entry(entry)
    between = time.perf_counter()
    for start in range(0, count, AT_ONCE):
        tree.append_entries(entries[start : start + AT_ONCE])
    took = time.perf_counter() - between
    return {
        "append_milliseconds": (between - started) / len(one) * 1000,
        "many_seconds": took / count * 20_000,
    }


def main() -> None:
    """Do what is named and print its figures as JSON."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 0
    match name:
        case "one":
            found = one_writer(folder)
        case "writers":
            found = many_writers(folder)
        case "many":
            found = at_once(folder, count)
        case "large":
            found = large(folder, count)
        case "pymerkle":
            found = pymerkle(folder, count)
        case _:
            raise SystemExit(f"there is no {name}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
