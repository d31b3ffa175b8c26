"""What the rest of the house may ask of a custodian, in this process or on another machine.

Questions that are safe to ask again: the answer to the same one is the same bytes. What is asked of
the witness at its side is C2SP's: the answer to the same request has a newer time.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from strongroom.crypto.envelope import Envelope, Statement
from strongroom.facts import Fact
from strongroom.ids import ClientId, VaultId, WriterId
from strongroom.ledger import Witness
from strongroom.quorum.key_table import ClientPin
from strongroom.quorum.order import Order
from strongroom.quorum.policy_change import PolicyChange
from strongroom.quorum.release import ReleaseRequest
from strongroom.quorum.request import ActRequest
from strongroom.quorum.roster import Member
from strongroom.quorum.rules import NO_PAST, Past, Standing


class Custodian(Protocol):
    """What may be asked of a custodian, in this process or on another machine."""

    def card(self) -> Member:
        """Return the index, id, name and identity key."""
        ...

    def adopt_roster(self, envelope: Envelope) -> object:
        """Pin the first roster; the same one again changes nothing, and no other one is taken."""
        ...

    def adopt_policy(self, envelope: Envelope, change: PolicyChange | None = None) -> object:
        """Pin the first team policy, or the next with the change that shows that it was approved.

        The same one again changes nothing. Where it has a client, as many custodians as open a key
        must show that they follow.
        """
        ...

    def enrol(
        self,
        client: ClientId,
        vault: VaultId,
        vault_class: Literal["normal", "high"],
        writer: bytes,
        past: Past = NO_PAST,
    ) -> Envelope:
        """Pin a client's vault and writer key; return the certificate, always the same.

        `past` is for a custodian that took the seat of another: it signs from there on.
        """
        ...

    def ingest(self, snapshot: Statement, keys: Sequence[Envelope]) -> Envelope:
        """Check a snapshot and its fresh keys objects; return the receipt, always the same."""
        ...

    def hear(self, request: ActRequest, approvals: Sequence[Envelope]) -> Envelope:
        """Judge a recovery that approvers approved and journal it; return a signed hearing.

        It opens nothing. The same word each time; Vetoed once an approver has refused it.
        """
        ...

    def pinned(self) -> tuple[Envelope, Envelope | None]:
        """Return the pinned roster and, where there is one, the team policy."""
        ...

    def pins(self) -> list[ClientPin]:
        """Return what is pinned for every client, in order of their ids; nothing secret."""
        ...

    def replace_writer(
        self, client: ClientId, writer: bytes, revoked_after: Mapping[WriterId, int]
    ) -> Envelope:
        """Pin the one new writer that an approved recovery of a client allows; certify it.

        The others are revoked, each after the sequence given. The same writer again has the same
        certificate. Raises NotRecovered where no recovery was answered since the last writer.
        """
        ...

    def release(self, request: ReleaseRequest) -> Envelope:
        """Journal the request, then return this custodian's shares sealed to the recipient."""
        ...

    def obey(self, order: Order) -> Envelope:
        """Do what was approved, at most once; return the signed deed, always the same.

        Raises Waiting until the rule's delay has passed since it was first shown the order.
        """
        ...

    def reopen(self, request: str, keys: Statement, recipient: bytes) -> Envelope:
        """Return its shares of one session, sealed to who deals it anew as an order allows.

        `request` is the id of the order's; the recipient's key is the one that it names.
        """
        ...

    def rehold(self, request: str, former: Envelope, anew: Envelope) -> Envelope:
        """Check what a session was dealt anew with; return the receipt, always the same.

        `former` is the keys object that was opened. Raises Stale where it signed for another one.
        """
        ...

    def refuse(self, request: ActRequest, word: Envelope) -> None:
        """Remember for good that an approver refuses a request; the same again changes nothing."""
        ...

    def prove(self, challenge: str, keys: Sequence[Statement]) -> Envelope:
        """Open its shares of 1 to 64 keys objects of one client again; return a signed avowal.

        A keys object has at most 256 KiB; the challenge is 32 bytes of chance, in hexadecimal.
        Nothing of a share leaves. Raises Damaged where a share does not open.
        """
        ...

    @property
    def witness(self) -> Witness.Like:
        """Return the witness at this custodian's side."""
        ...

    def witness_card(self) -> Envelope:
        """Return the certificate of the witness's key, always the same."""
        ...

    def standing(self, vault: VaultId) -> Standing:
        """Return the highest snapshot receipted for the vault's current writer."""
        ...

    def journal(self, after: int) -> list[Fact]:
        """Return what this custodian wrote down of what it did, oldest first, a page at a time.

        Without the first `after` facts; nothing when there are no more. At most 500 of at most
        32 KiB each; they are half a kilobyte as a rule.
        """
        ...

    @property
    def kit_confirmed(self) -> bool:
        """Return whether somebody has typed words of its kit."""
        ...

    def kit_entries(self, of: str = "") -> list[tuple[str, bytes]]:
        """Return path and bytes of its sealed key table's entries whose names begin so."""
        ...

    def kit_page(self, of: str, after: str) -> list[tuple[str, bytes]]:
        """Return the next of these entries behind a path, or from the first on, in their order.

        At most 500; a page that has fewer, and less than 16 MiB, is the last.
        """
        ...
