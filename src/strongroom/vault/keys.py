"""The keys a vault works with: what a worker keeps, and what one session had dealt.

Neither shows its keys when printed. Who derives, seals and forgets them is told in
docs/formats/home-v1.md and share-v1.md; here they only pass through.
"""

from dataclasses import dataclass, field

from strongroom.crypto import sealing, signing
from strongroom.errors import Damaged
from strongroom.ids import Token, WriterId


@dataclass(frozen=True, slots=True)
class WorkerKeys:
    """What a worker keeps, sealed at rest: none of it opens content."""

    dedup: bytes = field(repr=False)
    structure: bytes = field(repr=False)
    writer_seed: bytes = field(repr=False)
    writer_public: bytes = field(init=False, repr=False, compare=False)
    """The public key that verifies what this worker signs."""

    def __post_init__(self) -> None:
        """Refuse keys of a wrong length, which would fail far from their cause."""
        if {len(self.dedup), len(self.structure), len(self.writer_seed)} != {sealing.KEY_BYTES}:
            raise ValueError("a worker's keys have 32 bytes each")
        object.__setattr__(self, "writer_public", signing.public_key(self.writer_seed))

    @classmethod
    def draw(cls, token: Token) -> "WorkerKeys":
        """Return the keys of a new worker."""
        return cls(*(token(sealing.KEY_BYTES) for _ in range(3)))

    def encode(self) -> bytes:
        """Return the bytes to seal: one key after the other."""
        return self.dedup + self.structure + self.writer_seed

    @classmethod
    def parse(cls, data: bytes) -> "WorkerKeys":
        """Read what `encode` wrote; raise Damaged, without a byte of it, otherwise."""
        if len(data) != 3 * sealing.KEY_BYTES:
            raise Damaged("a worker's keys cannot be read", "they are not what was sealed")
        size = sealing.KEY_BYTES
        return cls(data[:size], data[size : 2 * size], data[2 * size :])

    @property
    def writer_id(self) -> WriterId:
        """Return the id of this worker as a writer."""
        return WriterId(signing.key_id(self.writer_public))


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """The content keys of one session; `outer` only in class high."""

    session: str
    inner: bytes = field(repr=False)
    outer: bytes | None = field(repr=False)
