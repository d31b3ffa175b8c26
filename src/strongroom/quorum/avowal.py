"""An avowal: a custodian's signed word that shares it signed for long ago still open.

A receipt says so once. A seed that was lost since, or a database that was put back, would show only
at the restore that needs it; asked again at random, it shows while the others still hold theirs.
Nothing of a share leaves, only hashes that anybody has. A custodian that lies can say it all the
same: only a restore, or a drill, finds that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from strongroom.clock import format_instant
from strongroom.crypto.envelope import Envelope, Statement, sign_envelope
from strongroom.errors import Damaged, UsageError
from strongroom.ids import ClientId, CustodianId, InstallId, VaultId
from strongroom.quorum.client_key import take_former
from strongroom.quorum.dealing import Dealing
from strongroom.quorum.fields import HASH_DIGITS, Fields, checked_hex
from strongroom.quorum.label import FORMAT
from strongroom.quorum.receipt import ReceiptedShare
from strongroom.quorum.shares import COUNT_MAX

KIND: Final = "avowal"
KEYS_MAX: Final = 64
"""How many keys objects are asked for at a time."""


@dataclass(frozen=True, slots=True)
class Avowal:
    """What a custodian says that it can open, and when; the challenge is its asker's."""

    install: InstallId
    client: ClientId
    vault: VaultId
    custodian: CustodianId
    index: int
    challenge: str
    proved_at: datetime
    shares: tuple[ReceiptedShare, ...]
    former: tuple[int, ...] = ()
    """The serials of the former keys that some of these shares were sealed to."""

    def sign(self, identity_seed: bytes) -> Envelope:
        """Return the avowal as a signed object."""
        fields = {
            "format": FORMAT,
            "install": self.install,
            "client": self.client,
            "vault": self.vault,
            "custodian": self.custodian,
            "index": self.index,
            "challenge": self.challenge,
            "proved_at": format_instant(self.proved_at),
            "shares": [share.to_json() for share in self.shares],
            **({"former": list(self.former)} if self.former else {}),
        }
        return sign_envelope(identity_seed, KIND, fields)

    @classmethod
    def read(cls, envelope: Envelope) -> "Avowal":
        """Return the fields without asking who signed them; only to find the key to ask for."""
        fields = Fields(envelope.statement.fields(KIND), "an avowal")
        fields.exact("format", FORMAT)
        avowal = cls(
            install=InstallId(fields.id("install")),
            client=ClientId(fields.id("client")),
            vault=VaultId(fields.id("vault")),
            custodian=CustodianId(fields.id("custodian")),
            index=fields.number("index", 1, COUNT_MAX),
            challenge=fields.hash("challenge"),
            proved_at=fields.instant("proved_at"),
            shares=tuple(
                ReceiptedShare.of_json(one) for one in fields.list("shares", 2 * KEYS_MAX)
            ),
            former=take_former(fields),
        )
        fields.done()
        if envelope.body:
            raise fields.refuse("it has a body")
        return avowal

    def check_answers(self, challenge: str, keys: Sequence[Statement]) -> None:
        """Raise Damaged unless this is about exactly these keys objects, and was asked for now."""
        culprit = f"the avowal of custodian {self.index}"
        if self.challenge != challenge:
            raise Damaged(f"{culprit} is an old one", "its challenge is not what was asked")
        dealings = [Dealing.parse(one) for one in keys]
        wanted = [
            ReceiptedShare.of(dealing, number, self.index)
            for dealing in dealings
            for number in range(1, len(dealing.parts) + 1)
        ]
        places = {(one.label.install, one.label.client, one.label.vault) for one in dealings}
        if list(self.shares) != wanted or places != {(self.install, self.client, self.vault)}:
            raise Damaged(
                f"{culprit} is not about what was asked",
                f"{len(wanted)} shares were asked for, it tells of {len(self.shares)}",
            )


def client_of(challenge: str, keys: Sequence[Statement]) -> ClientId:
    """Return of which client a question is; raises UsageError beyond its limits."""
    checked_hex(challenge, HASH_DIGITS, "the challenge", "a question to prove shares")
    if not 1 <= len(keys) <= KEYS_MAX:
        raise UsageError(f"{len(keys)} keys objects cannot be asked for", f"1 to {KEYS_MAX} can")
    return Dealing.parse(keys[0]).label.client
