"""The snapshot header: signed by the writer, in clear, and exactly what custodians act on.

It carries the sequence and the hash of the snapshot before it (the anchor against rollback) and
the list of sessions that a release of this snapshot opens: no more, no fewer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import ClassVar

from strongroom.clock import format_instant
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, Statement, sign_envelope
from strongroom.errors import Damaged
from strongroom.ids import ClientId, InstallId, SessionId, VaultId, WriterId
from strongroom.quorum.fields import HASH_DIGITS, ID_DIGITS, Fields, checked_hex
from strongroom.quorum.label import VaultClass, take_class

KIND = "snapshot"
FORMAT = "vault-v1"
SESSIONS_MAX = 10_000
READ_MAX = 8


@dataclass(frozen=True, slots=True)
class SnapshotHeader:
    """What a snapshot says in clear; `fresh` pairs each new session with its keys object's hash."""

    install: InstallId
    client: ClientId
    vault: VaultId
    vault_class: VaultClass
    writer: WriterId
    sequence: int
    previous: str
    created_at: datetime
    generation: int
    roster: str
    index: str
    fresh: tuple[tuple[SessionId, str], ...]
    sessions: tuple[SessionId, ...]

    NO_PREVIOUS: ClassVar = "0" * HASH_DIGITS
    """What the first snapshot of a writer has for `previous`."""

    def sign(self, seed: bytes, body: bytes) -> Envelope:
        """Return the snapshot object; what it says is read back and checked before it leaves."""
        envelope = sign_envelope(
            seed,
            KIND,
            {
                "format": FORMAT,
                "install": self.install,
                "client": self.client,
                "vault": self.vault,
                "class": self.vault_class,
                "writer": self.writer,
                "sequence": self.sequence,
                "previous": self.previous,
                "created_at": format_instant(self.created_at),
                "generation": self.generation,
                "roster": self.roster,
                "index": self.index,
                "fresh": [{"session": session, "keys": keys} for session, keys in self.fresh],
                "sessions": list(self.sessions),
            },
            body,
        )
        SnapshotHeader.parse(envelope.statement, signing.public_key(seed))
        return envelope

    @staticmethod
    def parse(statement: Statement, writer_public: bytes) -> "SnapshotHeader":
        """Return the header after checking this writer's signature and every field."""
        header = SnapshotHeader.read(statement)
        what = f"snapshot {header.sequence} of vault {header.vault[:8]}"
        statement.verify(writer_public, what)
        if header.writer != SnapshotHeader.writer_id(writer_public):
            raise Damaged(f"{what} is malformed", "its writer is not the key that signed it")
        return header

    @staticmethod
    @lru_cache(READ_MAX)
    def read(statement: Statement) -> "SnapshotHeader":
        """Return the fields without asking who signed them; only to find the writer to ask.

        The last few are remembered by their exact bytes: a backup, three custodians and the
        receipts they sign all read the same one.
        """
        fields = Fields(statement.fields(KIND), "a snapshot header")
        fields.exact("format", FORMAT)
        header = SnapshotHeader(
            install=InstallId(fields.id("install")),
            client=ClientId(fields.id("client")),
            vault=VaultId(fields.id("vault")),
            vault_class=take_class(fields),
            writer=WriterId(fields.id("writer")),
            sequence=fields.number("sequence", 1),
            previous=fields.hash("previous"),
            created_at=fields.instant("created_at"),
            generation=fields.number("generation", 0),
            roster=fields.hash("roster"),
            index=fields.hash("index"),
            fresh=tuple(_parse_fresh(item) for item in fields.list("fresh", SESSIONS_MAX)),
            sessions=tuple(
                SessionId(checked_hex(item, ID_DIGITS, "sessions", fields.what))
                for item in fields.list("sessions", SESSIONS_MAX)
            ),
        )
        fields.done()
        _check_lists(header, fields)
        return header

    @staticmethod
    def writer_id(public: bytes) -> WriterId:
        """Return the id of a writer's Ed25519 key."""
        return WriterId(signing.key_id(public))


def _parse_fresh(raw: object) -> tuple[SessionId, str]:
    fields = Fields(raw, "a fresh session of a snapshot header")
    session = SessionId(fields.id("session"))
    keys = fields.hash("keys")
    fields.done()
    return session, keys


def _check_lists(header: SnapshotHeader, fields: Fields) -> None:
    if not _is_sorted_set(header.sessions):
        raise fields.refuse("sessions must be sorted and distinct")
    fresh = [session for session, _ in header.fresh]
    if len(set(fresh)) != len(fresh) or not set(fresh) <= set(header.sessions):
        raise fields.refuse("fresh must name distinct sessions of the list")
    if (header.sequence == 1) != (header.previous == SnapshotHeader.NO_PREVIOUS):
        raise fields.refuse("only the first snapshot of a writer has no previous one")


def _is_sorted_set(items: Sequence[str]) -> bool:
    return all(left < right for left, right in pairwise(items))
