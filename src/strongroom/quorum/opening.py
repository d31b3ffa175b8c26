"""Opening: asking the custodians for a snapshot's keys and combining what they answer.

Every answer is checked against its signature, its place and each share's commitment; who fails is
recorded and named, and any threshold of honest answers is enough. Secrets live in this object
only. Pure: chance and time are arguments. Story: docs/formats/share-v1.md, "Release".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from strongroom.crypto import public_sealing
from strongroom.crypto.envelope import Envelope, Statement
from strongroom.crypto.scalars import SCALAR_BYTES
from strongroom.errors import Damaged, Refused, StrongroomError
from strongroom.ids import SessionId, Token, new_id
from strongroom.quorum.dealing import OPENED_BYTES, Dealing, unwrap_structure_key
from strongroom.quorum.gate_rules import wanted_of
from strongroom.quorum.grant import Grant
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.label import dealings_of
from strongroom.quorum.release import Release, ReleaseRequest, match_keys, opened_bytes
from strongroom.quorum.request import Wanted
from strongroom.quorum.roster import Member
from strongroom.quorum.shares import Point

Keys = dict[SessionId, tuple[bytes, bytes | None]]
"""Per session the inner and, class high, the outer content key."""


class TooFewShares(Refused):
    """Too few custodians answered; nobody is known to have altered anything."""

    code = "too_few_shares"
    hint = (
        "Start or repair the custodians named above, then run the command again. One that was away "
        "when a recovered home began learns its writer from the next `strongroom backup CLIENT`; a "
        "server of its own learns it from `strongroom recover`."
    )


class SharesAltered(Damaged):
    """Too few usable answers, and one custodian at least answered with something else."""

    code = "shares_altered"
    hint = "Do not trust the custodians named above; use others, and find out what happened there."


@dataclass(slots=True)
class Opening:
    """One request under way; ask each custodian with `request` and hand in what it answers."""

    request: ReleaseRequest
    header: SnapshotHeader
    _dealings: dict[SessionId, Dealing] = field(repr=False)
    _seed: bytes = field(repr=False)
    _points: dict[int, dict[tuple[SessionId, int], Point]] = field(repr=False)
    _absent: dict[int, str]
    _altered: dict[int, str]

    @classmethod
    def begin(
        cls,
        snapshot: Statement,
        keys: Sequence[Statement],
        token: Token,
        at: datetime,
        asked: tuple[str, bytes] | None = None,
    ) -> "Opening":
        """Make the request for exactly this snapshot's sessions, to a fresh recipient key.

        `asked` are the request's id and the recipient's seed, where they were drawn, and approved,
        before.
        """
        header = SnapshotHeader.read(snapshot)
        dealings = {session: dealing for session, (_, dealing) in match_keys(header, keys).items()}
        seed = token(public_sealing.SEED_BYTES) if asked is None else asked[1]
        request = ReleaseRequest(
            request=new_id(token) if asked is None else asked[0],
            snapshot=snapshot,
            keys=tuple(keys),
            recipient=public_sealing.public_key(seed),
            requested_at=at,
        )
        return cls(request, header, dealings, seed, {}, {}, {})

    @property
    def wanted(self) -> Wanted:
        """Return what a request for these keys says of them."""
        return wanted_of(self.request, self.header)

    def grant(self, granted: Grant) -> None:
        """Carry this grant, or a later form of it, with the request."""
        self.request = replace(self.request, grant=granted)

    @property
    def culprits(self) -> tuple[str, ...]:
        """Return one sentence for each custodian that failed so far, in order of index."""
        failed = {**self._absent, **self._altered}
        return tuple(failed[index] for index in sorted(failed))

    @property
    def absent(self) -> tuple[int, ...]:
        """Return the indices of the custodians that could not be asked or refused."""
        return tuple(sorted(self._absent.keys() - self._altered.keys()))

    @property
    def altered(self) -> tuple[int, ...]:
        """Return the indices of the custodians that answered with something else."""
        return tuple(sorted(self._altered))

    @property
    def lacking(self) -> int:
        """Return how many more good answers are needed; 0 when a threshold is in hand."""
        return max(0, self._threshold() - len(self._points))

    @property
    def enough(self) -> bool:
        """Return whether a threshold of good answers is in hand for every session."""
        return not self.lacking

    def take(self, member: Member, answer: Envelope) -> None:
        """Keep the shares of an answer that passes every check; record the culprit otherwise."""
        try:
            self._points[member.index] = self._checked(member, answer)
        except Damaged as err:
            self._altered[member.index] = named_by(member, err)

    def miss(self, member: Member, reason: StrongroomError) -> None:
        """Record that a custodian could not be asked or refused, with its reason."""
        failures = self._altered if isinstance(reason, Damaged) else self._absent
        failures[member.index] = named_by(member, reason)

    def complete(self) -> Keys:
        """Combine a threshold of answers per session; raise naming every culprit when too few."""
        if not self.enough:
            kind = SharesAltered if self._altered else TooFewShares
            raise kind(
                f"{len(self._points)} of {self._threshold()} custodians needed gave their shares",
                "; ".join(self.culprits) or "no other custodian was asked",
            )
        keys: Keys = {}
        for session, dealing in self._dealings.items():
            inner = self._combine(dealing, 1)
            outer = self._combine(dealing, 2) if len(dealing.parts) > 1 else None
            keys[session] = (inner, outer)
        return keys

    @staticmethod
    def unwrap_structure_key(keys_object: Envelope, inner: bytes) -> bytes:
        """Return the vault's structure key from a keys object whose session is open."""
        return unwrap_structure_key(keys_object, inner)

    def _combine(self, dealing: Dealing, number: int) -> bytes:
        place = (dealing.label.session, number)
        points = [self._points[index][place] for index in sorted(self._points)]
        return dealing.content_key(number, points[: dealing.label.threshold])

    def _threshold(self) -> int:
        return max((dealing.label.threshold for dealing in self._dealings.values()), default=0)

    def _checked(self, member: Member, answer: Envelope) -> dict[tuple[SessionId, int], Point]:
        release = Release.parse(answer, member)
        asked = (self.request.request, self.request.snapshot.hash.hex(), self.header.sessions)
        if (release.request, release.snapshot, release.sessions) != asked:
            raise Damaged(f"the answer of {member} is to another question", "not what we asked")
        opened = release.open(self._seed, answer.body)
        if len(opened) != opened_bytes(self.header):
            raise Damaged(f"the answer of {member} has the wrong length", f"{len(opened)} bytes")
        points: dict[tuple[SessionId, int], Point] = {}
        at = 0
        for session in self.header.sessions:
            dealing = self._dealings[session]
            if member.index > dealing.label.members:
                raise Damaged(f"{member} holds no share", f"of session {session}")
            for number in range(1, dealings_of(self.header.vault_class) + 1):
                share = opened[at : at + OPENED_BYTES]
                dealing.check_share(number, member.index, share, str(member))
                points[session, number] = (member.index, share[:SCALAR_BYTES])
                at += OPENED_BYTES
        return points


def named_by(member: Member, error: StrongroomError) -> str:
    """Return an error that says of whom it is."""
    text = str(error)
    return text if str(member) in text else f"{member}: {text}"
