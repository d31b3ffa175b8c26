"""The body of a snapshot: which sources, which runs, and one sealed root for each source.

Pure. The structure is sealed under the structure key, so it can be read without any content key;
the roots need the keys of their sessions. Everything foreign is parsed closed and with limits.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from strongroom.crypto.framing import frame
from strongroom.crypto.sealing import SALT_BYTES, TAG_BYTES, open_sealed, seal
from strongroom.errors import Damaged, UsageError
from strongroom.ids import ID_BYTES, check_file_name
from strongroom.vault.chunker import PROFILES
from strongroom.vault.keys import SessionKeys
from strongroom.vault.runs import Run, read_runs
from strongroom.vault.segment import Codec, open_root, seal_root
from strongroom.vault.source import Fact, Facts

STRUCTURE_BYTES_MAX: Final = 64 << 20
SOURCES_MAX: Final = 100_000
ROOT_BYTES_MAX: Final = 16 << 20
_KIND: Final = "structure"
_INTEGER_MAX: Final = (1 << 63) - 1


class Client(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"kind": "class"}):
    """Whose data it is: enough to name and keep it when only the locations are left."""

    name: str
    kind: str
    keep: dict[str, int]


class Carried(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A source that failed and is not in this snapshot, and why."""

    id: str
    name: str
    reason: str


class SourceRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One source of a snapshot; `data` and `recipe` are flat runs."""

    id: str
    name: str
    url: str
    kind: str
    session: str
    profile: str
    entries: int
    skipped: int
    read_bytes: int
    plain_bytes: int
    stored_bytes: int
    data: tuple[int, ...]
    recipe: tuple[int, ...]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    client: Client
    segments: str
    sources: tuple[SourceRecord, ...]
    carried: tuple[Carried, ...]


class Root(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What only the keys of a source's session show."""

    facts: dict[str, str | int | bool | list[str] | dict[str, int | str] | None]
    facts_salt: str
    recipe_bytes: int
    recipe_blake3: str
    data_chunks: int


@dataclass(frozen=True, slots=True)
class Structure:
    """A parsed snapshot body; the sealed roots stand in the order of the sources."""

    client: Client
    segments: bytes
    sources: tuple[SourceRecord, ...]
    carried: tuple[Carried, ...]
    roots: tuple[bytes, ...]
    writer_public: bytes = b""

    def segment(self, number: int) -> bytes:
        """Return the id of a segment by its number."""
        return self.segments[number * ID_BYTES : (number + 1) * ID_BYTES]

    @property
    def segment_count(self) -> int:
        """Return how many segments the snapshot refers to."""
        return len(self.segments) // ID_BYTES

    def source(self, source_id: str) -> SourceRecord:
        """Return one source; raises UsageError when it is not in this snapshot."""
        return self.sources[self._position(source_id)]

    def root(self, source_id: str) -> bytes:
        """Return the sealed root of one source, salt first."""
        return self.roots[self._position(source_id)]

    def runs(self, flat: Sequence[int]) -> tuple[Run, ...]:
        """Return the runs of a stream after checking them."""
        return read_runs(flat, self.segment_count, "a snapshot")

    def _position(self, source_id: str) -> int:
        for at, source in enumerate(self.sources):
            if source.id == source_id:
                return at
        raise UsageError(f"the snapshot holds no source {source_id}")


def structure_context(vault: bytes, writer_public: bytes, sequence: int) -> bytes:
    """Return the place of a structure, which its seal binds."""
    return frame(vault, writer_public, sequence.to_bytes(8, "little"))


def encode_body(
    structure: Structure, key: bytes, context: bytes, salt: bytes, codec: Codec
) -> bytes:
    """Return the body of a snapshot object; raises Damaged for one that no reader would take."""
    _check_names(structure)
    table = _Table(
        client=structure.client,
        segments=base64.b64encode(structure.segments).decode(),
        sources=structure.sources,
        carried=structure.carried,
    )
    plain = msgspec.json.encode(table)
    if len(plain) > STRUCTURE_BYTES_MAX:
        raise UsageError(
            "the snapshot is too large for one structure",
            f"it takes {len(plain)} bytes, at most {STRUCTURE_BYTES_MAX}",
            hint="Give the largest sources a client of their own.",
        )
    packed = codec.compress(plain)
    sealed = salt + seal(key, _KIND, salt, context, packed)
    parts = [len(sealed).to_bytes(4, "little"), sealed]
    for root in structure.roots:
        parts += [len(root).to_bytes(4, "little"), root]
    return b"".join(parts)


def decode_body(body: bytes, key: bytes, context: bytes, codec: Codec) -> Structure:
    """Open and parse the body of a snapshot; raises Damaged."""
    sealed, *roots = _split(body)
    packed = open_sealed(key, _KIND, sealed[:SALT_BYTES], context, sealed[SALT_BYTES:])
    try:
        table = msgspec.json.decode(codec.decompress(packed, STRUCTURE_BYTES_MAX), type=_Table)
        segments = base64.b64decode(table.segments, validate=True)
    except (ValueError, binascii.Error) as err:
        raise Damaged("the structure of a snapshot cannot be read", str(err)) from err
    if len(segments) % ID_BYTES or len(roots) != len(table.sources):
        raise Damaged(
            "the structure of a snapshot is malformed",
            f"{len(roots)} roots for {len(table.sources)} sources",
        )
    structure = Structure(table.client, segments, table.sources, table.carried, tuple(roots))
    _check_names(structure)
    _check_sources(structure)
    return structure


def seal_source_root(vault: bytes, keys: SessionKeys, salt: bytes, root: Root) -> bytes:
    """Return the root of one source, sealed under its session, salt first."""
    return salt + seal_root(vault, keys, salt, msgspec.json.encode(root))


def open_source_root(vault: bytes, keys: SessionKeys, sealed: bytes) -> Root:
    """Open and parse the root of one source; raises Damaged."""
    plain = open_root(vault, keys, sealed[:SALT_BYTES], sealed[SALT_BYTES:])
    try:
        return msgspec.json.decode(plain, type=Root)
    except ValueError as err:
        raise Damaged("the root of a source cannot be read", str(err)) from err


def make_client(client: Mapping[str, object]) -> Client:
    """Return the client of a body; refuses what the format does not list."""
    try:
        return msgspec.convert(client, type=Client)
    except ValueError as err:
        raise UsageError("a snapshot's client cannot be written", str(err)) from err


def make_root(facts: Facts, **fields: str | int) -> Root:
    """Return the root of a source; refuses facts that JSON or the format cannot hold."""
    try:
        return msgspec.convert({"facts": dict(facts), **fields}, type=Root)
    except ValueError as err:
        raise UsageError("a source's facts cannot be written", str(err)) from err


def facts_of(root: Root) -> Facts:
    """Return the facts of a root in the types a source gives them."""
    facts: dict[str, Fact] = {}
    for name, fact in root.facts.items():
        if isinstance(fact, dict):
            numbers = {key: one for key, one in fact.items() if isinstance(one, int)}
            texts = {key: one for key, one in fact.items() if isinstance(one, str)}
            if numbers and texts:
                raise Damaged("the facts of a source are malformed", f"{name!a:.40} mixes types")
            facts[name] = texts or numbers
        else:
            facts[name] = fact
    return facts


def _split(body: bytes) -> list[bytes]:
    parts: list[bytes] = []
    at = 0
    while at < len(body):
        length = int.from_bytes(body[at : at + 4], "little")
        most = ROOT_BYTES_MAX if parts else STRUCTURE_BYTES_MAX
        at += 4 + length
        if not SALT_BYTES + TAG_BYTES <= length <= most or at > len(body):
            raise Damaged("the body of a snapshot is cut short", f"a part claims {length} bytes")
        parts.append(body[at - length : at])
    if not 1 <= len(parts) <= SOURCES_MAX + 1:
        raise Damaged("the body of a snapshot is malformed", f"it has {len(parts)} parts")
    return parts


def _check_names(structure: Structure) -> None:
    """Refuse a name that a restore cannot use as it is for one file, and signs nobody can see."""
    seen: set[str] = set()
    names = [one.name for one in structure.sources] + [one.name for one in structure.carried]
    for name in names:
        try:
            check_file_name(name)
        except ValueError as err:
            raise Damaged(
                "the structure of a snapshot is malformed",
                f"a source cannot be named {name!a:.60}: {err}",
            ) from err
        if name in seen:
            raise Damaged(
                "the structure of a snapshot is malformed", f"two sources are named {name}"
            )
        seen.add(name)
    for source in structure.sources:
        if not (source.url + source.kind).isprintable():
            raise Damaged(
                "the structure of a snapshot is malformed",
                f"the URL or kind of {source.name} holds a sign that cannot be printed",
            )


def _check_sources(structure: Structure) -> None:
    seen: set[str] = set()
    for carried in structure.carried:
        if not _is_id(carried.id):
            raise Damaged(
                "the structure of a snapshot is malformed", f"{carried.id!a:.40} is no id"
            )
    for source in structure.sources:
        numbers = (
            source.entries,
            source.skipped,
            source.read_bytes,
            source.plain_bytes,
            source.stored_bytes,
        )
        counted = min(numbers) >= 0 and max(numbers) <= _INTEGER_MAX
        if source.id in seen or source.profile not in PROFILES or not counted:
            raise Damaged("the structure of a snapshot is malformed", f"source {source.id!a:.40}")
        seen.add(source.id)
        for name in (source.id, source.session):
            if not _is_id(name):
                raise Damaged("the structure of a snapshot is malformed", f"{name!a:.40} is no id")
        structure.runs(source.data)
        structure.runs(source.recipe)


def _is_id(text: str) -> bool:
    return len(text) == 2 * ID_BYTES and not set(text) - set("0123456789abcdef")
