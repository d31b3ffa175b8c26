"""The keys a vault works with: what a worker keeps, and what one session had dealt.

Neither shows its keys when printed. Who derives, seals and forgets them is told in
docs/formats/home-v1.md and share-v1.md; here they only pass through.
"""

from dataclasses import dataclass, field
from typing import Final

from strongroom.crypto import hashing, sealing, signing
from strongroom.ids import WriterId

_WRITER_ID_BYTES: Final = 16


def writer_of(public: bytes) -> WriterId:
    """Return the id of a writer: the first 16 bytes of the BLAKE3-256 of its public key."""
    return WriterId(hashing.content_hash(public)[:_WRITER_ID_BYTES].hex())


@dataclass(frozen=True, slots=True)
class WorkerKeys:
    """What a worker keeps, sealed at rest: none of it opens content."""

    dedup: bytes = field(repr=False)
    structure: bytes = field(repr=False)
    writer_seed: bytes = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse keys of a wrong length, which would fail far from their cause."""
        if {len(self.dedup), len(self.structure), len(self.writer_seed)} != {sealing.KEY_BYTES}:
            raise ValueError("a worker's keys have 32 bytes each")

    @property
    def writer_public(self) -> bytes:
        """Return the public key that verifies what this worker signs."""
        return signing.public_key(self.writer_seed)

    @property
    def writer_id(self) -> WriterId:
        """Return the id of this worker as a writer."""
        return writer_of(self.writer_public)


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The content keys of one session; `outer` only in class high."""

    session: str
    inner: bytes = field(repr=False)
    outer: bytes | None = field(repr=False)
