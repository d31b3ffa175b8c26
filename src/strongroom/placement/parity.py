"""Parity as a vault's config names it, and the shape of one shard (docs/formats/vault-v1.md)."""

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from strongroom.crypto.hashing import Bytes, keyed_hash
from strongroom.crypto.sealing import derive
from strongroom.errors import Damaged, UsageError

PARITY_MAX: Final = 2
DATA_MIN: Final = 2
SHARDS_MAX: Final = 32
PACK_BYTES_MAX: Final = 64 << 20

_PLACE_ID_BYTES: Final = 16
_PLACE_ID: Final = re.compile(r"[0-9a-f]{32}")
_MAGIC: Final = b"SRSHRD\x01\n"
_FIELDS: Final = struct.Struct("<8s32sBBBBI")
_CHECK_BYTES: Final = 32
HEADER_BYTES: Final = _FIELDS.size + _CHECK_BYTES


class ParityCode(Protocol):
    """The arithmetic of parity over slices that are equally long."""

    def parity(self, slices: Sequence[Bytes], count: int) -> list[Bytes]:
        """Return `count` parity slices of the data slices."""
        ...

    def restore(self, known: Mapping[int, Bytes], data: int) -> list[Bytes]:
        """Return all `data` slices from any that many known ones, data and parity, by index."""
        ...


@dataclass(frozen=True, slots=True)
class Parity:
    """How each pack of a vault is cut: `data` shards, `parity` more, and where each belongs."""

    data: int
    parity: int
    places: tuple[str, ...]
    """Ids of locations (`place_id`), one for each shard in order."""

    def __post_init__(self) -> None:
        """Raise UsageError for numbers that cannot be."""
        if not 1 <= self.parity <= PARITY_MAX:
            raise UsageError(f"a parity of {self.parity} cannot be", f"1 to {PARITY_MAX}")
        if self.data < DATA_MIN or self.shards > SHARDS_MAX:
            least = DATA_MIN + self.parity
            raise UsageError(
                f"parity {self.parity} over {self.shards} locations cannot be",
                f"each shard needs a location of its own, {least} to {SHARDS_MAX} of them",
                hint="Add locations with `strongroom location add URL`, or keep full copies.",
            )
        if len(set(self.places)) != self.shards:
            raise UsageError("parity needs one location for each shard", "they are not different")

    @property
    def shards(self) -> int:
        """Return how many shards a pack has."""
        return self.data + self.parity

    @classmethod
    def over(cls, places: Sequence[str], parity: int) -> "Parity":
        """Return the parity of a new vault over all of these locations."""
        return cls(len(places) - parity, parity, tuple(places))

    @classmethod
    def parse(cls, value: object) -> "Parity":
        """Read what `encode` made; raise Damaged for anything else."""
        match value:
            case {"data": int(data), "parity": int(parity), "locations": list(places), **rest}:
                named = all(isinstance(one, str) and _PLACE_ID.fullmatch(one) for one in places)
                if named and not rest and len(places) == data + parity:
                    try:
                        return cls(data, parity, tuple(places))
                    except UsageError as err:
                        raise Damaged("a vault's parity cannot be", str(err)) from err
            case _:
                pass
        raise Damaged("a vault's parity is malformed", "its fields are not those of parity")

    def encode(self) -> dict[str, object]:
        """Return what the config of the vault says."""
        return {"data": self.data, "parity": self.parity, "locations": list(self.places)}

    def seats(self, places: Mapping[str, str]) -> tuple[str, ...]:
        """Return the name of the location of each shard; empty for a seat that nobody takes.

        `places` has the ids of the locations there are, by name. One that the config does not
        name takes the seat of one that is gone.
        """
        names = {place: name for name, place in places.items()}
        spare = iter(sorted(name for name, place in places.items() if place not in self.places))
        return tuple(names.get(place) or next(spare, "") for place in self.places)

    def slice_bytes(self, size_bytes: int) -> int:
        """Return how long the body of each shard is, of a pack of this size."""
        return -(-size_bytes // self.data)

    def header(self, pack: bytes, index: int, size_bytes: int) -> bytes:
        """Return the fields that a shard begins with."""
        fields = (self.data, self.parity, index, 0, size_bytes)
        return _FIELDS.pack(_MAGIC, pack, *fields)

    def read_size(self, header: bytes, pack: bytes, index: int) -> int:
        """Return the size of the pack from the beginning of a shard of it; raises Damaged."""
        if len(header) < HEADER_BYTES:
            raise Damaged("a shard is cut short", f"{len(header)} bytes")
        size: int = _FIELDS.unpack_from(header)[-1]
        if header[: _FIELDS.size] != self.header(pack, index, size):
            raise Damaged("a shard does not begin as one", "it is another shard, or altered")
        if not 0 < size <= PACK_BYTES_MAX:
            raise Damaged("a shard claims a pack that cannot be", f"{size} bytes")
        return size

    def check(self, shard: bytes, pack: bytes, index: int, structure: bytes) -> int:
        """Return the size of the pack; raise Damaged unless this is its shard of this index."""
        size = self.read_size(shard, pack, index)
        body = memoryview(shard)[HEADER_BYTES:]
        if len(body) != self.slice_bytes(size):
            raise Damaged("a shard is cut short", f"{len(body)} of {self.slice_bytes(size)} bytes")
        wanted = shard_check(structure, shard[: _FIELDS.size], body)
        if shard[_FIELDS.size : HEADER_BYTES] != wanted:
            raise Damaged("a shard does not fit its check", "its bytes were altered")
        return size


def shard_check(structure: bytes, header: bytes, body: Bytes) -> bytes:
    """Return the check of a shard, which only who has the structure key can make."""
    return keyed_hash(derive(structure, "shard", b"", header))(body)


def place_id(structure: bytes, url: str) -> str:
    """Return the id under which a vault's config names a location; it tells strangers nothing."""
    return derive(structure, "place", b"", url.encode())[:_PLACE_ID_BYTES].hex()
