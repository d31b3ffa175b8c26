"""Makes the benchmark's two inputs, the same bytes on every machine.

A dump: text as a database writes it, about seven times smaller under zstd. A tree: many small
files, half of them text and half of them bytes that no compressor makes smaller.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

DUMP_BYTES = 1_000_000_000
TREE_BYTES = 640_000_000
TREE_FILES = 10_000
FILES_IN_A_FOLDER = 100
SEED = 20260101
_ROWS_IN_A_STATEMENT = 200
_SMALLEST = 512
_HEAD = "INSERT INTO orders (id, at, status, customer, mail, city, item, units, cents, note) VALUES"
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
_STATES = ("new", "paid", "packed", "shipped", "shipped", "shipped", "returned")


@dataclass(frozen=True, slots=True)
class Input:
    """One input: what it is called, where it lies, and how large it is."""

    name: str
    root: Path
    files: int
    size_bytes: int


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
    first, last = _FIRST.split(), _LAST.split()
    cities, items = _CITIES.split(), _ITEMS.split()
    number, second = 1, 0
    while True:
        rows = []
        for _ in range(_ROWS_IN_A_STATEMENT):
            bits = chance.getrandbits(60)
            second += bits & 15
            given, family = first[(bits >> 4) % 15], last[(bits >> 8) % 14]
            day, rest = divmod(second, 86400)
            at = f"2026-{day // 28 % 12 + 1:02d}-{day % 28 + 1:02d} {rest // 3600:02d}:"
            at += f"{rest // 60 % 60:02d}:{rest % 60:02d}"
            rows.append(
                f"({number},'{at}','{_STATES[(bits >> 12) % 7]}','{given} {family}',"
                f"'{given.lower()}.{family.lower()}@example.org','{cities[(bits >> 20) % 14]}',"
                f"'{items[(bits >> 28) % 15]}',{(bits >> 36) % 9 + 1},{(bits >> 40) % 10000},"
                f"'{_NOTES[(bits >> 56) % 5]}')"
            )
            number += 1
        yield (_HEAD + "\n" + ",\n".join(rows) + ";\n").encode()
