"""How the logs of an install lie at its locations: under which keys, and what is there already.

A client's log is sealed under its structure key, the server's under a key that lies in every
client's. Both come from the home's secrets; a recovery has only what it finds.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, Protocol, runtime_checkable

from strongroom.crypto import sealing, signing
from strongroom.errors import Damaged, StrongroomError
from strongroom.ids import ClientId, InstallId, Token
from strongroom.ledger import Checkpoint, Log
from strongroom.locations import Location, LocationUnavailable, ObjectMissing
from strongroom.operations.credentials import Secrets
from strongroom.operations.log_keys import LogKeys
from strongroom.vault import WorkerKeys

STRETCH_BYTES_MAX: Final = 80 << 20
"""More than any stretch has; a longer answer is no stretch."""
LOOK_SECONDS_MAX: Final = 3.0
"""How long a location is waited for that is only asked whether it has more than we placed."""
_SERVER_KEY: Final = "ledger-server-key"


@runtime_checkable
class _Hasty(Protocol):
    """A location that can be given up in seconds."""

    def hasty(self) -> Location:
        """Return the same location, given up in seconds where it does not answer."""
        ...


@dataclass(frozen=True, slots=True)
class SealedLogs:
    """Knows under which key the stretches of each log of this home are sealed."""

    install: InstallId
    secrets: Secrets = field(repr=False)
    keys: LogKeys = field(repr=False)

    @classmethod
    def of(cls, install: InstallId, secrets: Secrets, token: Token) -> "SealedLogs":
        """Read the home's secrets for its logs."""
        return cls(install, secrets, LogKeys.read(install, secrets, token))

    @property
    def server_key(self) -> bytes:
        """Return the key of the server's log."""
        return sealing.derive(self.keys.secret, _SERVER_KEY)

    def parent(self, client: ClientId | None) -> bytes:
        """Return under which key the stretches of a client's log, or the server's, are sealed."""
        if client is None:
            return self.server_key
        return WorkerKeys.parse(self.secrets.read(f"worker-{client}")).structure

    def seal(
        self, client: ClientId | None, cut: Log.Cut, cards: tuple[bytes, ...], salt: bytes
    ) -> bytes:
        """Return the object that holds what was cut of a log."""
        stretch = Log.stretch.Stretch(
            self.install,
            client,
            Log.stretch.log_of(cut.vkey.name),
            cut.start,
            cut.leaves,
            cut.note,
            cut.vkey,
            cards,
            None if client is None else self.server_key,
        )
        return stretch.sign(self.keys.seed(cut.vkey.name), self.parent(client), salt)

    def seen(
        self, locations: Mapping[str, Location], client: ClientId | None, origin: str, placed: int
    ) -> Iterator[tuple[str, Checkpoint]]:
        """Yield which location has leaves of a log from `placed` on, and their checkpoint.

        Only what the log's own key signed counts. A location that does not answer in seconds is
        passed over: what it has is found when something is placed there.
        """
        log = Log.stretch.log_of(origin)
        try:
            parent = self.parent(client)
        except StrongroomError:
            # Who only scrubs needs no key, and places nothing either.
            return
        public = signing.public_key(self.keys.seed(origin))
        start = placed
        while True:
            key = Log.stretch.stretch_key(self.install, log, start)
            end = start
            for name, data in _ask(in_haste(locations), key):
                try:
                    found = Log.stretch.open_stretch(data, key, parent)
                except Damaged:
                    continue
                if found.vkey.public == public:
                    end = max(end, found.end)
                    yield f"location {name}", found.read_checkpoint()
            if end == start:
                return
            start = end


class Lookout:
    """Tells what custodians and locations have seen of a log; locations are asked once for each."""

    def __init__(
        self,
        custodians: Log.Seen,
        sealed: Callable[[], SealedLogs],
        locations: Mapping[str, Location],
    ) -> None:
        self._custodians = custodians
        self._sealed = sealed
        self._locations = locations
        self._looked: set[str] = set()

    def of(self, client: ClientId | None) -> Log.Seen:
        """Return what tells it of the logs of a client, or of the server's."""

        def seen(origin: str, placed: int) -> Iterator[tuple[str, Checkpoint]]:
            yield from self._custodians(origin, placed)
            if origin not in self._looked:
                yield from self._sealed().seen(self._locations, client, origin, placed)
                self._looked.add(origin)

        return seen


def in_haste(locations: Mapping[str, Location]) -> dict[str, Location]:
    """Return the same locations, each given up in seconds where it does not answer, if it can be.

    For the ledger alone, which a later command looks for and places as well; what a command was
    asked to do is worth a wait.
    """
    return {
        name: one.hasty() if isinstance(one, _Hasty) else one for name, one in locations.items()
    }


def _ask(locations: Mapping[str, Location], key: str) -> Iterator[tuple[str, bytes]]:
    """Yield what each location has under a key; those that are remote are asked side by side."""
    remote = [name for name, one in locations.items() if not one.url.startswith("file:")]
    for name in locations.keys() - set(remote):
        data = _get(locations[name], key)
        if data is not None:
            yield name, data
    if not remote:
        return
    pool = ThreadPoolExecutor(len(remote), thread_name_prefix="look-ahead")
    tasks = {name: pool.submit(_get, locations[name], key) for name in remote}
    try:
        for name, task in tasks.items():
            try:
                data = task.result(LOOK_SECONDS_MAX)
            except TimeoutError:
                continue
            if data is not None:
                yield name, data
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _get(location: Location, key: str) -> bytes | None:
    try:
        return location.get(key, 0, STRETCH_BYTES_MAX)
    except (LocationUnavailable, ObjectMissing, Damaged):
        return None
