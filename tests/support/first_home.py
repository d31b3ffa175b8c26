"""A home with one client and one good snapshot, for tests that then spoil something."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.support.transcript import Done, strongroom

ROWS = 200


@dataclass(frozen=True, slots=True)
class FirstHome:
    """Everything lies below `folder`, which is also where commands run."""

    folder: Path

    @property
    def home(self) -> Path:
        """Return the home."""
        return self.folder / "home"

    @property
    def key_file(self) -> Path:
        """Return the one key file."""
        (found,) = (self.folder / "config" / "strongroom").glob("*.key")
        return found

    def objects(self, place: str, part: str) -> list[Path]:
        """Return the objects of one kind (packs, snapshots, keys, index) at a location."""
        found = (self.folder / place).glob(f"*/vaults/*/{part}/**/*")
        return sorted(path for path in found if path.is_file())

    def refused(self, code: int, *arguments: str) -> Done:
        """Run a command that must fail in the one plain way every failure has."""
        done = strongroom(*arguments)
        assert done.code == code, (done, arguments)
        assert "Traceback" not in done.err
        lines = done.err.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        hints = [line for line in lines if line.startswith("hint:  ") and line[7:]]
        assert len(errors) == len(hints) == 1, done.err
        assert all(line.startswith(("error: ", "hint:  ", "warning: ")) for line in lines)
        return done

    def still_restores(self) -> None:
        """Restore the first snapshot, and compare it with what was kept."""
        to = self.folder / "restored"
        shutil.rmtree(to, ignore_errors=True)
        done = strongroom("restore", "acme", self.first, "--to", str(to))
        assert done.code == 0, done.err
        assert (to / "notes" / "today.txt").read_text(encoding="utf-8") == "Buy locks."
        with closing(sqlite3.connect(to / "app.db")) as connection:
            assert connection.execute("SELECT count(*) FROM person").fetchone() == (ROWS,)

    @property
    def first(self) -> str:
        """Return the first snapshot's id."""
        return (self.folder / "first").read_text(encoding="utf-8")

    @classmethod
    def make(cls, folder: Path, *places: str) -> "FirstHome":
        """Make it, in the folder that is the current one."""
        make_database(folder / "app.db")
        (folder / "notes").mkdir()
        (folder / "notes" / "today.txt").write_text("Buy locks.", encoding="utf-8")
        named = [word for place in places for word in ("--location", str(folder / place))]
        sources = ("--source", "app.db", "--source", "notes")
        for arguments in (["init", *named], ["client", "add", "acme", *sources]):
            prepared = strongroom(*arguments)
            assert prepared.code == 0, prepared.err
        done = strongroom("backup", "acme", "--json")
        assert done.code == 0, done.err
        (folder / "first").write_text(done.out.split('"snapshot": "')[1][:64], encoding="utf-8")
        return cls(folder)


def make_database(path: Path, rows: int = ROWS) -> None:
    """Make a small SQLite database."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE person (name TEXT)")
        connection.executemany(
            "INSERT INTO person VALUES (?)", [(f"person {number}",) for number in range(rows)]
        )
