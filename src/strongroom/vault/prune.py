"""What of a vault goes and what stays: the plan of a deletion. Pure; it deletes nothing.

What stays is computed from signed snapshots alone, never from what a listing lacks: a listing only
adds what may go. An object goes when nothing that stays needs it and a snapshot of ours is known
to have brought it, or it has lain there unnamed for longer than the wait (an orphan).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.vault.pack import pack_key
from strongroom.vault.retention import Candidate, KeepPolicy, plan
from strongroom.vault.tomb import BuriedSnapshot, Counts, is_object, record_key

ORDER: Final = (
    *("snapshots", "receipts", "index", "redeal-receipts", "redealt"),
    *("keys", "packs"),
)
"""The order of deletion, the reverse of that of writing: where a record is, all it needs is."""
DELETABLE: Final = frozenset(("index", "redeal-receipts", "redealt", "keys", "packs"))
"""Parts of a vault in which an object that nobody names may go for its age alone."""
_REDEALT: Final = frozenset(("redeal-receipts", "redealt"))
"""What came when sessions were dealt anew."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A snapshot that stays, and all it needs: sessions and packs by id."""

    writer: str
    sequence: int
    index: str
    sessions: frozenset[str]
    packs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as the locations list it: its size, and when the last copy was written.

    Where they differ, `size_bytes` is the largest and `least_bytes` the smallest that is listed.
    """

    size_bytes: int
    modified_at: datetime
    least_bytes: int


@dataclass(frozen=True, slots=True)
class View:
    """All that the plan is made from; keys of objects are relative to the vault."""

    stays: Sequence[Standing]
    goes: Sequence[BuriedSnapshot]
    pack_index: Mapping[str, str]
    """The hash of the index object that lists a pack, of every pack that a snapshot brought."""
    known: frozenset[str]
    """Other objects that snapshots of ours have brought: index and keys objects."""
    listed: Mapping[str, Listed]
    buried: frozenset[str]
    """Objects that an earlier tombstone lists and that are still there."""
    old_before: datetime | None
    """An object that nobody names and that is older than this is an orphan that may go.

    None where nobody can tell an orphan from what others need.
    """


@dataclass(frozen=True, slots=True)
class PrunePlan:
    """What goes and what stays; both lists of objects are sorted."""

    snapshots: tuple[BuriedSnapshot, ...]
    objects: tuple[str, ...]
    orphans: int
    """How many packs and index objects go that no snapshot has named."""
    goes: Counts
    stays: Counts
    doomed_bytes: int
    """What goes by this plan and by every earlier tombstone together, receipts left out."""
    needed_bytes: int
    """What snapshots that stay need, receipts left out here, too. What a location merely
    lists, or makes larger, adds nothing: it would make room for a larger deletion."""

    @property
    def too_much(self) -> bool:
        """Say whether more than half of what snapshots are made of would go within one wait."""
        return self.doomed_bytes > self.needed_bytes


def needed_by(stays: Iterable[Standing], pack_index: Mapping[str, str]) -> frozenset[str]:
    """Return every object that these snapshots need, receipts left out."""
    needed: set[str] = set()
    for one in stays:
        needed.add(record_key(one.writer, one.sequence))
        needed.add(f"index/{one.index}")
        needed |= {f"keys/{session}" for session in one.sessions}
        needed |= {pack_key(pack) for pack in one.packs}
        needed |= {f"index/{pack_index[pack]}" for pack in one.packs if pack in pack_index}
    return frozenset(needed)


def needed_among(keys: Iterable[str], needed: frozenset[str]) -> frozenset[str]:
    """Return which of these objects stay with what is needed: itself, or dealt anew of it."""
    return frozenset(key for key in keys if _owner_of(key) in needed)


def plan_prune(view: View) -> PrunePlan:
    """Return what goes of a vault and what stays."""
    needed = needed_by(view.stays, view.pack_index)
    folders = frozenset(
        part for one in view.goes for part in _own_folders(one.writer, one.sequence)
    )
    brought = view.known | {pack_key(pack) for pack in view.pack_index}
    brought |= {f"index/{one.index}" for one in view.goes}
    goes: list[str] = []
    orphans = 0
    for key, listed in view.listed.items():
        owner = _owner_of(key)
        if owner in needed or key in view.buried or not is_object(key):
            continue
        if owner in brought or _folder_of(key) in folders:
            goes.append(key)
        elif _is_orphan(view, key, listed):
            goes.append(key)
            # Who brought a keys object is told by records, which may be gone: it is not counted.
            orphans += not owner.startswith("keys/")
    gone = view.buried.union(goes)
    stay = [key for key in view.listed if key not in gone]
    return PrunePlan(
        tuple(sorted(view.goes, key=lambda one: (one.writer, one.sequence))),
        tuple(sorted(goes)),
        orphans,
        Counts(len(view.goes), len(goes), _bytes(view, goes)),
        Counts(len(view.stays), len(stay), _bytes(view, stay)),
        _bytes(view, [key for key in gone if key in view.listed and not _adds_nothing(key)]),
        sum(view.listed[key].least_bytes for key in needed if key in view.listed),
    )


def _is_orphan(view: View, key: str, listed: Listed) -> bool:
    """Say whether an object that nobody names may go for its age alone."""
    old = view.old_before is not None and listed.modified_at < view.old_before
    return old and key.partition("/")[0] in DELETABLE


def choose(
    snapshots: Sequence[Candidate],
    policy: KeepPolicy,
    owed: frozenset[str] = frozenset(),
    oldest: int | None = None,
) -> tuple[str, ...]:
    """Return the ids of the good snapshots that go by the policy, oldest first.

    `owed` are ids that stay all the same; `oldest` bounds how many go this time.
    """
    going = [
        one.id
        for one in reversed(plan(snapshots, policy))
        if not one.reasons and one.id not in owed
    ]
    return tuple(going if oldest is None else going[:oldest])


def inside_floor(
    snapshots: Sequence[Candidate], going: Iterable[str], floor: int
) -> tuple[str, ...]:
    """Return those that would go although they are among the newest good ones of this floor."""
    good = sorted(
        (one for one in snapshots if one.good),
        key=lambda one: (one.received_at, one.id),
        reverse=True,
    )
    newest = {one.id for one in good[: max(1, floor)]}
    return tuple(one for one in going if one in newest)


def part_of(key: str) -> int:
    """Return the place of an object's kind in the order of deletion."""
    return ORDER.index(key.partition("/")[0])


def _own_folders(writer: str, sequence: int) -> tuple[str, str]:
    record = record_key(writer, sequence)
    return record, record.replace("snapshots/", "receipts/", 1)


def _owner_of(key: str) -> str:
    """Return with which object another goes: what a session was dealt anew with, as its first."""
    kind, *rest = key.split("/")
    return f"keys/{rest[1]}" if kind in _REDEALT and len(rest) > 1 else key


def _adds_nothing(key: str) -> bool:
    """Tell of an object that no snapshot is made of, beside what it is."""
    return _is_receipt(key) or key.partition("/")[0] in _REDEALT


def _folder_of(key: str) -> str:
    """Return what says of which snapshot a record or a receipt is."""
    return key.rpartition("/")[0] if _is_receipt(key) else key


def _is_receipt(key: str) -> bool:
    return key.startswith("receipts/")


def _bytes(view: View, keys: Iterable[str]) -> int:
    return sum(view.listed[key].size_bytes for key in keys)
