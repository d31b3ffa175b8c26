"""The roster: who the custodians are and how many of them open a key, signed by the operator.

The threshold comes from here and from nowhere else. Whatever a custodian signed is checked
through its roster, which finds the identity key by index and refuses a borrowed name.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from strongroom.clock import format_instant
from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope, Statement, sign_envelope
from strongroom.errors import Damaged
from strongroom.ids import ClientId, CustodianId, InstallId, SessionId, SourceId, VaultId
from strongroom.quorum.avowal import Avowal
from strongroom.quorum.client_key import SERIAL_MAX, ClientKey
from strongroom.quorum.deed import Deed
from strongroom.quorum.fields import Fields
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.hearing import Hearing
from strongroom.quorum.label import FORMAT, Label, VaultClass
from strongroom.quorum.receipt import Receipt
from strongroom.quorum.request import ActRequest
from strongroom.quorum.shares import COUNT_MAX, check_threshold
from strongroom.quorum.witness_card import WitnessCard

KIND = "roster"


@dataclass(frozen=True, slots=True)
class Member:
    """One custodian; its text names it in every error."""

    index: int
    id: CustodianId
    name: str
    identity: bytes

    def __str__(self) -> str:
        """Return the index and the name."""
        return f"custodian {self.index} ({self.name})"


@dataclass(frozen=True, slots=True)
class Roster:
    """A signed roster; `id` is its object hash in hexadecimal."""

    id: str
    install: InstallId
    version: int
    threshold: int
    operator: bytes
    created_at: datetime
    members: tuple[Member, ...]

    @dataclass(frozen=True, slots=True)
    class Line:
        """The rosters of an install, the oldest first; the last is the one that counts now.

        Who has lost the seat signs nothing more, but what was signed before stays signed.
        """

        rosters: tuple["Roster", ...]

        @property
        def install(self) -> InstallId:
            """Return whose custodians these are."""
            return self.rosters[-1].install

        def version(self, version: int) -> "Roster":
            """Return the roster of this version; raise Damaged where it is not known."""
            for roster in self.rosters:
                if roster.version == version:
                    return roster
            raise Damaged(f"roster version {version} is not known", "no home or location has it")

        def holds(self, roster: str, member: Member) -> bool:
            """Tell whether this member sits, with this key, in the roster of this id."""
            return any(one.id == roster and member in one.members for one in self.rosters)

        def check_client_key(self, envelope: Envelope) -> ClientKey:
            """Return a client key certificate that its member signed, who may have gone since."""
            key = ClientKey.read(envelope)
            return self._last_with(key.index, key.custodian).check_client_key(envelope)

        def check_witness(self, envelope: Envelope) -> WitnessCard:
            """Return a witness card that its member signed, who may have gone since."""
            card = WitnessCard.read(envelope)
            return self._last_with(card.index, card.custodian).check_witness(envelope)

        def check_receipt(self, envelope: Envelope, snapshot: Statement | None = None) -> Receipt:
            """Return a receipt signed by a member of the very roster that it names."""
            receipt = Receipt.read(envelope)
            for roster in self.rosters:
                if roster.id == receipt.roster:
                    return roster.check_read_receipt(receipt, envelope, snapshot)
            raise Damaged(
                f"the receipt of custodian {receipt.index} names another roster",
                f"roster {receipt.roster[:8]} is not known",
            )

        def _last_with(self, index: int, custodian: CustodianId) -> "Roster":
            """Return the last roster in which this custodian sits; else the last one of all."""
            seated = [
                one
                for one in self.rosters
                if index <= len(one.members) and one.members[index - 1].id == custodian
            ]
            return seated[-1] if seated else self.rosters[-1]

    @staticmethod
    def sign(
        operator_seed: bytes,
        install: InstallId,
        threshold: int,
        members: Sequence[Member],
        version: int,
        created_at: datetime,
    ) -> Envelope:
        """Return the roster as a signed object; what it says is read back before it leaves."""
        operator = signing.public_key(operator_seed)
        envelope = sign_envelope(
            operator_seed,
            KIND,
            {
                "format": FORMAT,
                "install": install,
                "version": version,
                "threshold": threshold,
                "operator": operator.hex(),
                "created_at": format_instant(created_at),
                "members": [
                    {
                        "index": member.index,
                        "id": member.id,
                        "name": member.name,
                        "identity": member.identity.hex(),
                    }
                    for member in members
                ],
            },
        )
        Roster.parse(envelope, operator)
        return envelope

    @classmethod
    def parse(cls, envelope: Envelope, operator_public: bytes | None) -> "Roster":
        """Return the roster after checking its signature.

        None takes the operator's key from the roster itself: right only where somebody compares
        the id with the recovery sheet, or on the very first meeting.
        """
        fields = Fields(envelope.statement.fields(KIND), "a roster")
        fields.exact("format", FORMAT)
        roster = cls(
            id=envelope.statement.hash.hex(),
            install=InstallId(fields.id("install")),
            version=fields.number("version", 1, SERIAL_MAX),
            threshold=fields.number("threshold", 1, COUNT_MAX),
            operator=fields.key("operator"),
            created_at=fields.instant("created_at"),
            members=tuple(_parse_member(item) for item in fields.list("members", COUNT_MAX)),
        )
        fields.done()
        _check_members(roster)
        if envelope.body:
            raise fields.refuse("it has a body")
        if operator_public is not None and operator_public != roster.operator:
            raise Damaged("a roster is not our operator's", "it names another operator key")
        envelope.statement.verify(roster.operator, "the roster")
        return roster

    def after(self, former: Iterable["Roster"]) -> "Roster.Line":
        """Return the line that ends with this roster; raise Damaged for one that fits nowhere."""
        line = (*sorted(former, key=lambda one: one.version), self)
        for one in line:
            if (one.install, one.operator, one.threshold) != (
                self.install,
                self.operator,
                self.threshold,
            ):
                raise Damaged(
                    f"roster version {one.version} is of no line with version {self.version}",
                    "another install, operator or threshold",
                )
        if len({one.version for one in line}) < len(line) or line[-1] is not self:
            raise Damaged("two rosters have one version", f"version {self.version} is the last")
        return Roster.Line(line)

    def member(self, index: int) -> Member:
        """Return the member of this index; raise Damaged when there is none."""
        if not 1 <= index <= len(self.members):
            raise Damaged(
                f"custodian {index} is not in the roster", f"it has {len(self.members)} members"
            )
        return self.members[index - 1]

    def label(
        self,
        client: ClientId,
        vault: VaultId,
        session: SessionId,
        source: SourceId,
        vault_class: VaultClass,
        created_at: datetime,
    ) -> Label:
        """Return the label of a session dealt to this roster."""
        return Label(
            install=self.install,
            client=client,
            vault=vault,
            session=session,
            source=source,
            vault_class=vault_class,
            roster_id=self.id,
            threshold=self.threshold,
            members=len(self.members),
            created_at=created_at,
        )

    def check_client_key(self, envelope: Envelope) -> ClientKey:
        """Return a client key certificate signed by the member it names."""
        key = ClientKey.read(envelope)
        member = self._signer(key.index, key.custodian, key.install)
        return ClientKey.parse(envelope, member.identity)

    def check_receipt(self, envelope: Envelope, snapshot: Statement | None = None) -> Receipt:
        """Return a receipt signed by the member it names and, where given, for that snapshot."""
        return self.check_read_receipt(Receipt.read(envelope), envelope, snapshot)

    def check_read_receipt(
        self, receipt: Receipt, envelope: Envelope, snapshot: Statement | None
    ) -> Receipt:
        """Do the same for a receipt that was read from this envelope already."""
        member = self._signer(receipt.index, receipt.custodian, receipt.install)
        envelope.statement.verify(member.identity, f"the receipt of custodian {receipt.index}")
        if snapshot is not None:
            receipt.check_covers(SnapshotHeader.read(snapshot), snapshot.hash.hex())
        return receipt

    def check_avowal(self, envelope: Envelope, challenge: str, keys: Sequence[Statement]) -> Avowal:
        """Return an avowal signed by the member it names, about these keys objects and for now."""
        avowal = Avowal.read(envelope)
        member = self._signer(avowal.index, avowal.custodian, avowal.install)
        envelope.statement.verify(member.identity, f"the avowal of custodian {avowal.index}")
        avowal.check_answers(challenge, keys)
        return avowal

    def check_deed(self, envelope: Envelope, request: ActRequest) -> Deed:
        """Return a deed signed by the member it names, of this request."""
        deed = Deed.read(envelope)
        member = self._signer(deed.index, deed.custodian, deed.install)
        envelope.statement.verify(member.identity, f"the deed of custodian {deed.index}")
        deed.check_answers(request)
        return deed

    def check_witness(self, envelope: Envelope) -> WitnessCard:
        """Return a witness card signed by the member it names."""
        card = WitnessCard.read(envelope)
        member = self._signer(card.index, card.custodian, card.install)
        return WitnessCard.parse(envelope, member.identity)

    def check_hearing(self, envelope: Envelope) -> Hearing:
        """Return a hearing signed by the member it names."""
        hearing = Hearing.read(envelope)
        member = self._signer(hearing.index, hearing.custodian, hearing.install)
        return Hearing.parse(envelope, member.identity)

    @staticmethod
    def received_at(times: Iterable[datetime]) -> datetime:
        """Return the middle of the receipts' times, the earlier of two middles.

        One lying clock cannot move it. There must be one receipt at least.
        """
        ordered = sorted(times)
        if not ordered:
            raise ValueError("the median of no receipts does not exist")
        return ordered[(len(ordered) - 1) // 2]

    def _signer(self, index: int, custodian: CustodianId, install: InstallId) -> Member:
        member = self.member(index)
        if member.id != custodian or self.install != install:
            raise Damaged(f"{member} did not make this object", "it names another custodian")
        return member


def _parse_member(raw: object) -> Member:
    fields = Fields(raw, "a member of a roster")
    member = Member(
        index=fields.number("index", 1, COUNT_MAX),
        id=CustodianId(fields.id("id")),
        name=fields.text("name"),
        identity=fields.key("identity"),
    )
    fields.done()
    return member


def _check_members(roster: Roster) -> None:
    count = len(roster.members)
    check_threshold(roster.threshold, count, "a roster")
    if [member.index for member in roster.members] != list(range(1, count + 1)):
        raise Damaged("a roster is malformed", "its indices are not 1 to n in order")
    ids = {member.id for member in roster.members}
    identities = {member.identity for member in roster.members}
    names = {member.name for member in roster.members}
    if min(len(ids), len(identities), len(names)) < count:
        raise Damaged("a roster is malformed", "two members share an id, a name or a key")
