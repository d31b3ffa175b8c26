"""A lane: one side at work in a folder of its own, which goes when it is done."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from bench import measure
from bench.data import Input
from bench.measure import Cost
from bench.sides import Peer, Side, Step, Strongroom

AnySide = TypeVar("AnySide", bound=Side)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a scenario is measured with: where, how often, how large, against whom."""

    folder: Path
    runs: int
    scale: float
    peers: Sequence[Peer]

    @property
    def sides(self) -> list[Side]:
        """Return this product and its peers, in the order in which they take turns."""
        return [Strongroom(), *self.peers]

    def some_peers(self) -> list[Peer]:
        """Return each other program once: for borg the compression that this product has."""
        return [peer for peer in self.peers if peer.name != "borg lz4"]


class Lane(Generic[AnySide]):
    """One side and its folder."""

    def __init__(self, side: AnySide, work: Path) -> None:
        self.side = side
        self.work = work
        self._environment = side.environment(work)

    def run(self, step: Step, **more: str) -> Cost:
        """Run a command of this side and return what it cost; raises NotMeasured."""
        environment = self._environment | more
        return measure.run(step.command, environment, step.folder, self.work / "log")

    def prepare(self, made: Input) -> None:
        """Make the repository for an input."""
        for step in self.side.prepare(self.work, made):
            self.run(step)

    def backup(self, made: Input, number: int) -> Cost:
        """Back the input up, found in the page cache."""
        measure.warm(made.root)
        return self.run(self.side.backup(self.work, made, number))

    def restore(self, made: Input, number: int) -> Cost:
        """Restore the last backup, which has this number, and compare it with the input."""
        put_aside(self.work / "restored")
        cost = self.run(self.side.restore(self.work, number))
        restored = self.side.restored(self.work, made)
        if restored.is_file():
            wrong = measure.database_differences(made.source, restored)
        else:
            wrong = measure.differences(made.root, restored)
        if wrong:
            raise measure.NotMeasured(
                f"{self.side.name} did not restore what it was given: {wrong[:5]}"
            )
        put_aside(self.work / "restored")
        return cost

    def stored_bytes(self) -> int:
        """Return the size of the repository."""
        return measure.stored_bytes(self.side.repository(self.work))


@contextmanager
def lane(trial: Trial, side: AnySide) -> Iterator[Lane[AnySide]]:
    """Open a lane; always under the same name, for the paths in it are part of what is measured."""
    work = trial.folder / side.name.replace(" ", "-").replace(",", "-")
    work.mkdir()
    try:
        yield Lane(side, work)
    finally:
        put_aside(work)


def put_aside(folder: Path) -> None:
    """Move a folder that is done with out of the way; it goes when the scenario ends.

    Removing it now would slow the next side: for a minute ext4 passes over the inodes of files that
    were just removed, one by one, whenever it makes a file.
    """
    if folder.exists():
        aside = tempfile.mkdtemp(prefix="done-", dir=folder.parent)
        folder.rename(Path(aside) / folder.name)


@contextmanager
def folder(where: Path | None) -> Iterator[Path]:
    """Make a temporary folder to work in, which goes at the end."""
    with tempfile.TemporaryDirectory(prefix="strongroom-bench-", dir=where) as name:
        yield Path(name)
