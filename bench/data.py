"""Makes the benchmark's two inputs, the same bytes on every machine.

A dump: text as a database writes it, about seven times smaller under zstd. A tree: many small
files, half of them text and half of them bytes that no compressor makes smaller.
"""

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

DUMP_BYTES = 1_000_000_000
LARGE_TIMES = 10
TREE_BYTES = 640_000_000
TREE_FILES = 10_000
FILES_IN_A_FOLDER = 100
SEED = 20260101
_ROWS_IN_A_STATEMENT = 200
_COPY_BYTES = 1 << 20
_SMALLEST = 512
_HEAD = "INSERT INTO orders (id, at, status, customer, mail, city, item, units, cents, note) VALUES"
_ROW = "({},'{}','{}','{}','{}','{}','{}',{},{},'{}')"
_FIRST = "Ada Alan Barbara Claude Donald Edith Frances Grace Hedy Ida John Karen Lynn Mary Niklaus"
_LAST = "Allen Backus Clarke Dijkstra Engel Floyd Gray Hopper Iverson Jones Knuth Liskov Moore Noe"
_CITIES = (
    "Aarhus Basel Bergen Delft Dresden Gent Graz Krakau Lyon Malaga Porto Turku Uppsala Zagreb"
)
_ITEMS = "anvil bolt bracket chain drill file gauge hammer level nail plane rasp saw vice wrench"
_NOTES = (
    "to be delivered on a working day",
    "customer asked to be called before delivery",
    "leave with the neighbour if nobody answers",
    "invoice by post, thirty days net",
    "",
)
STATES = ("new", "paid", "packed", "shipped", "shipped", "shipped", "returned")


Row = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Input:
    """One input: its folder, what in it is given to this product, and how large it is."""

    name: str
    root: Path
    files: int
    size_bytes: int
    database: str | None = None

    @property
    def source(self) -> Path:
        """Return the folder, or the one database that lies in it."""
        return self.root if self.database is None else self.root / self.database


def make_dump(root: Path, scale: float) -> Input:
    """Write one file of SQL text into a new folder."""
    root.mkdir()
    wanted = int(DUMP_BYTES * scale)
    written = 0
    with (root / "orders.sql").open("wb") as file:
        for statement in statements(random.Random(SEED)):
            piece = statement[: wanted - written]
            written += file.write(piece)
            if written == wanted:
                break
    return Input("dump", root, 1, written)


def make_large(root: Path, scale: float) -> Input:
    """Write a dump and nine more of its size that hold other numbers, into one file.

    The nine are the first with its digits exchanged: made as fast as a disk writes, and no chunk
    of one is found in another.
    """
    made = make_dump(root, scale)
    path = root / "orders.sql"
    chance = random.Random(SEED + 3)
    with path.open("r+b") as file:
        for _ in range(LARGE_TIMES - 1):
            table = bytes.maketrans(b"0123456789", bytes(chance.sample(b"0123456789", 10)))
            with path.open("rb") as first:
                file.seek(0, os.SEEK_END)
                left = made.size_bytes
                while left:
                    left -= file.write(first.read(min(left, _COPY_BYTES)).translate(table))
    return Input("large", root, 1, path.stat().st_size)


def make_tree(root: Path, scale: float) -> Input:
    """Write many small files into a new folder, a hundred to a folder below it."""
    root.mkdir()
    chance = random.Random(SEED + 1)
    text = statements(random.Random(SEED + 2))
    count = max(1, int(TREE_FILES * scale))
    # Sizes are spread evenly over their logarithm, as sizes of files are, then scaled to the sum.
    weights = [2 ** chance.uniform(0, 10) for _ in range(count)]
    unit = TREE_BYTES * scale / sum(weights)
    total = 0
    held = b""
    for number, weight in enumerate(weights):
        size = max(_SMALLEST, int(weight * unit))
        if number % 2:
            content, suffix = chance.randbytes(size), "bin"
        else:
            while len(held) < size:
                held += next(text)
            content, held, suffix = held[:size], held[size:], "txt"
        folder = root / f"folder-{number // FILES_IN_A_FOLDER:03d}"
        if number % FILES_IN_A_FOLDER == 0:
            folder.mkdir()
        (folder / f"file-{number:05d}.{suffix}").write_bytes(content)
        total += size
    return Input("tree", root, count, total)


def statements(chance: random.Random) -> Iterator[bytes]:
    """Yield SQL statements without end, each of some hundred rows."""
    endless = rows(chance)
    while True:
        several = ",\n".join(_ROW.format(*row) for row in islice(endless, _ROWS_IN_A_STATEMENT))
        yield f"{_HEAD}\n{several};\n".encode()


def rows(chance: random.Random) -> Iterator[Row]:
    """Yield orders without end: ids from 1 on, times that grow, words that repeat."""
    first, last = _FIRST.split(), _LAST.split()
    cities, items = _CITIES.split(), _ITEMS.split()
    number, second = 1, 0
    while True:
        bits = chance.getrandbits(60)
        second += bits & 15
        given, family = first[(bits >> 4) % 15], last[(bits >> 8) % 14]
        day, rest = divmod(second, 86400)
        at = f"2026-{day // 28 % 12 + 1:02d}-{day % 28 + 1:02d} {rest // 3600:02d}:"
        at += f"{rest // 60 % 60:02d}:{rest % 60:02d}"
        yield (
            number, at, STATES[(bits >> 12) % 7], f"{given} {family}",
            f"{given.lower()}.{family.lower()}@example.org", cities[(bits >> 20) % 14],
            items[(bits >> 28) % 15], (bits >> 36) % 9 + 1, (bits >> 40) % 10000,
            _NOTES[(bits >> 56) % 5],
        )  # fmt: skip
        number += 1
