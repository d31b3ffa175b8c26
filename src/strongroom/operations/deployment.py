"""A deployment: one home, opened, with everything an operation may use."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol

from strongroom.clients import Client, ClientSource, History, Registry, Snapshot
from strongroom.clock import Clock
from strongroom.crypto.join_code import JoinCode
from strongroom.database import Database
from strongroom.errors import Refused, StrongroomError
from strongroom.facts import Fact, FactValue, Session
from strongroom.ids import ClientId, InstallId, Token, VaultId
from strongroom.locations import Copies, Location
from strongroom.operations.asking import Asking
from strongroom.operations.credentials import (
    Credential,
    Secrets,
    janitor_name,
    needs_credential,
    unseal_credential,
)
from strongroom.operations.device_key import DeviceKey
from strongroom.operations.privacy import Author, Privacy
from strongroom.placement import FullCopies, ParityCode, Placement, Shards
from strongroom.procedures import Desk
from strongroom.quorum import Custodian, LocalCustodian, Roster
from strongroom.vault import Source, Target, Vault, WorkerKeys

Listing = Mapping[str, frozenset[str]]
"""Keys of objects with the names of the locations that list each."""


class Companion(Protocol):
    """Another process of this program, at work on the same home."""

    def ask(self, line: str) -> str:
        """Return its answer to one line, or nothing when it has ended."""
        ...

    def stop(self) -> None:
        """Interrupt what it does."""
        ...


Newcomer = tuple[int, str, tuple[str, int], JoinCode]
"""A custodian to be joined: index and name it is to have, host and port, the code it has shown."""
JoinedCustodian = tuple[Custodian, str, str, bytes]
"""How it is asked; what tells its machine, and the run of it, from others; its certificate."""


Probe = Callable[[tuple[str, int], str], Sequence[tuple[str, str, str, str]]]
"""Try every way into the listener at this host and port, where the custodian of this id is to be.

Each attempt: its name, how it has to end, how it ended (refused, accepted, unknown), what was seen.
"""


class CustodianLinks(Protocol):
    """The server's end of every custodian that is elsewhere."""

    @property
    def authority(self) -> str:
        """Return the hash of the authority's certificate, as a custodian's journal tells of it."""
        ...

    def join(self, newcomers: Sequence[Newcomer]) -> Iterator[JoinedCustodian]:
        """Join these one by one; none of them where one refuses its code or does not answer."""
        ...

    def join_again(
        self, member: LocalCustodian.Wire.Member, address: tuple[str, int], code: JoinCode
    ) -> JoinedCustodian:
        """Join a member of the roster that waits again; refuse whoever is not exactly that one."""
        ...

    def deny(self, kept: bytes, serials: Collection[int]) -> tuple[int, bytes]:
        """Return the deny list after this one, with these serials as well, and its number."""
        ...

    def heed(self, deny_list: bytes) -> None:
        """Believe no certificate of this list from now on, and bring it to nobody by itself."""
        ...

    def open(
        self,
        address: tuple[str, int],
        member: LocalCustodian.Wire.Member,
        certificate: bytes,
        deny_list: bytes = b"",
    ) -> tuple[Custodian, bytes, StrongroomError | None]:
        """Meet a member at this place; return how it is asked, and its newest certificate.

        It is brought a deny list first, where one is given; the third is why it refuses that.
        """
        ...

    def close(self) -> None:
        """End every link."""
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
    """What touches the outside world, ready to use; made by `app/`."""

    clock: Clock
    pause: Callable[[float], None]
    """Wait so many seconds."""
    token: Token
    run: str
    """The id of this command's run; all its facts have it."""
    threads: int
    keep: str
    wait: timedelta
    """How long a tombstone stands before anything it lists is deleted."""
    key_file: Path
    secrets: Secrets
    device: DeviceKey
    """The key with which the person of this home approves."""
    history: Callable[[ClientId], AbstractContextManager[History]]
    index: Callable[[ClientId], AbstractContextManager[Database]]
    search_file: Callable[[ClientId | None, bool], Database]
    """Open the search file of a client's log, or the server's; with True, an empty one in its
    place."""
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
    location_as: Callable[[str, Credential | None], Location]
    """Open the location of this URL with this credential, whatever is sealed."""
    companion: Callable[[], AbstractContextManager[Companion]]
    """Start another process that backs up the clients whose names it is asked."""
    file_system: Callable[[str], str]
    """Name the file system that a location of this URL lies on; empty where none can be seen."""
    parity_code: Callable[[], ParityCode]
    """Load the arithmetic of parity."""
    custodian_home: Callable[[int, bool], tuple[Database, bytes]]
    """Open (or, with True, make) an embedded custodian's database, with the key that seals it."""
    custodian_folder: Callable[[str, bool], tuple[Database, bytes]]
    """Do the same for one that took the seat of another, by the name of its folder."""

    links: Callable[[InstallId, bool], CustodianLinks]
    """Reach custodians that are elsewhere, by the authority of this install; with True, made anew
    where there is none."""
    probe: Callable[[InstallId], Probe]
    """What tries listeners with badges that no peer has, made by the authority of this install."""
    machine_marks: Callable[[InstallId], tuple[str, str]]
    """Return what tells this machine, and this run of it, from others; empty where unknown."""
    privacy: Privacy
    """Who acts, and what no fact may say."""
    forget_search: Callable[[], None]
    """Remove what search has made from the logs; it is made anew when somebody searches."""
    holding: Callable[[Collection[str]], list[str]]
    """Return the files of the home that hold one of these words in clear."""


@dataclass(frozen=True, slots=True)
class Deployment:
    """One home, opened."""

    tools: Tools
    registry: Registry
    desk: Desk
    install: InstallId
    operator: str
    rosters: Roster.Line
    """Every roster there was: by them it is checked what was signed before the last one."""
    custodians: Mapping[int, Custodian]
    absent_custodians: Mapping[int, StrongroomError]
    copies: Copies
    absent_locations: Mapping[str, StrongroomError]
    author: Author
    missed_since: Mapping[int, datetime] = field(default_factory=dict)
    """When a command of this home first missed each custodian that is absent."""
    asking: Asking = field(default_factory=Asking)
    """Asks several custodians at once; one that was too late is left alone from then on."""
    touched: set[ClientId] = field(default_factory=set)
    """The clients of whom this command has made a fact."""
    added: dict[str, Location] = field(default_factory=dict)
    """The locations that this command has added, or made again: `copies` does not have them."""

    @property
    def roster(self) -> Roster:
        """The roster that counts: whom to deal to, who is asked."""
        return self.rosters.rosters[-1]

    def signer(self, snapshot: Snapshot, index: int) -> LocalCustodian.Wire.Member:
        """Return who had this seat in the roster that a snapshot was dealt to."""
        version = snapshot.summary.get("roster", 1)
        return self.rosters.version(version if isinstance(version, int) else 0).member(index)

    @property
    def session(self) -> Session:
        """What makes the facts of this command, begun with the first."""
        return self.author.session

    def fact(
        self,
        op: str,
        subject: str,
        *,
        client: str = "",
        private: Mapping[str, str] | None = None,
        **body: FactValue | None,
    ) -> Fact:
        """Return a fact of now, by the operator; a field that is None is left out.

        `client` is whose log it goes to where the subject is not the client itself. To what is
        `private` (a URL, a path, a name) the fact only commits; it is kept apart.
        """
        return self._kept(self.session.fact(op, subject, client=client, **body), private)

    def intent(
        self,
        op: str,
        subject: str,
        *,
        client: str = "",
        private: Mapping[str, str] | None = None,
        **body: FactValue | None,
    ) -> Fact:
        """Return the announcement of an act, as `fact` does; its result tells the rest."""
        return self._kept(self.session.intent(op, subject, client=client, **body), private)

    def result(
        self,
        intent: Fact,
        out: Literal["ok", "denied", "error"] = "ok",
        why: str = "",
        **body: FactValue | None,
    ) -> Fact:
        """Return how an act that was announced ended; `why` is a code, where not well."""
        return self._kept(self.session.result(intent, out, why, **body), None)

    def _kept(self, fact: Fact, private: Mapping[str, str] | None) -> Fact:
        kept = self._masked(fact, private or {})
        if fact.client:
            self.touched.add(ClientId(fact.client))
        return self.tools.privacy.disclose(fact, kept)

    def _masked(self, fact: Fact, private: Mapping[str, str]) -> Mapping[str, str]:
        """Return private values as they may be kept; what looks like a secret raises the alarm."""
        kept, alarm = self.session.screen(fact, private)
        if alarm is not None:
            self.registry.record(alarm)
        return kept

    def location_ids(self, names: Iterable[str]) -> list[str]:
        """Return the ids of locations for a fact, in the order of their names."""
        wanted = frozenset(names)
        found = [str(one.id) for one in self.registry.locations() if one.name in wanted]
        return found[: Fact.LIST_MAX]

    def embedded(self) -> list[LocalCustodian]:
        """Return the custodians that run in this process."""
        return [one for one in self.custodians.values() if isinstance(one, LocalCustodian)]

    @contextmanager
    def janitor(
        self, names: Iterable[str] | None = None, given: Credential | None = None
    ) -> Iterator[Copies]:
        """Open locations, all or these, with the janitor's credential: only this may delete.

        `given` is taken where none is sealed. A folder has no credential but ours; an absent
        location is in its place and says why. Raises Refused, naming the location, where an object
        store has no janitor's credential: the worker's is never taken instead.
        """
        wanted = self.copies.locations.keys() if names is None else set(names)
        places = {place.name: place for place in self.registry.locations() if place.name in wanted}
        opened = {name: self._as_janitor(name, place.url, given) for name, place in places.items()}
        with Copies(opened) as copies:
            yield copies

    def _as_janitor(self, name: str, url: str, given: Credential | None) -> Location:
        if not needs_credential(url):
            return self.copies.locations[name]
        credential = unseal_credential(self.tools.secrets, janitor_name(name)) or given
        if credential is None:
            raise Refused(
                f"nothing may be deleted at location {name}",
                "no janitor's credential is given, and the worker's is not for deleting",
                hint=f"Pass --janitor-credential-file, or keep one sealed here: `strongroom "
                f"location set {name} --janitor-credential-file FILE`.",
            )
        return self.tools.location_as(url, credential)

    def vault(self, client: Client, index: Database, keys: WorkerKeys | None = None) -> Vault:
        """Open a client's vault with the worker's keys, which are unsealed where not given."""
        keys = keys or self.worker_keys(client)
        return Vault(
            Vault.Place(self.install, client.id, client.vault, client.vault_class),
            self.placement(client, keys),
            index,
            keys,
            self.tools.token,
            self.tools.threads,
        )

    def placement(self, client: Client, keys: WorkerKeys | None = None) -> Placement:
        """Return how the packs of a client's vault lie over the locations."""
        if client.parity is None:
            return FullCopies(self.copies)
        structure = (keys or self.worker_keys(client)).structure
        return Shards(self.copies, client.parity, structure, self.tools.parity_code())

    def worker_keys(self, client: Client) -> WorkerKeys:
        """Unseal what the worker keeps for a client; it holds no content key."""
        return WorkerKeys.parse(self.tools.secrets.read(f"worker-{client.id}"))

    def forget_worker_keys(self, client: Client) -> None:
        """Remove what the worker keeps for a client, where there is any."""
        if self.tools.secrets.has(f"worker-{client.id}"):
            self.tools.secrets.remove(f"worker-{client.id}")

    def has_worker_keys(self, client: Client) -> bool:
        """Tell whether the worker's keys for a client are sealed here."""
        return self.tools.secrets.has(f"worker-{client.id}")

    def seal_worker_keys(self, client: Client, keys: WorkerKeys) -> None:
        """Seal what the worker keeps for a new client."""
        self.tools.secrets.write(f"worker-{client.id}", keys.encode())
