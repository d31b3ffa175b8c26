"""A deployment: one home, opened, with everything an operation may use."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from strongroom.clients import Client, ClientSource, History, Registry
from strongroom.clock import Clock
from strongroom.database import Database
from strongroom.errors import StrongroomError
from strongroom.facts import Fact, FactValue
from strongroom.ids import ClientId, InstallId, Token, VaultId
from strongroom.locations import Copies, Location
from strongroom.placement import FullCopies, Placement
from strongroom.quorum import Custodian, LocalCustodian, Roster
from strongroom.vault import Source, Target, Vault, WorkerKeys

ACTOR_OPERATOR = "operator"

Listing = Mapping[str, frozenset[str]]
"""Keys of objects with the names of the locations that list each."""


class Secrets(Protocol):
    """Sealed secrets of this home, by name."""

    def read(self, name: str) -> bytes:
        """Return a secret."""
        ...

    def write(self, name: str, secret: bytes) -> None:
        """Store a secret under a name that is not taken."""
        ...

    def has(self, name: str) -> bool:
        """Tell whether there is one of this name."""
        ...

    def remove(self, name: str) -> None:
        """Remove a secret."""
        ...


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """How a restore treats what is already there, and what only root may set."""

    overwrite: bool = False
    """Replace what is there."""
    privileged: bool = False
    """Set owners and setuid bits too; for root."""


@dataclass(frozen=True, slots=True)
class DatabasePlace:
    """A database on a server, new or empty, as the place of a restore."""

    url: str
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """Return the URL."""
        return self.url


@dataclass(frozen=True, slots=True)
class CommandPlace:
    """A command whose stdin takes what is restored: the program with its arguments."""

    arguments: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        """Return the command as one text."""
        return self.text


Place = Path | DatabasePlace | CommandPlace
"""Where one source is restored to."""


@dataclass(frozen=True, slots=True)
class Tools:
    """What touches the outside world, ready to use; made by `app.py`."""

    clock: Clock
    token: Token
    threads: int
    keep: str
    key_file: Path
    secrets: Secrets
    history: Callable[[ClientId], AbstractContextManager[History]]
    index: Callable[[ClientId], AbstractContextManager[Database]]
    lock: Callable[[VaultId], AbstractContextManager[None]]
    source: Callable[[ClientSource, Iterable[str]], Source]
    """Open a source; the URLs of the locations are left out of it."""
    glance: Callable[[ClientSource], int | None]
    """Say how large a SQLite database is without opening it; None where that cannot be seen, and
    for every other kind of source."""
    target: Callable[[str, Place, TargetOptions, Sequence[str]], Target]
    """Open a place for a source of this kind, or for these paths or tables of it."""
    sweep: Callable[[], int]
    """Remove what a killed backup left in the spool."""
    sweep_partial: Callable[[Path], Sequence[Path]]
    """Remove what killed restores left beside a place; return what they had put aside there."""
    location: Callable[[str, str, bool], Location]
    """Open (or, with True, make) the location of this URL; the name finds its credential."""
    custodian_home: Callable[[int, bool], tuple[Database, bytes]]
    """Open (or, with True, make) an embedded custodian's database, with the key that seals it."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One home, opened."""

    tools: Tools
    registry: Registry
    install: InstallId
    operator: str
    roster: Roster
    custodians: Mapping[int, Custodian]
    absent_custodians: Mapping[int, StrongroomError]
    copies: Copies
    absent_locations: Mapping[str, StrongroomError]

    def fact(self, kind: str, subject: str, **body: FactValue) -> Fact:
        """Return a fact of now, by the operator."""
        return Fact(kind, subject, ACTOR_OPERATOR, self.tools.clock.now(), body)

    def embedded(self) -> list[LocalCustodian]:
        """Return the custodians that run in this process."""
        return [one for one in self.custodians.values() if isinstance(one, LocalCustodian)]

    def vault(self, client: Client, index: Database, keys: WorkerKeys | None = None) -> Vault:
        """Open a client's vault with the worker's keys, which are unsealed where not given."""
        return Vault(
            Vault.Place(self.install, client.id, client.vault, client.vault_class),
            self.placement(client),
            index,
            keys or self.worker_keys(client),
            self.tools.token,
            self.tools.threads,
        )

    def placement(self, client: Client) -> Placement:
        """Return how the packs of a client's vault lie over the locations."""
        return FullCopies(self.copies)

    def worker_keys(self, client: Client) -> WorkerKeys:
        """Unseal what the worker keeps for a client; it holds no content key."""
        return WorkerKeys.parse(self.tools.secrets.read(f"worker-{client.id}"))

    def seal_worker_keys(self, client: Client, keys: WorkerKeys) -> None:
        """Seal what the worker keeps for a new client."""
        self.tools.secrets.write(f"worker-{client.id}", keys.encode())
