"""A vault in memory, sources made of values, and a target that keeps what it is given."""

import hashlib
import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.adapters.parity.raid6 import Raid6
from strongroom.database import Database
from strongroom.errors import Damaged
from strongroom.ids import Token
from strongroom.locations import Copies
from strongroom.placement import FullCopies, Parity, Placement, Shards, place_id
from strongroom.vault import Entry, EntryUnreadable, SessionKeys, Target, Vault, WorkerKeys
from strongroom.vault.backup import SnapshotWriter, SourceOutcome
from strongroom.vault.source import Facts
from strongroom.vault.structure import Structure
from tests.support.memory_location import MemoryLocation


def counting_token(seed: int = 0) -> Token:
    """Return bytes that repeat from run to run and never within one."""
    numbers = itertools.count()

    def token(size: int) -> bytes:
        name = f"{seed}/{next(numbers)}".encode()
        return hashlib.shake_256(name).digest(size)

    return token


@dataclass
class ListSource:
    """A source made of entries and their bytes; counts what is read of it."""

    files: dict[bytes, bytes | None]
    """Content by path; None is a file that cannot be read."""
    others: list[Entry] = field(default_factory=list)
    profile: str = "cdc-16k"
    block_bytes: int = 1 << 20
    fingerprints: bool = True
    fail_after: int | None = None
    reads: list[bytes] = field(default_factory=list)

    @property
    def bytes_expected(self) -> int | None:
        return sum(len(data or b"") for data in self.files.values())

    def entries(self) -> Iterator[Entry]:
        yield from self.others
        for path, data in self.files.items():
            content = b"?" if data is None else data
            print_ = hashlib.sha256(content).digest()[:8] if self.fingerprints else b""
            yield Entry(path, "file", len(content), 0o644, 5, 1, 2, b"", print_)

    def read(self, entry: Entry) -> Iterator[bytes]:
        data = self.files[entry.path]
        if data is None:
            raise EntryUnreadable("a file cannot be read", "the test says so")
        self.reads.append(entry.path)
        for at in range(0, len(data), self.block_bytes):
            yield data[at : at + self.block_bytes]
        if self.fail_after is not None and len(self.reads) > self.fail_after:
            raise Damaged("the source broke off")

    def facts(self) -> Facts:
        return {"files": len(self.files), "names": {"first": 1}, "list": ["x"], "none": None}

    def close(self) -> None:
        pass


@dataclass
class ListTarget:
    """Keeps what it is given; `published` only after `finish`."""

    entries: list[Entry] = field(default_factory=list)
    files: dict[bytes, bytes] = field(default_factory=dict)
    published: Facts | None = None
    abandoned: bool = False
    compared: Sequence[str] = ()
    notes: Mapping[str, int] = field(default_factory=dict)

    def write(self, entry: Entry, blocks: Iterator[bytes]) -> None:
        self.entries.append(entry)
        if entry.kind == "file":
            self.files[entry.path] = b"".join(blocks)

    def finish(self, facts: Facts) -> None:
        self.published = facts

    def abandon(self) -> None:
        self.abandoned = True


def bring_back(
    vault: Vault,
    structure: Structure,
    source: str,
    keys: Mapping[str, SessionKeys],
    target: Target,
) -> None:
    """Restore one source whole."""
    with vault.read(structure, keys) as reader:
        reader.restore(source, target, lambda _: None)


@dataclass(frozen=True)
class Written:
    """A snapshot as the caller of a vault keeps it."""

    hash: str
    body: bytes
    sequence: int
    index_hash: str
    sessions: tuple[str, ...]
    outcomes: dict[str, SourceOutcome]
    stored_bytes: int


class TestVault:
    """A vault with everything around it in memory."""

    __test__ = False

    def __init__(
        self,
        vault_class: str = "normal",
        locations: Mapping[str, MemoryLocation] | None = None,
        seed: int = 0,
        database: Database | None = None,
        worker: WorkerKeys | None = None,
        parity: int = 0,
    ) -> None:
        self.token = counting_token(seed)
        self.locations = dict(locations or {name: MemoryLocation(name) for name in ("a", "b")})
        self.copies = Copies(self.locations)
        self.parity = parity
        self.high = vault_class == "high"
        self.worker = worker or WorkerKeys(b"\x01" * 32, b"\x02" * 32, b"\x03" * 32)
        self.place = Vault.Place("11" * 16, "22" * 16, "33" * 16, "high" if self.high else "normal")
        self.database = database or open_sqlite(None)
        self.vault = self.open(self.database)
        self.keys: dict[str, SessionKeys] = {}
        self.sequence = 0

    def open(self, database: Database) -> Vault:
        return Vault(self.place, self.placement(), database, self.worker, self.token)

    def placement(self, copies: Copies | None = None) -> Placement:
        """Return the placement over the locations, or over others that stand for them."""
        used = copies or self.copies
        if not self.parity:
            return FullCopies(used)
        key = self.worker.structure
        places = [place_id(key, one.url) for one in self.locations.values()]
        return Shards(used, Parity.over(places, self.parity), key, Raid6())

    def deal(self) -> SessionKeys:
        session = self.token(16).hex()
        keys = SessionKeys(session, self.token(32), self.token(32) if self.high else None)
        self.keys[session] = keys
        return keys

    def write(self, sources: Mapping[str, ListSource], *, good: bool = True) -> Written:
        outcomes: dict[str, SourceOutcome] = {}
        with self.vault.write(lambda _: None) as writer:
            for name, source in sources.items():
                try:
                    outcomes[name] = writer.add(source_name(name), source, self.deal())
                except Damaged as err:
                    writer.carry(source_id(name), name, err.what)
            return self.finish(writer, outcomes, good=good)

    def finish(
        self, writer: SnapshotWriter, outcomes: dict[str, SourceOutcome], *, good: bool = True
    ) -> Written:
        self.sequence += 1
        writer.flush()
        index = writer.place_index(self.sequence)
        client = {"name": "Ann", "class": self.place.vault_class, "keep": {"daily": 7}}
        body = writer.body(self.sequence, client)
        name = hashlib.sha256(body).hexdigest()
        written = Written(
            name,
            body,
            self.sequence,
            index.hex(),
            writer.sessions,
            outcomes,
            writer.stored_bytes,
        )
        if good:
            self.learn(written)
        return written

    def learn(self, written: Written, vault: Vault | None = None) -> None:
        (vault or self.vault).learn(
            written.hash,
            written.body,
            self.worker.writer_public,
            written.sequence,
            written.index_hash,
        )

    def restore(self, written: Written, name: str, vault: Vault | None = None) -> ListTarget:
        used = vault or self.vault
        structure = used.structure(written.body, self.worker.writer_public, written.sequence)
        target = ListTarget()
        keys = {session: self.keys[session] for session in written.sessions}
        try:
            bring_back(used, structure, source_id(name), keys, target)
        finally:
            self.last_target = target
        return target


def source_id(name: str) -> str:
    """Return a source's id made from its name."""
    return hashlib.sha256(name.encode()).hexdigest()[:32]


def source_name(name: str) -> tuple[str, str, str, str]:
    """Return what names a source in a snapshot."""
    return (source_id(name), name, f"file:///{name}", "tree")


RANDOM = random.Random(11)
BLOB = RANDOM.randbytes(4 << 20)
TEXT = b"".join(b"INSERT INTO t VALUES (%d, 'x');\n" % (n * n) for n in range(60_000))


def tree(**files: bytes) -> ListSource:
    """Return a source of these files."""
    return ListSource({name.encode(): data for name, data in files.items()})


def structure(vault: TestVault, written: Written) -> Structure:
    """Open the body of a snapshot."""
    return vault.vault.structure(written.body, vault.worker.writer_public, written.sequence)


def objects_of(vault: TestVault, part: str) -> list[str]:
    """Return the keys of one part of the vault at the first location."""
    return [key for key in vault.locations["a"].objects if f"/{part}/" in key]


def flip(vault: TestVault, key: str, at: int, names: str = "ab") -> None:
    """Flip a bit of one object at the named locations."""
    for name in names:
        data = bytearray(vault.locations[name].objects[key])
        data[at % len(data)] ^= 1
        vault.locations[name].objects[key] = bytes(data)
