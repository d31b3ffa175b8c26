"""The one-time code by which a custodian and a server meet: they prove it over what TLS showed.

Neither has a certificate that the other one knows. Each sends a MAC over the key that the waiting
end showed at this connection, under a key derived from the code: somebody in between shows another
key, and what he passes on is refused. The code has 128 bits, so a MAC seen tells nothing of it; it
is spoken or typed, never sent. Format: docs/formats/transport-v1.md.
"""

import base64
import binascii
import hmac
from dataclasses import dataclass, field
from typing import Final

from strongroom.crypto.framing import frame
from strongroom.crypto.hashing import same
from strongroom.crypto.sealing import derive, derive_from_secret
from strongroom.errors import Refused, UsageError
from strongroom.ids import Token

CODE_BYTES: Final = 16
MAC_BYTES: Final = 32
_CHARACTERS: Final = 26
_GROUP: Final = 4
_ROLE: Final = b"strongroom/transport-v1/join"


class WrongJoinCode(Refused):
    """A proof of a join code does not hold: another code, or another key in between."""

    code = "join_code_wrong"
    hint = (
        "Compare the code with what the custodian shows. If it is right, somebody stands between "
        "the two: join over another network."
    )


@dataclass(frozen=True, slots=True)
class JoinCode:
    """A code as a person reads it out; its text is a secret until it has been used."""

    secret: bytes = field(repr=False)

    @classmethod
    def draw(cls, token: Token) -> "JoinCode":
        """Return a fresh code."""
        return cls(token(CODE_BYTES))

    @classmethod
    def parse(cls, text: str) -> "JoinCode":
        """Read a typed code, in any case and grouping; raises UsageError without repeating it."""
        letters = "".join(text.split()).replace("-", "").upper()
        try:
            secret = base64.b32decode(letters + "=" * 6)
        except (binascii.Error, ValueError):
            secret = b""
        if len(secret) != CODE_BYTES or cls(secret)._letters() != letters:
            raise UsageError(
                "this is not a join code",
                f"it has {_CHARACTERS} letters and digits from 2 to 7, in groups of {_GROUP}",
                "Type it as `custodian init` showed it.",
            )
        return cls(secret)

    def text(self) -> str:
        """Return the code in groups, to be shown once."""
        letters = self._letters()
        return "-".join(letters[at : at + _GROUP] for at in range(0, _CHARACTERS, _GROUP))

    def key(self) -> "JoinKey":
        """Return what proves the code without being it: the form in which it is kept."""
        return JoinKey(derive_from_secret(self.secret, frame(_ROLE, b"code")))

    def _letters(self) -> str:
        return base64.b32encode(self.secret).decode("ascii").rstrip("=")


@dataclass(frozen=True, slots=True)
class JoinKey:
    """The derived key of a code; `shown` is the waiting end's key as SubjectPublicKeyInfo in DER.

    Whoever has it can prove the code, so it is sealed where it is kept.
    """

    secret: bytes = field(repr=False)

    def invite(self, shown: bytes, invitation: bytes) -> bytes:
        """Return the server's proof over the key it was shown and what it says."""
        return self._mac("join-server", shown, invitation)

    def answer(self, shown: bytes, invitation: bytes, answer: bytes) -> bytes:
        """Return the custodian's proof over its own key, what it was told and what it says."""
        return self._mac("join-custodian", shown, invitation, answer)

    def check_invitation(self, shown: bytes, invitation: bytes, proof: bytes) -> None:
        """Raise WrongJoinCode unless the server that says this has the code and met our key."""
        if not same(self.invite(shown, invitation), proof):
            raise WrongJoinCode("who asks to join this custodian has not proved the code")

    def check_answer(self, shown: bytes, invitation: bytes, answer: bytes, proof: bytes) -> None:
        """Raise WrongJoinCode unless the custodian that says this has the code, and that key."""
        if not same(self.answer(shown, invitation, answer), proof):
            raise WrongJoinCode("who answers as a custodian has not proved the code")

    def _mac(self, kind: str, *parts: bytes) -> bytes:
        return hmac.digest(derive(self.secret, kind), frame(_ROLE, *parts), "sha256")
