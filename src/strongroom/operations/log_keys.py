"""The keys of the logs: one secret of the home, from which each log's key is derived by its id.

A log is begun when it is first signed: until then it takes facts under no name. Its id is derived
too, from its first fact, so that two commands that begin one log at once begin the same one, and a
home put back to before its first checkpoint meets what witnesses have seen.
"""

from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from strongroom.crypto import sealing, signing
from strongroom.crypto.framing import frame
from strongroom.errors import Damaged, StrongroomError
from strongroom.ids import ID_BYTES, ClientId, InstallId, Token, parse_id
from strongroom.ledger import Checkpoint, Log, Witness
from strongroom.operations.credentials import Secrets

SEALED_AS: Final = "ledger"
LOG_KEY: Final = 0x01
"""The kind of a log's key in a verifier key: Ed25519 over the note's text."""
_ID, _KEY = "ledger-log-id", "ledger-log-key"


@dataclass(frozen=True, slots=True)
class LogKeys:
    """Derives the keys of the logs of one install."""

    install: InstallId
    secret: bytes = field(repr=False)

    @classmethod
    def read(cls, install: InstallId, secrets: Secrets, token: Token) -> "LogKeys":
        """Unseal the secret; drawn and sealed where the home has none yet."""
        if not secrets.has(SEALED_AS):
            # A name is never taken twice: of two commands at once one writes, and both read that.
            with suppress(StrongroomError):
                secrets.write(SEALED_AS, token(sealing.KEY_BYTES))
        return cls(install, secrets.read(SEALED_AS))

    def origin(self, log_id: str) -> str:
        """Return the origin of a log with this id: opaque, for it leaves the home."""
        return f"{self.install}.ledger.invalid/{log_id}"

    def seed(self, origin: str) -> bytes:
        """Return the seed of the key that signs a log of this install."""
        host, _, log_id = origin.partition("/")
        if host != f"{self.install}.ledger.invalid":
            raise Damaged(f"the log {origin:.100} is not of this install", f"it is {self.install}")
        salt = bytes.fromhex(parse_id(log_id, "the id of a log"))
        return sealing.derive(self.secret, _KEY, salt)

    def key(self, origin: str) -> Witness.Key:
        """Return the key by which what a log of this install signed is known."""
        return Checkpoint.Key(origin, LOG_KEY, signing.public_key(self.seed(origin)))

    def begin(self, log: Log, client: ClientId | None, now: datetime) -> Log.Epoch:
        """Return the epoch that a log is in, begun where it has no name yet; it holds a fact."""
        epoch = log.epoch()
        if epoch.origin is None:
            whose = b"" if client is None else bytes.fromhex(client)
            context = frame(epoch.number.to_bytes(4, "little"), log.leaf(0))
            log_id = sealing.derive(self.secret, _ID, whose, context)[:ID_BYTES].hex()
            self.begin_epoch(log, self.origin(log_id), now, None)
            epoch = log.epoch()
        return epoch

    def begin_epoch(self, log: Log, origin: str, now: datetime, previous: bytes | None) -> None:
        """Begin an epoch of a log under this origin, signed by its key."""
        log.begin_epoch(origin, str(self.key(origin)), now, previous)
