"""The tombstone: what will be deleted of a vault, said and signed before anything is.

Pure. It explains every hole that the deletion makes in a chain of snapshots, and names the index
objects of deleted snapshots that what stays still needs. Format: docs/formats/vault-v1.md.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec

from strongroom.clock import format_instant, parse_instant
from strongroom.crypto.envelope import Envelope, decode_envelope, sign_envelope
from strongroom.crypto.signing import key_id, public_key
from strongroom.errors import Damaged, UsageError
from strongroom.vault.codec import Zstandard
from strongroom.vault.place import VaultPlace

FORMAT: Final = "vault-v1"
KIND: Final = "tomb"
TOMB_BYTES_MAX: Final = 64 << 20
"""About half a million objects."""
_ID: Final = "[0-9a-f]{32}"
_HASH: Final = "[0-9a-f]{64}"
_NUMBER: Final = "[0-9]{8}"
_OBJECT: Final = re.compile(
    f"packs/([0-9a-f]{{2}})/\\1[0-9a-f]{{62}}|keys/{_ID}|index/{_HASH}"
    f"|snapshots/{_ID}/{_NUMBER}|receipts/{_ID}/{_NUMBER}/{_ID}"
    f"|redealt/{_NUMBER}/{_ID}|redeal-receipts/{_NUMBER}/{_ID}/{_ID}"
)
_NAME: Final = re.compile(f"({_ID})-({_NUMBER})")
_HASH_TEXT: Final = re.compile(_HASH)
_ID_TEXT: Final = re.compile(_ID)
_SEQUENCE_MAX: Final = 99_999_999
_FIELDS: Final = frozenset(
    (
        *("format", "install", "client", "vault", "writer", "generation"),
        *("created_at", "not_before", "goes", "stays"),
    )
)
_COUNTS: Final = frozenset(("snapshots", "objects", "bytes"))


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    snapshots: tuple[tuple[str, int, str, str], ...]
    objects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BuriedSnapshot:
    """A snapshot that goes; `index` is the hash of the index object that it names."""

    writer: str
    sequence: int
    hash: str
    index: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How much goes, or stays: one copy of everything."""

    snapshots: int
    objects: int
    bytes: int

    def fields(self) -> dict[str, int]:
        """Return them as a header has them."""
        return {"snapshots": self.snapshots, "objects": self.objects, "bytes": self.bytes}


@dataclass(frozen=True, slots=True)
class Tomb:
    """A tombstone; keys of objects are relative to the vault, and sorted like the snapshots."""

    writer: str
    generation: int
    created_at: datetime
    not_before: datetime
    snapshots: tuple[BuriedSnapshot, ...]
    objects: tuple[str, ...]
    goes: Counts
    stays: Counts

    @property
    def key(self) -> str:
        """Return where it lies, relative to the vault."""
        return tomb_key(self.writer, self.generation)

    def sign(self, place: VaultPlace, writer_seed: bytes) -> Envelope:
        """Return the signed object; what it says is read back before it leaves."""
        plain = msgspec.json.encode(
            _Body(
                tuple((one.writer, one.sequence, one.hash, one.index) for one in self.snapshots),
                self.objects,
            )
        )
        if len(plain) > TOMB_BYTES_MAX:
            raise UsageError(
                "too much goes for one tombstone",
                f"it takes {len(plain)} bytes, at most {TOMB_BYTES_MAX}",
                hint="Take it in portions with --oldest.",
            )
        header = {
            "format": FORMAT,
            "install": place.install,
            "client": place.client,
            "vault": place.vault,
            "writer": self.writer,
            "generation": self.generation,
            "created_at": format_instant(self.created_at),
            "not_before": format_instant(self.not_before),
            "goes": self.goes.fields(),
            "stays": self.stays.fields(),
        }
        envelope = sign_envelope(writer_seed, KIND, header, Zstandard().compress(plain))
        Tomb.parse(envelope.encode(), place, public_key(writer_seed), self.key)
        return envelope

    @staticmethod
    def parse(data: bytes, place: VaultPlace, writer: bytes, key: str) -> "Tomb":
        """Return the tombstone that this writer signed for this place; raises Damaged."""
        culprit = f"the tombstone {key[-41:]}"
        envelope = decode_envelope(data, culprit)
        envelope.statement.verify(writer, culprit)
        fields = envelope.statement.fields(KIND)
        where = (place.install, place.client, place.vault, key_id(writer))
        if set(fields) != _FIELDS or fields["format"] != FORMAT:
            raise Damaged(f"{culprit} is malformed", "its fields are others")
        if tuple(fields[name] for name in ("install", "client", "vault", "writer")) != where:
            raise Damaged(f"{culprit} belongs elsewhere", "its header names another place")
        generation = fields["generation"]
        if type(generation) is not int or not key.endswith(tomb_key(fields["writer"], generation)):
            raise Damaged(f"{culprit} belongs elsewhere", "it was moved there")
        try:
            packed = Zstandard().decompress(envelope.body, TOMB_BYTES_MAX)
            body = msgspec.json.decode(packed, type=_Body)
        except ValueError as err:
            raise Damaged(f"{culprit} cannot be read", str(err)) from err
        tomb = Tomb(
            fields["writer"],
            generation,
            parse_instant(fields["created_at"]),
            parse_instant(fields["not_before"]),
            tuple(BuriedSnapshot(*row) for row in body.snapshots),
            body.objects,
            _counts(fields["goes"], culprit),
            _counts(fields["stays"], culprit),
        )
        _check(tomb, culprit)
        return tomb


def is_object(key: str) -> bool:
    """Say whether a tombstone may list this key, which is relative to the vault."""
    return _OBJECT.fullmatch(key) is not None


def tomb_key(writer: str, generation: int) -> str:
    """Return where a writer's tombstone of this number lies, relative to the vault."""
    return f"tombs/{writer}-{generation:08d}"


def record_key(writer: str, sequence: int) -> str:
    """Return where a snapshot's record lies, relative to the vault."""
    return f"snapshots/{writer}/{sequence:08d}"


def split_tomb_name(name: str) -> tuple[str, int] | None:
    """Return writer and generation as the last part of a key gives them, or None."""
    match = _NAME.fullmatch(name)
    return None if match is None else (match[1], int(match[2]))


def _counts(raw: Any, culprit: str) -> Counts:
    whole = isinstance(raw, Mapping) and raw.keys() == _COUNTS
    if not whole or not all(type(one) is int and one >= 0 for one in raw.values()):
        raise Damaged(f"{culprit} is malformed", "its counts cannot be read")
    return Counts(raw["snapshots"], raw["objects"], raw["bytes"])


def _check(tomb: Tomb, culprit: str) -> None:
    """Raise Damaged unless the lists are sorted, whole, and as many as the header says."""
    if tomb.generation < 1 or tomb.not_before < tomb.created_at:
        raise Damaged(f"{culprit} is malformed", "its number or its times cannot be")
    if (tomb.goes.snapshots, tomb.goes.objects) != (len(tomb.snapshots), len(tomb.objects)):
        raise Damaged(f"{culprit} is malformed", "its lists are not as long as it says")
    for one in tomb.snapshots:
        hashes = all(_HASH_TEXT.fullmatch(text) for text in (one.hash, one.index))
        numbered = 1 <= one.sequence <= _SEQUENCE_MAX and _ID_TEXT.fullmatch(one.writer)
        if not (hashes and numbered):
            raise Damaged(f"{culprit} is malformed", f"a snapshot {one!a:.160}")
    for key in tomb.objects:
        if not is_object(key):
            raise Damaged(f"{culprit} is malformed", f"an object {key!a:.120}")
    order = [record_key(one.writer, one.sequence) for one in tomb.snapshots]
    for listed in (order, list(tomb.objects)):
        if sorted(set(listed)) != listed:
            raise Damaged(f"{culprit} is malformed", "its lists are not in order")
