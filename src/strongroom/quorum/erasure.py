"""An erasure: what a custodian says that it has destroyed of a client, and what it cannot reach.

Who holds no seed of a client opens none of its shares again. The entries of the key table were
handed out, sealed to the kit: each that still lies anywhere gives a seed back to whoever has the
kit, so they are named one by one. It is a word, like a receipt: nobody can prove what is gone.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.clock import format_instant
from strongroom.errors import Damaged
from strongroom.ids import ClientId, CustodianId, InstallId
from strongroom.quorum.fields import HASH_DIGITS, Fields, checked_hex
from strongroom.quorum.kit import EntryPlace

KEYS_MAX: Final = 1_000
ENTRIES_MAX: Final = 10_000
_ENTRY: Final = re.compile(r"[0-9a-f]{32}-[0-9]{8}")
_WHAT: Final = "an erasure"
_Told = str | int | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Erasure:
    """What one custodian destroyed of a client; nothing, where it held nothing."""

    erased_at: datetime
    """When that was; a later order about the same client finds nothing more to destroy."""
    keys: tuple[str, ...]
    """SHA-256 of each public key whose seed is gone."""
    entries: tuple[str, ...]
    """The names of the entries of its key table that it had handed out."""
    answers: int
    """How many stored answers to requests were wiped with them."""

    @property
    def told(self) -> dict[str, _Told]:
        """Return what a deed tells of it."""
        return {
            "erased_at": format_instant(self.erased_at),
            "keys": self.keys,
            "entries": self.entries,
            "answers": self.answers,
        }

    @classmethod
    def of(cls, told: Mapping[str, _Told], client: ClientId) -> "Erasure":
        """Return what a deed that was read tells; every entry must be one of this client."""
        raw = {
            one: list(value) if isinstance(value, tuple) else value for one, value in told.items()
        }
        return cls.parse(raw, client)

    @classmethod
    def parse(cls, raw: object, client: ClientId) -> "Erasure":
        """Read JSON of it; every entry must be one of this client."""
        fields = Fields(raw, _WHAT)
        erasure = cls(
            erased_at=fields.instant("erased_at"),
            keys=_keys(fields, "keys"),
            entries=_entries(fields, "entries"),
            answers=_count(fields, "answers"),
        )
        fields.done()
        if not all(name.startswith(f"{client}-") for name in erasure.entries):
            raise fields.refuse("it names an entry that is none of its client")
        return erasure

    def exports(self, install: InstallId, custodian: CustodianId) -> list[str]:
        """Return the paths at which its entries may lie at any location."""
        return [EntryPlace(install, custodian, name).path for name in self.entries]


def _instant(fields: Fields, name: str) -> str:
    return format_instant(fields.instant(name))


def _keys(fields: Fields, name: str) -> tuple[str, ...]:
    return tuple(
        checked_hex(one, HASH_DIGITS, "a key", _WHAT) for one in fields.list(name, KEYS_MAX)
    )


def _entries(fields: Fields, name: str) -> tuple[str, ...]:
    names = fields.list(name, ENTRIES_MAX)
    if not all(isinstance(one, str) and _ENTRY.fullmatch(one) for one in names):
        raise Damaged(f"{_WHAT} is malformed", "what it names is no entry of a client")
    return tuple(names)


def _count(fields: Fields, name: str) -> int:
    return fields.number(name, 0)


TOLD: Final[Mapping[str, Callable[[Fields, str], _Told]]] = {
    "erased_at": _instant,
    "keys": _keys,
    "entries": _entries,
    "answers": _count,
}
"""What a deed of an erasure tells."""
