"""Finding logs at the locations: what is there of each, put in order and verified.

Whose a log is its objects say; that is only a hint for the key to try. What counts is what opens
under a client's structure key, or the server's, was signed by one key, and makes the tree of a
checkpoint. How many custodians have cosigned it is told, and judged by nobody here.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from strongroom.crypto.envelope import decode_envelope
from strongroom.errors import Damaged
from strongroom.facts import Fact
from strongroom.ids import ClientId
from strongroom.ledger import Checkpoint, Log, Policy, Witness
from strongroom.locations import Copies, LocationUnavailable, ObjectMissing
from strongroom.operations.deployment import Listing
from strongroom.operations.sealed_logs import STRETCH_BYTES_MAX
from strongroom.quorum import Roster

READERS: Final = 8
"""How many stretches are read at a time: each is small, and a remote location answers late."""

_Stretch = Log.stretch.Stretch
_Get = Callable[[str, Callable[[bytes], object]], object]


@dataclass(frozen=True, slots=True)
class FoundLog:
    """One log as the locations have it, and how many leaves behind its end are lost, and why.

    `cosigned` counts the custodians whose cosignatures are on its last checkpoint.
    """

    past: Log.Past
    checkpoint: Checkpoint
    cosigned: int
    lost: int
    why: str
    server_keys: frozenset[bytes] = field(repr=False)

    @property
    def id(self) -> str:
        """Return the log's id."""
        return Log.stretch.log_of(self.past.origin)

    def parse_facts(self) -> list[Fact]:
        """Return its facts; raise Damaged for a leaf that this version cannot read."""
        return [Fact.parse(leaf) for leaf in self.past.leaves]


class LogsAtLocations:
    """The logs that the locations list, by whose they say to be."""

    def __init__(self, copies: Copies, rosters: Roster.Line, listing: Listing) -> None:
        """Look at one object of each log for whose it may be."""
        self._copies = copies
        self._rosters = rosters
        self._keys: dict[str, list[str]] = {}
        for key in sorted(listing):
            place = Log.stretch.split_stretch_key(key)
            if place is not None and place[0] == rosters.install:
                self._keys.setdefault(place[1], []).append(key)
        with ThreadPoolExecutor(READERS) as pool:
            hints = pool.map(self._owners, [keys[0] for keys in self._keys.values()])
            self._hints = dict(zip(self._keys, hints, strict=True))

    def logs_of(self, client: ClientId | None) -> list[str]:
        """Return the ids of the logs of which an object says that they are this client's."""
        return [log for log, owners in self._hints.items() if client in owners]

    def opens(self, log: str, parent: bytes) -> bool:
        """Tell whether a log may be sealed under this key; no copy is accused where it is not.

        All of a log is sealed under one key, and without its first object nothing of it is read.
        """
        first = self._keys[log][0]
        opening = partial(Log.stretch.open_stretch, key=first, parent=parent)
        for name in self._copies.locations:
            with suppress(Damaged, LocationUnavailable, ObjectMissing):
                self._get_from(name, first, opening)
                return True
        return False

    def read(self, log: str, parent: bytes) -> FoundLog:
        """Read a log that is sealed under this key; raises Damaged where nothing of it is left."""
        joined, stretches = self._read(
            log, lambda key, take: self._copies.get(key, take, 0, STRETCH_BYTES_MAX), parent
        )
        if joined.why:
            # Two homes may have placed different leaves, and locations differ.
            for name in self._copies.locations:
                other = self._read(log, partial(self._get_from, name), parent)
                if other[0].size > joined.size:
                    joined, stretches = other
        if not joined.size:
            raise Damaged(
                f"nothing of the log {log[:8]} can be read",
                joined.why or "no object of it opens under the key that should fit",
            )
        kept = [one for one in stretches if one.end <= joined.size]
        key = kept[0].vkey
        witnesses = self._witnesses(kept)
        note = Log.stretch.known_part(joined.note, [key, *witnesses])
        numbered = {str(number): witness for number, witness in enumerate(witnesses)}
        verdict = Policy.of([key], numbered, 0).check(note)
        past = Log.Past(key.name, key, joined.leaves, note, tuple(witnesses), joined.size)
        return FoundLog(
            past,
            verdict.checkpoint,
            len({numbered[number].name for number in verdict.cosigned}),
            max(joined.found, verdict.checkpoint.size) - joined.size,
            joined.why,
            frozenset(one.server_key for one in kept if one.server_key is not None),
        )

    def _read(
        self, log: str, get: _Get, parent: bytes
    ) -> "tuple[Log.stretch.Joined, list[Log.stretch.Stretch]]":
        def one(key: str) -> "Log.stretch.Stretch | None":
            found: list[Log.stretch.Stretch] = []
            try:
                get(key, lambda data: found.append(Log.stretch.open_stretch(data, key, parent)))
            except (Damaged, LocationUnavailable, ObjectMissing):
                return None
            return found[-1]

        with ThreadPoolExecutor(READERS) as pool:
            opened = [one for one in pool.map(one, self._keys[log]) if one is not None]
        # Who holds the structure key can seal what another key signed: the first one counts.
        stretches = [one for one in opened if one.vkey == opened[0].vkey]
        return Log.stretch.join_stretches(stretches), stretches

    def _get_from(self, name: str, key: str, take: Callable[[bytes], object]) -> None:
        take(self._copies.get_from(name, key, 0, STRETCH_BYTES_MAX))

    def _owners(self, key: str) -> frozenset[ClientId | None]:
        owners: set[ClientId | None] = set()
        for name in self._copies.locations:
            try:
                data = self._copies.get_from(name, key, 0, STRETCH_BYTES_MAX)
                client = Log.stretch.owner_of(data, key)
            except (Damaged, LocationUnavailable, ObjectMissing):
                continue
            owners.add(None if client is None else ClientId(client))
        return frozenset(owners)

    def _witnesses(self, stretches: Iterable["Log.stretch.Stretch"]) -> list[Witness.Key]:
        """Return the keys of those whose cards a member, perhaps a former one, has signed."""
        found: dict[str, Witness.Key] = {}
        for card in {card for one in stretches for card in one.witness_cards}:
            try:
                key = self._rosters.check_witness(decode_envelope(card, "a witness card")).key
            except Damaged:
                continue
            found[str(key)] = key
        return list(found.values())
