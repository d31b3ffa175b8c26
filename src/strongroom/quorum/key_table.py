"""The entries of a custodian's key table: what its recovery kit gives back.

One identity entry per adopted roster and one client entry per change of a client's writers or keys;
the highest serial of a name counts. Entries travel sealed to the kit only (`kit.EntryPlace`).
"""

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from strongroom.clock import format_instant
from strongroom.crypto import public_sealing, signing
from strongroom.errors import Damaged, Refused, UsageError
from strongroom.ids import ClientId, CustodianId, InstallId, VaultId, WriterId
from strongroom.quorum.client_key import FORMER_MAX, SERIAL_MAX, ClientKey
from strongroom.quorum.dealing import Dealing, SealedElsewhere
from strongroom.quorum.fields import NUMBER_MAX, Fields, to_base64
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.kit import EntryPlace, Kit, find_custodian
from strongroom.quorum.label import FORMAT, VaultClass, take_class
from strongroom.quorum.roster import Member
from strongroom.quorum.shares import COUNT_MAX

WRITERS_MAX = 1_000
_NAME = re.compile(r"(identity|[0-9a-f]{32})-([0-9]{8})")


class PinnedWriter(NamedTuple):
    """A writer key of a client; `revoked_after` is the last sequence of it that counts."""

    key: bytes
    revoked_after: int | None = None

    @property
    def id(self) -> WriterId:
        """Return the writer's id."""
        return SnapshotHeader.writer_id(self.key)

    def may_have_written(self, sequence: int) -> bool:
        """Return whether a snapshot of that sequence counts as this writer's."""
        return self.revoked_after is None or sequence <= self.revoked_after


@dataclass(frozen=True, slots=True)
class IdentityEntry:
    """Who a custodian is: everything but its client keys."""

    install: InstallId
    member: Member
    roster: str
    seed: bytes = field(repr=False)
    created_at: datetime

    def to_json(self) -> dict[str, Any]:
        """Return the inside of the entry."""
        return {
            "format": FORMAT,
            "install": self.install,
            "custodian": self.member.id,
            "index": self.member.index,
            "name": self.member.name,
            "roster": self.roster,
            "seed": to_base64(self.seed),
            "created_at": format_instant(self.created_at),
        }

    @classmethod
    def parse(cls, raw: object, place: EntryPlace) -> "IdentityEntry":
        """Read an opened entry found at this place."""
        fields = Fields(raw, f"the kit entry {place.path}")
        fields.exact("format", FORMAT)
        fields.exact("install", place.install)
        fields.exact("custodian", place.custodian)
        index = fields.number("index", 1, COUNT_MAX)
        name = fields.text("name")
        roster = fields.hash("roster")
        seed = fields.bytes("seed", signing.SEED_BYTES)
        created_at = fields.instant("created_at")
        fields.done()
        member = Member(index, place.custodian, name, signing.public_key(seed))
        return cls(place.install, member, roster, seed, created_at)


@dataclass(frozen=True, slots=True)
class ClientPin:
    """What a custodian has pinned for a client, without the secret: its vault and its writers."""

    client: ClientId
    vault: VaultId
    vault_class: VaultClass
    serial: int
    public: bytes = field(repr=False)
    created_at: datetime
    writers: tuple[PinnedWriter, ...]
    former: tuple[int, ...] = ()
    """The last serials of the keys that were rotated away and are kept still, rising."""

    @staticmethod
    def agreed(pins: "Sequence[ClientPin]") -> tuple[PinnedWriter, ...]:
        """Return every writer that any of one client's custodians has pinned, oldest first.

        A custodian that was away during a recovery knows fewer, so the longest list leads. Whom
        one of them has revoked is revoked, after the greatest sequence that one of them gives.
        """
        places = {(pin.client, pin.vault, pin.vault_class) for pin in pins}
        if len(places) > 1:
            raise Damaged(
                "the custodians' key tables contradict each other",
                f"client {pins[0].client[:8]} has {len(places)} different vaults",
            )
        found: dict[WriterId, PinnedWriter] = {}
        for pin in sorted(pins, key=lambda one: len(one.writers), reverse=True):
            for writer in pin.writers:
                both = (found.get(writer.id, writer), writer)
                ends = [one.revoked_after for one in both if one.revoked_after is not None]
                found[writer.id] = writer._replace(revoked_after=max(ends, default=None))
        return tuple(found.values())

    def adopting(self, writers: Sequence[PinnedWriter]) -> "ClientPin":
        """Return this pin with the writers that all custodians together know; none is dropped."""
        given = {writer.id: writer for writer in writers}
        own = {writer.id for writer in self.writers}
        if not own <= set(given):
            raise UsageError(
                f"the writers to adopt are not those of client {self.client[:8]}",
                "a writer that is pinned is not among them",
            )
        kept = tuple(given[writer.id] for writer in self.writers)
        learnt = tuple(writer for writer in given.values() if writer.id not in own)
        if len(given) > WRITERS_MAX:
            raise Refused(
                f"client {self.client[:8]} has too many writers", f"{WRITERS_MAX} are the most"
            )
        return replace(self, writers=(*kept, *learnt))

    @property
    def current(self) -> PinnedWriter | None:
        """Return the writer that is not revoked; there is one at most."""
        return next((one for one in self.writers if one.revoked_after is None), None)

    def certificate(self, install: InstallId, member: Member) -> ClientKey:
        """Return the client key certificate of this serial; the same each time it is made."""
        place = (install, self.client, member.id, member.index)
        return ClientKey(*place, self.serial, self.public, self.created_at, self.former)


@dataclass(frozen=True, slots=True)
class FormerKey:
    """The seed of a key that was rotated away, for sessions dealt while it was certified."""

    serial: int
    """The last serial under which it was certified."""
    seed: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ClientEntry:
    """A client's pin together with the seeds of its X-Wing keys."""

    pin: ClientPin
    seed: bytes = field(repr=False)
    former: tuple[FormerKey, ...] = ()
    """In order of their serials."""

    def open_share(
        self, dealing: Dealing, number: int, member: Member
    ) -> tuple[bytes, FormerKey | None]:
        """Return this custodian's share, checked, and the former key it was sealed to, if any.

        A keys object does not say which key of a custodian it was sealed to, so the newest is tried
        first. Raises Damaged where none of them opens the share, or it does not fit.
        """
        index, culprit = member.index, str(member)
        try:
            return dealing.open_own(number, index, self.seed, culprit), None
        except SealedElsewhere as err:
            for key in reversed(self.former):
                with suppress(SealedElsewhere):
                    return dealing.open_own(number, index, key.seed, culprit), key
            raise err

    def rotated(self, seed: bytes, at: datetime) -> "ClientEntry":
        """Return the next entry, with a new key; the one until now becomes the newest former."""
        if len(self.former) >= FORMER_MAX:
            raise Refused(
                f"the key of client {self.pin.client[:8]} is not rotated",
                f"{FORMER_MAX} former ones are kept already",
            )
        newer = ClientEntry(self.pin, seed, (*self.former, FormerKey(self.pin.serial, self.seed)))
        return newer._following(at)

    def without_former(self, up_to: int, at: datetime) -> "ClientEntry":
        """Return the next entry, without the former keys of serials up to this one.

        What was dealt to them cannot be opened any more.
        """
        kept = tuple(key for key in self.former if key.serial > up_to)
        return ClientEntry(self.pin, self.seed, kept)._following(at)

    def _following(self, at: datetime) -> "ClientEntry":
        """Return this entry with the next serial, pinned as it has its keys."""
        pin = replace(
            self.pin,
            serial=self.pin.serial + 1,
            public=public_sealing.public_key(self.seed),
            created_at=at,
            former=tuple(key.serial for key in self.former),
        )
        return replace(self, pin=pin)

    def to_json(self, install: InstallId, custodian: CustodianId) -> dict[str, Any]:
        """Return the inside of the entry."""
        former = [{"serial": key.serial, "seed": to_base64(key.seed)} for key in self.former]
        return {
            "format": FORMAT,
            "install": install,
            "client": self.pin.client,
            "vault": self.pin.vault,
            "class": self.pin.vault_class,
            "custodian": custodian,
            "serial": self.pin.serial,
            "seed": to_base64(self.seed),
            **({"former": former} if former else {}),
            "writers": [
                {"key": writer.key.hex(), "revoked_after": writer.revoked_after}
                for writer in self.pin.writers
            ],
            "created_at": format_instant(self.pin.created_at),
        }

    @classmethod
    def parse(cls, raw: object, place: EntryPlace) -> "ClientEntry":
        """Read an opened entry found at this place."""
        fields = Fields(raw, f"the kit entry {place.path}")
        fields.exact("format", FORMAT)
        fields.exact("install", place.install)
        fields.exact("custodian", place.custodian)
        seed = fields.bytes("seed", public_sealing.SEED_BYTES)
        pin = ClientPin(
            client=ClientId(fields.id("client")),
            vault=VaultId(fields.id("vault")),
            vault_class=take_class(fields),
            serial=fields.number("serial", 1, SERIAL_MAX),
            public=public_sealing.public_key(seed),
            created_at=fields.instant("created_at"),
            writers=tuple(_parse_writer(one) for one in fields.list("writers", WRITERS_MAX)),
        )
        former: tuple[FormerKey, ...] = ()
        if fields.has("former"):
            former = tuple(_parse_former(one) for one in fields.list("former", FORMER_MAX))
            serials = [0, *(key.serial for key in former), pin.serial]
            if not former or serials != sorted(set(serials)):
                raise fields.refuse("former must have rising serials, all before its own")
        fields.done()
        if client_name(pin.client, pin.serial) != place.name:
            raise fields.refuse("its name is not that of its client and serial")
        pinned = replace(pin, former=tuple(key.serial for key in former))
        return cls(pinned, seed, former)


def identity_name(serial: int) -> str:
    """Return the name of an identity entry."""
    return f"identity-{serial:08d}"


def client_name(client: ClientId, serial: int) -> str:
    """Return the name of a client's entry."""
    return f"{client}-{serial:08d}"


def newest(places: Sequence[EntryPlace]) -> dict[str, tuple[int, EntryPlace]]:
    """Return, for each subject (a client or `identity`), its highest serial and that place."""
    found: dict[str, tuple[int, EntryPlace]] = {}
    for place in places:
        match = _NAME.fullmatch(place.name)
        if match is None or int(match[2]) < 1:
            raise Damaged(f"the kit entry {place.path} has a name that no custodian gives")
        serial = int(match[2])
        if serial > found.get(match[1], (0, place))[0]:
            found[match[1]] = (serial, place)
    return found


class KeyTable(NamedTuple):
    """What a kit opens of a custodian's key table."""

    identity: IdentityEntry
    clients: list[ClientEntry]
    """The newest entry of each client."""
    kept: list[tuple[str, bytes]]
    """Path and bytes of all entries that open."""
    unreadable: dict[str, Damaged]
    """Why a client's entries do not open, by its id, where none of them does."""


def open_table(entries: Sequence[tuple[str, bytes]], kit: Kit) -> KeyTable:
    """Do what `read_table` does for the kit's own custodian; `entries` may hold those of others."""
    placed = [(EntryPlace.parse(path), data) for path, data in entries]
    found = find_custodian(kit, placed)
    own = [one for one in placed if (one[0].install, one[0].custodian) == found]
    return read_table(own, kit.key(found[0]))


def read_table(own: Sequence[tuple[EntryPlace, bytes]], kit_key: bytes) -> KeyTable:
    """Return the newest identity, the newest entry of each client, and all entries' bytes.

    The highest serial that opens counts: anyone can put a file beside a custodian's entries, only
    the kit's owner one that opens. A client of which none opens is named, and keeps nobody else
    from coming back. Raises Damaged where no identity opens.
    """
    opened: dict[EntryPlace, IdentityEntry | ClientEntry] = {}
    kept: dict[str, bytes] = {}
    refused: dict[str, Damaged] = {}
    for place, data in own:
        subject = place.name.rpartition("-")[0]
        parse = IdentityEntry.parse if subject == "identity" else ClientEntry.parse
        try:
            entry = parse(place.open(kit_key, data), place)
        except Damaged as err:
            refused.setdefault(subject, err)
            continue
        if kept.setdefault(place.path, data) != data:
            raise Damaged(f"the kit entry {place.path} exists twice", "with different bytes")
        opened[place] = entry
    found = newest(list(opened))
    unreadable = {subject: why for subject, why in refused.items() if subject not in found}
    if "identity" in unreadable:
        raise unreadable["identity"]
    latest = [opened[place] for _, place in found.values()]
    clients = [entry for entry in latest if isinstance(entry, ClientEntry)]
    identities = [entry for entry in latest if isinstance(entry, IdentityEntry)]
    if not identities:
        raise Damaged("a key table has no identity entry", f"{len(kept)} entries were found")
    return KeyTable(identities[0], clients, sorted(kept.items()), unreadable)


def _parse_former(raw: object) -> FormerKey:
    fields = Fields(raw, "a former key of a kit entry")
    serial = fields.number("serial", 1, SERIAL_MAX)
    seed = fields.bytes("seed", public_sealing.SEED_BYTES)
    fields.done()
    return FormerKey(serial, seed)


def _parse_writer(raw: object) -> PinnedWriter:
    fields = Fields(raw, "a writer of a kit entry")
    key = fields.key("key")
    revoked_after = fields.take("revoked_after")
    fields.done()
    if revoked_after is not None and (
        type(revoked_after) is not int or not 0 <= revoked_after <= NUMBER_MAX
    ):
        raise fields.refuse("revoked_after must be null or a sequence")
    return PinnedWriter(key, revoked_after)
