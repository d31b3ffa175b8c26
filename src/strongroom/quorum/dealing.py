"""Dealing: a session's keys drawn, split, sealed to the custodians and forgotten.

`Dealing.deal` is the one place where a key exists whole on the way in, and `deal_anew` where one is
dealt again to another roster. Each share is committed to with a salted hash, never with a point:
s*G would give the share to a quantum computer. The result is the keys object; `Dealing` reads it.
Pure: chance is an argument; docs/formats/share-v1.md.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from strongroom.crypto.envelope import Envelope, Statement, sign_envelope
from strongroom.crypto.framing import frame
from strongroom.crypto.hashing import same
from strongroom.crypto.public_sealing import OVERHEAD_BYTES, open_from, seal_to
from strongroom.crypto.scalars import SCALAR_BYTES, parse_scalar
from strongroom.crypto.sealing import (
    KEY_BYTES,
    SALT_BYTES,
    derive_from_secret,
    open_sealed,
    seal,
)
from strongroom.errors import Damaged
from strongroom.ids import Token
from strongroom.quorum.fields import HASH_DIGITS, Fields, checked_base64, checked_hex, to_base64
from strongroom.quorum.label import FORMAT, Label, dealings_of, role, share_hash
from strongroom.quorum.shares import COUNT_MAX, Point, check_windows, combine, draw_secret, split

KIND = "keys"
STRUCTURE_KIND = "structure-key"
RHO_BYTES = 32
OPENED_BYTES = SCALAR_BYTES + RHO_BYTES
SEALED_BYTES = OVERHEAD_BYTES + OPENED_BYTES
DEALINGS_MAX = 2
HEADER_BYTES_MAX = 256 << 10
"""32 members and two dealings take about 115 KB; a custodian reads no more than this."""


class SealedElsewhere(Damaged):
    """A sealed share that this seed does not open: it was altered, or sealed to another key."""


@dataclass(frozen=True, slots=True)
class Part:
    """One dealing as the keys object holds it; lists are by index, from 1."""

    check: bytes
    commitments: tuple[bytes, ...]
    shares: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Redealt:
    """Of what a dealing is another one: the first roster, and the hash of the first object."""

    roster_id: str
    keys: str

    @classmethod
    def parse(cls, raw: object, label: Label, what: str) -> "Redealt":
        """Read the field; raise Damaged where it names the roster that this one is dealt to."""
        fields = Fields(raw, what)
        redealt = cls(fields.hash("roster"), fields.hash("keys"))
        fields.done()
        if redealt.roster_id == label.roster_id:
            raise fields.refuse("it was dealt anew to the roster that had it")
        return redealt

    def to_json(self) -> dict[str, str]:
        """Return the field as headers hold it."""
        return {"roster": self.roster_id, "keys": self.keys}


@dataclass(frozen=True, slots=True)
class Dealt:
    """What a backup takes away: the object to store, and the content keys to forget after use."""

    keys_object: Envelope
    inner: bytes = field(repr=False)
    outer: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Dealing:
    """A keys object that was read: whose key it is, and its one or two dealings."""

    label: Label
    parts: tuple[Part, ...]
    hash: str
    redealt: Redealt | None = None

    @property
    def first(self) -> Redealt:
        """Return the roster that this session was first dealt to, and the hash of that object."""
        return self.redealt or Redealt(self.label.roster_id, self.hash)

    @property
    def first_label(self) -> Label:
        """Return the label that the content keys are derived with, whoever holds them now."""
        return replace(self.label, roster_id=self.first.roster_id)

    @staticmethod
    def deal(
        label: Label,
        client_keys: Sequence[bytes],
        writer_seed: bytes,
        structure_key: bytes,
        token: Token,
    ) -> Dealt:
        """Draw, split and seal the keys of one session; `client_keys` are in order of index."""
        if len(client_keys) != label.members:
            raise ValueError(f"{label.members} client keys are needed, got {len(client_keys)}")
        numbers = range(1, dealings_of(label.vault_class) + 1)
        parts: list[Part] = []
        keys: list[bytes] = []
        for number in numbers:
            secret = draw_secret(token)
            parts.append(_deal_one(label, number, secret, client_keys, token))
            keys.append(_content_key(label, number, secret))
        inner = keys[0]
        salt = token(SALT_BYTES)
        wrapped = seal(inner, STRUCTURE_KIND, salt, _place(label), structure_key)
        fields = _header(label, parts)
        envelope = sign_envelope(writer_seed, KIND, fields, salt + wrapped)
        return Dealt(envelope, inner, keys[1] if len(keys) > 1 else None)

    def deal_anew(
        self,
        keys_object: Envelope,
        roster_id: str,
        secrets: Sequence[bytes],
        seats: tuple[Sequence[bytes], bytes],
        token: Token,
    ) -> Envelope:
        """Split and seal the secrets of this dealing again, to the next roster of its line.

        `keys_object` is what this was read from, `secrets` what `secret` gave, in order, and
        `seats` the client keys in order of index and the writer's seed. Raises Damaged where they
        do not open it: nothing is dealt then that nobody could use.
        """
        client_keys, writer_seed = seats
        if len(client_keys) != self.label.members or len(secrets) != len(self.parts):
            raise ValueError(f"{self.label.members} client keys and every secret are needed")
        label = replace(self.label, roster_id=roster_id)
        for number, secret in enumerate(secrets, 1):
            self._check_secret(number, secret)
        unwrap_structure_key(keys_object, _content_key(self.first_label, 1, secrets[0]))
        parts = [
            _deal_one(label, number, secret, client_keys, token)
            for number, secret in enumerate(secrets, 1)
        ]
        fields = {**_header(label, parts), "redealt": self.first.to_json()}
        envelope = sign_envelope(writer_seed, KIND, fields, keys_object.body)
        self.check_anew(keys_object, Dealing.parse(envelope.statement), envelope)
        return envelope

    def check_anew(self, former: Envelope, anew: "Dealing", envelope: Envelope) -> None:
        """Raise Damaged unless another object is of this session, dealt to another roster.

        This was read from `former`, and `anew` from `envelope`. That its shares give the same
        secrets is nothing that anybody can see who does not hold them.
        """
        what = f"the keys object of session {anew.label.session} that was dealt anew"
        if anew.redealt != self.first or anew.label.roster_id == self.label.roster_id:
            raise Damaged(f"{what} is malformed", "it does not name what was first dealt")
        if replace(anew.label, roster_id=self.label.roster_id) != self.label:
            raise Damaged(f"{what} is malformed", "its label is of something else")
        if envelope.body != former.body:
            raise Damaged(f"{what} is malformed", "its body is another one")

    @classmethod
    def parse(cls, statement: Statement) -> "Dealing":
        """Read a keys object's header; whoever calls asks for the signature it needs."""
        if len(statement.header) > HEADER_BYTES_MAX:
            raise Damaged("a keys object is malformed", f"over {HEADER_BYTES_MAX} bytes")
        fields = Fields(statement.fields(KIND), "a keys object")
        fields.exact("format", FORMAT)
        label = Label.parse(fields.take("label"), "the label of a keys object")
        fields.what = f"the keys object of session {label.session}"
        listed = fields.list("dealings", DEALINGS_MAX)
        redealt = None
        if fields.has("redealt"):
            redealt = Redealt.parse(fields.take("redealt"), label, fields.what)
        fields.done()
        # Counts come first: a loop over an empty list would check nothing and call it good.
        if len(listed) != dealings_of(label.vault_class):
            raise fields.refuse(f"class {label.vault_class} does not have {len(listed)} dealings")
        parts = tuple(_parse_part(item, label.members, fields.what) for item in listed)
        return cls(label, parts, statement.hash.hex(), redealt)

    def open_own(self, number: int, index: int, seed: bytes, culprit: str) -> bytes:
        """Open the share sealed to this index; return its 64 bytes once the commitment fits.

        Raises SealedElsewhere where the seed is not that of the key it was sealed to.
        """
        sealed = self.parts[number - 1].shares[index - 1]
        info = role("share", self.label.hash, u8(number), u8(index))
        try:
            opened = open_from(seed, sealed, info)
        except Damaged as err:
            raise SealedElsewhere(
                f"{culprit}: the share sealed to it in session {self.label.session} does not open",
                err.why,
            ) from err
        self.check_share(number, index, opened, culprit)
        return opened

    def check_share(self, number: int, index: int, opened: bytes, culprit: str) -> None:
        """Raise Damaged naming the culprit unless the opened share fits its commitment."""
        share, rho = opened[:SCALAR_BYTES], opened[SCALAR_BYTES:]
        if len(rho) != RHO_BYTES:
            raise Damaged(f"{culprit}: its share has the wrong length", f"{len(opened)} bytes")
        parse_scalar(share, f"{culprit}: its share")
        found = commitment_to(self.label, number, index, opened)
        if not same(found, self.parts[number - 1].commitments[index - 1]):
            raise Damaged(
                f"{culprit}: its share does not match its commitment",
                f"session {self.label.session}, dealing {number}",
            )

    def content_key(self, number: int, points: Sequence[Point]) -> bytes:
        """Combine exactly t shares and return the content key once the check value fits."""
        return _content_key(self.first_label, number, self.secret(number, points))

    def secret(self, number: int, points: Sequence[Point]) -> bytes:
        """Combine exactly t shares and return the secret itself, to be dealt anew and forgotten."""
        secret = combine(points, self.label.threshold, self.label.members)
        self._check_secret(number, secret)
        return secret

    def _check_secret(self, number: int, secret: bytes) -> None:
        if not same(check_value(self.label, number, secret), self.parts[number - 1].check):
            raise Damaged(
                f"the shares of session {self.label.session} do not give its key",
                f"dealing {number}: the shares fit their commitments, so it was dealt wrongly",
            )


def unwrap_structure_key(keys_object: Envelope, inner: bytes) -> bytes:
    """Return the structure key that a keys object holds under its own session's content key."""
    label = Dealing.parse(keys_object.statement).label
    salt, wrapped = keys_object.body[:SALT_BYTES], keys_object.body[SALT_BYTES:]
    if len(salt) != SALT_BYTES:
        raise Damaged(f"the keys object of session {label.session} is malformed", "no body")
    key = open_sealed(inner, STRUCTURE_KIND, salt, _place(label), wrapped)
    if len(key) != KEY_BYTES:
        raise Damaged(f"the structure key of session {label.session} is malformed", "its length")
    return key


def commitment_to(label: Label, number: int, index: int, opened: bytes) -> bytes:
    """Return h_i for a share and its salt, 64 bytes together."""
    share, rho = opened[:SCALAR_BYTES], opened[SCALAR_BYTES:]
    return share_hash("commitment", label.hash, u8(number), u8(index), share, rho)


def check_value(label: Label, number: int, secret: bytes) -> bytes:
    """Return c_d, which tells the right secret from a wrong one."""
    return hmac.digest(secret, role("check", label.hash, u8(number)), "sha256")


def u8(value: int) -> bytes:
    """Return one byte."""
    return value.to_bytes(1, "little")


def _content_key(label: Label, number: int, secret: bytes) -> bytes:
    return derive_from_secret(secret, role("content", label.hash, u8(number)))


def _place(label: Label) -> bytes:
    return frame(bytes.fromhex(label.vault), bytes.fromhex(label.session))


def _header(label: Label, parts: Sequence[Part]) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "label": label.to_json(),
        "dealings": [
            {
                "check": part.check.hex(),
                "commitments": [commitment.hex() for commitment in part.commitments],
                "shares": [to_base64(share) for share in part.shares],
            }
            for part in parts
        ],
    }


def _deal_one(
    label: Label, number: int, secret: bytes, client_keys: Sequence[bytes], token: Token
) -> Part:
    points = split(secret, label.threshold, label.members, token)
    commitments: list[bytes] = []
    sealed: list[bytes] = []
    for (index, share), public in zip(points, client_keys, strict=True):
        opened = share + token(RHO_BYTES)
        commitments.append(commitment_to(label, number, index, opened))
        info = role("share", label.hash, u8(number), u8(index))
        sealed.append(seal_to(public, opened, info))
    check_windows(secret, points, label.threshold)
    return Part(check_value(label, number, secret), tuple(commitments), tuple(sealed))


def _parse_part(raw: object, members: int, what: str) -> Part:
    fields = Fields(raw, what)
    check = fields.key("check")
    commitments = fields.list("commitments", COUNT_MAX)
    sealed = fields.list("shares", COUNT_MAX)
    fields.done()
    if len(commitments) != members or len(sealed) != members:
        raise fields.refuse(f"it needs {members} commitments and {members} shares")
    return Part(
        check,
        tuple(
            bytes.fromhex(checked_hex(item, HASH_DIGITS, "commitments", what))
            for item in commitments
        ),
        tuple(checked_base64(item, SEALED_BYTES, "shares", what) for item in sealed),
    )
