"""The device key of this home: with it the one person of mode `single` approves.

It lies in the home under a passphrase, or under the key file alone; then nobody is asked, and every
fact says so. docs/formats/home-v1.md, the secrets `operator` and `device`.
"""

from collections.abc import Callable
from typing import Final

from strongroom.crypto import passphrase, sealing, signing
from strongroom.errors import Damaged, Refused
from strongroom.operations.credentials import Secrets

OPERATOR: Final = "operator"
RECOVERED: Final = "device"
"""The secret with the device key of who recovered, in the form of the secret `operator`."""
_SALTS: Final = (1, 1 + passphrase.SALT_BYTES, 1 + passphrase.SALT_BYTES + sealing.SALT_BYTES)


class NoDeviceKey(Refused):
    """Nobody can approve here: no key, or no passphrase for it."""

    code = "no_device_key"
    hint = "Run it on a terminal, or pass --passphrase-file."


class WrongPassphrase(Refused):
    """The passphrase of the operator's key is another one."""

    code = "wrong_passphrase"
    hint = "Type it again; nothing was asked of the custodians."


def nobody_to_ask() -> str:
    """Refuse: there is neither a terminal nor a file with the passphrase."""
    raise NoDeviceKey(
        "the operator's key is under a passphrase, and nobody can be asked for it here",
        "without it nothing is signed or approved here",
    )


def nobody_agrees(question: str) -> None:
    """Refuse: there is nobody who could say yes."""
    raise Refused("this needs a yes, and nobody can be asked here", question)


class DeviceKey:
    """Opens the device key once, when something is to be approved first.

    `agree` asks the person yes or no, for what is not signed without a word, and raises on a no.
    """

    def __init__(
        self, secrets: Secrets, ask: Callable[[], str], agree: Callable[[str], None]
    ) -> None:
        """Take where the secrets lie, and what asks for the passphrase and for a yes."""
        self._secrets = secrets
        self._ask = ask
        self.agree = agree
        self._seed: bytes | None = None

    @property
    def unattended(self) -> bool:
        """Return whether the key file alone opens it."""
        return self._stored()[:1] == b"K"

    def seed(self) -> bytes:
        """Return the seed; asks for the passphrase the first time, where there is one.

        Raises NoDeviceKey or WrongPassphrase.
        """
        if self._seed is None:
            stored = self._stored()
            self._seed = stored[1:] if stored[:1] == b"K" else _open(stored, self._ask())
        if len(self._seed) != signing.SEED_BYTES:
            raise Damaged("the operator's key is malformed", f"{len(self._seed)} bytes")
        return self._seed

    def _stored(self) -> bytes:
        for name in (RECOVERED, OPERATOR):
            if self._secrets.has(name):
                return self._secrets.read(name)
        raise NoDeviceKey("this home has no operator's key", "it was removed from `secrets`")


def _open(stored: bytes, words: str) -> bytes:
    salt_at, seal_at, sealed_at = _SALTS
    key = passphrase.stretch(words, stored[salt_at:seal_at])
    try:
        return sealing.open_sealed(
            key, OPERATOR, stored[seal_at:sealed_at], b"", stored[sealed_at:]
        )
    except Damaged as err:
        raise WrongPassphrase(
            "the operator's key stays closed", "the passphrase is another one"
        ) from err
