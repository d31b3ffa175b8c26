"""The opening of one session to deal it anew: answers are checked as those of a release are.

Any threshold of honest answers is enough; who fails is named. Secrets live in this object only.
Pure. Story: docs/formats/share-v1.md, "Dealing anew".
"""

from dataclasses import dataclass, field

from strongroom.crypto.envelope import Envelope
from strongroom.errors import Damaged, StrongroomError
from strongroom.quorum.dealing import Dealing
from strongroom.quorum.opening import SharesAltered, TooFewShares, named_by
from strongroom.quorum.reopened import RedealReceipt, Reopened
from strongroom.quorum.roster import Member, Roster
from strongroom.quorum.shares import Point


@dataclass(slots=True)
class Redealing:
    """One session on its way; hand in what each custodian answers."""

    dealing: Dealing
    request: str
    _seed: bytes = field(repr=False)
    _points: dict[int, tuple[Point, ...]] = field(repr=False)
    _failed: dict[int, tuple[Member, StrongroomError]]

    @classmethod
    def open(cls, dealing: Dealing, request: str, seed: bytes) -> "Redealing":
        """Begin with a keys object; the seed is of the recipient's key that was approved."""
        return cls(dealing, request, seed, {}, {})

    @property
    def lacking(self) -> int:
        """Return how many more good answers are needed."""
        return max(0, self.dealing.label.threshold - len(self._points))

    @property
    def altered(self) -> dict[int, StrongroomError]:
        """Return who gave what is no share of its own, with the reason."""
        failed = self._failed.items()
        return {index: err for index, (_, err) in failed if isinstance(err, Damaged)}

    def take(self, member: Member, answer: Envelope) -> None:
        """Keep the shares of an answer that passes every check; record the culprit otherwise."""
        try:
            said = Reopened.parse(answer, member)
            self._points[member.index] = said.points(
                self.dealing, self.request, self._seed, answer.body
            )
        except Damaged as err:
            self._failed[member.index] = (member, err)

    def miss(self, member: Member, reason: StrongroomError) -> None:
        """Record that a custodian could not be asked or refused, with its reason."""
        self._failed[member.index] = (member, reason)

    def secrets(self) -> list[bytes]:
        """Combine a threshold of answers, by dealing; raise naming every culprit when too few."""
        threshold = self.dealing.label.threshold
        if self.lacking:
            raise (SharesAltered if self.altered else TooFewShares)(
                f"{len(self._points)} of {threshold} custodians needed gave their shares of "
                f"session {self.dealing.label.session[:8]}",
                "; ".join(named_by(*self._failed[index]) for index in sorted(self._failed))
                or "no other custodian was asked",
            )
        chosen = [self._points[index] for index in sorted(self._points)][:threshold]
        return [
            self.dealing.secret(number, [one[number - 1] for one in chosen])
            for number in range(1, len(self.dealing.parts) + 1)
        ]

    @staticmethod
    def check_receipt(receipt: Envelope, member: Member, dealing: Dealing) -> RedealReceipt:
        """Return a redeal receipt that this member signed for exactly this object."""
        return RedealReceipt.parse(receipt, member, dealing)

    @staticmethod
    def read_receipt(receipt: Envelope, roster: Roster) -> RedealReceipt:
        """Return a redeal receipt that a member of this very roster signed, for whatever object."""
        read = RedealReceipt.read(receipt)
        member = roster.member(read.index)
        receipt.statement.verify(member.identity, f"the redeal receipt of {member}")
        if (read.custodian, read.roster) != (member.id, roster.id):
            raise Damaged(f"{member} did not make this object", "it names another one, or roster")
        return read
