"""A log in a database with three witnesses, as it grows, is cosigned and is exported."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.database import Database
from strongroom.errors import Unwitnessed
from strongroom.ledger import Checkpoint, Log, Policy, Witness
from strongroom.ledger.log_rows import Recordable
from strongroom.ledger.note import VerifierKey, split_note
from strongroom.ledger.site_check import check_site
from tests.support.logs import NOON, ORIGIN, SEED, VKEY
from tests.support.stepping_clock import SteppingClock

WITNESSES = 3


@dataclass(frozen=True, slots=True)
class AnyLeaf:
    """A leaf of any bytes, where those of a fact would be too many or too few."""

    number: int
    data: bytes
    at: datetime = NOON
    op: str = "test.leaf"

    @property
    def id(self) -> str:
        """The id of its number."""
        return f"{self.number:032x}"

    def encode(self) -> bytes:
        """Return the leaf's bytes."""
        return self.data


class WitnessedLog:
    """A log that all of its witnesses cosign whenever it is exported."""

    def __init__(self, folder: Path) -> None:
        self._opened = ExitStack()
        self.database = self._open(folder / "log.db", Log.SCHEMA)
        self.log = Log(self.database)
        self.log.begin_epoch(ORIGIN, VKEY, NOON)
        self.witnesses = [self._witness(folder, number) for number in range(WITNESSES)]
        self._seen = 0

    @property
    def policy(self) -> Policy:
        """Return the policy that every witness must have cosigned."""
        keys = {f"w{number}": one.key for number, one in enumerate(self.witnesses)}
        return Policy.of([VerifierKey.parse(VKEY)], keys, WITNESSES)

    def append(self, facts: Sequence[Recordable]) -> None:
        """Append these to the log."""
        with self.database.transaction() as transaction:
            self.log.append_many(transaction, facts)

    def export(self, folder: Path) -> Path:
        """Sign, have it cosigned, write the folder; return the file of the keys, beside it."""
        note = self.log.sign(SEED, NOON)
        size = Checkpoint.parse(split_note(note).text).size
        proof = self.log.consistency(self._seen, size)
        request = Witness.request(self._seen, proof, note)
        lines = [self._cosigned(one.add_checkpoint(request)) for one in self.witnesses]
        self.log.cosigned(note + b"".join(lines), [one.key for one in self.witnesses])
        self._seen = size
        self.log.export(folder)
        keys = folder.with_name(f"{folder.name}.keys")
        vkeys = [VKEY, *(str(one.key) for one in self.witnesses)]
        keys.write_text("".join(f"{vkey}\n" for vkey in vkeys), encoding="utf-8")
        return keys

    def close(self) -> None:
        """Close every database."""
        self._opened.close()

    def _open(self, path: Path, schema: Sequence[str]) -> Database:
        database = open_sqlite(path, durable=False)
        self._opened.callback(database.close)
        database.migrate(schema)
        return database

    def _witness(self, folder: Path, number: int) -> Witness:
        database = self._open(folder / f"w{number}.db", Witness.SCHEMA)
        name, seed = f"w{number}.example", bytes([number]) * 32
        witness = Witness(database, name, seed, SteppingClock(), lambda *_: None)
        witness.register([Witness.Log(ORIGIN, VKEY, "client")])
        return witness

    @staticmethod
    def _cosigned(answer: Witness.Answer) -> bytes:
        assert answer.status == 200, answer.body
        return answer.body


def files_in(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder, by its path in it."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def judged(files: dict[str, bytes], policy: Policy) -> Checkpoint:
    """Return the checkpoint of a log in files; raise unless all is right and all cosigned it."""
    verdict = check_site(lambda path: files[path], policy)
    if not verdict.quorum_met:
        raise Unwitnessed("a checkpoint lacks cosignatures", f"{len(verdict.cosigned)} are there")
    return verdict.checkpoint
