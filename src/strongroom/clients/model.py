"""What a client is, and the pure rules about names and keep policies."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from strongroom.clients.erasure import Erasure
from strongroom.errors import Refused, UsageError
from strongroom.ids import ClientId, VaultId
from strongroom.placement import Parity

ClientClass = Literal["normal", "high"]
NAME_LENGTH_MAX = 64
KEEP_MAX = 10_000
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_KEEP_PART = re.compile(r"([0-9]{1,5})([dwmf])")


class ErasedClient(Refused):
    """A command that needs the data of a client that is erased, or is being erased."""

    code = "erased_client"


@dataclass(frozen=True, slots=True)
class Keep:
    """How many good snapshots to keep: the newest of each day, week and month, and a floor."""

    daily: int = 7
    weekly: int = 5
    monthly: int = 12
    floor: int = 3

    def __str__(self) -> str:
        """Return the text `parse` reads."""
        return f"{self.daily}d{self.weekly}w{self.monthly}m{self.floor}f"

    @classmethod
    def parse(cls, text: str) -> "Keep":
        """Read `7d5w12m3f`; parts left out keep their default."""
        found = _KEEP_PART.findall(text)
        parts = {unit: int(number) for number, unit in found}
        if "".join(map("".join, found)) != text or not 0 < len(parts) == len(found):
            raise UsageError(
                f"the keep policy {text!r:.40} cannot be read", "wanted like 7d5w12m3f"
            )
        default = cls()
        keep = cls(
            parts.get("d", default.daily),
            parts.get("w", default.weekly),
            parts.get("m", default.monthly),
            parts.get("f", default.floor),
        )
        if keep.floor < 1 or max(keep.daily, keep.weekly, keep.monthly, keep.floor) > KEEP_MAX:
            raise UsageError(
                f"the keep policy {text!r:.40} is out of bounds",
                f"the floor is at least 1 and no number is over {KEEP_MAX}",
            )
        return keep


@dataclass(frozen=True, slots=True)
class Client:
    """Somebody whose data is kept: one vault, one class."""

    id: ClientId
    name: str
    vault: VaultId
    vault_class: ClientClass
    keep: Keep
    created_at: datetime
    parity: Parity | None = None
    """How its packs are cut into shards; None where every location holds full copies."""
    erasure: Erasure | None = None
    """How far its erasure has come; None while its data is kept."""

    def check_kept(self) -> "Client":
        """Return the client; raise ErasedClient where its data is not kept any more."""
        if self.erasure is None:
            return self
        hint = f"`strongroom client show {self.name}` tells who has destroyed what, and when."
        at = self.erasure.erased_at
        if at is None:
            raise ErasedClient(
                f"{self.name} is being erased", "custodians have begun to destroy its keys", hint
            )
        raise ErasedClient(
            f"{self.name} is erased",
            f"every custodian had destroyed its keys on {at:%Y-%m-%d %H:%M:%S} Z",
            hint,
        )

    @staticmethod
    def check_name(name: str, what: str = "the client name") -> str:
        """Return a name that is easy to type and safe in a shell; raise UsageError otherwise."""
        if len(name) <= NAME_LENGTH_MAX and _NAME.fullmatch(name):
            return name
        raise UsageError(
            f"{what} {name!r:.80} cannot be used",
            f"wanted 1 to {NAME_LENGTH_MAX} of a-z, 0-9, '.', '_', '-', a letter or digit first",
        )
