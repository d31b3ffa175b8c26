"""A device key: what an approver signs with, sealed under a passphrase in a file of its own.

It lies with the approver and never with the server: whoever steals the server has no approval.
The file says whose key it is before anything is opened. Format: docs/formats/device-v1.md.
"""

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from strongroom.crypto import passphrase, sealing, signing
from strongroom.errors import Damaged, Refused, UsageError
from strongroom.ids import Token

DEVICE_LENGTH_MAX: Final = 512
PASSPHRASE_LENGTH_MIN: Final = 12
_WORD: Final = "strongroom-device-v1"
_LINE: Final = re.compile(
    rf"{_WORD} ([0-9a-f]{{64}}) ([0-9a-f]{{32}}) ([0-9a-f]{{32}}) ([0-9a-f]{{96}})\n"
)
_KIND: Final = "device"


class WrongPassphrase(Refused):
    """The passphrase of a device key is another one."""

    code = "wrong_passphrase"
    hint = "Type it again. Nobody can replace it: a new device needs a change of the policy."


@dataclass(frozen=True, slots=True)
class Device:
    """A sealed device key; `public` is what a policy lists, `id` how it names the approver."""

    BYTES_MAX: ClassVar[int] = DEVICE_LENGTH_MAX

    public: bytes
    salt: bytes
    seal_salt: bytes
    sealed: bytes

    @classmethod
    def make(cls, words: str, token: Token) -> "Device":
        """Draw a key and seal it under this passphrase; takes about a quarter of a second."""
        if len(words) < PASSPHRASE_LENGTH_MIN:
            raise UsageError(
                "the passphrase is too short",
                f"{len(words)} characters, wanted {PASSPHRASE_LENGTH_MIN} or more",
                hint="Take four or five words that do not belong together. Nothing was made.",
            )
        seed, salt, seal_salt = (token(size) for size in _SIZES)
        public = signing.public_key(seed)
        key = passphrase.stretch(words, salt)
        return cls(public, salt, seal_salt, sealing.seal(key, _KIND, seal_salt, public, seed))

    @classmethod
    def parse(cls, text: str) -> "Device":
        """Read what `encode` wrote; raises Damaged for anything else."""
        found = _LINE.fullmatch(text[: DEVICE_LENGTH_MAX + 1])
        if found is None:
            raise Damaged(
                "this is no device key",
                f"its line does not begin {_WORD}, or is cut short",
                hint="Name the file that `strongroom procedure device --to FILE` wrote.",
            )
        return cls(*(bytes.fromhex(part) for part in found.groups()))

    @property
    def id(self) -> str:
        """Return the id of the public key."""
        return signing.key_id(self.public)

    def encode(self) -> str:
        """Return the one line of the file."""
        parts = (self.public, self.salt, self.seal_salt, self.sealed)
        return " ".join((_WORD, *(part.hex() for part in parts))) + "\n"

    def open(self, words: str) -> bytes:
        """Return the seed; raises WrongPassphrase."""
        key = passphrase.stretch(words, self.salt)
        try:
            return sealing.open_sealed(key, _KIND, self.seal_salt, self.public, self.sealed)
        except Damaged as err:
            raise WrongPassphrase(
                f"the device key {self.public.hex()[:12]} stays closed",
                "the passphrase is another one, or the file was altered",
            ) from err


_SIZES: Final = (signing.SEED_BYTES, passphrase.SALT_BYTES, sealing.SALT_BYTES)
