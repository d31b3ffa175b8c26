"""A small team with device keys, a policy and requests, for tests of the desk."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count

from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope
from strongroom.ids import ClientId, InstallId
from strongroom.procedures import Act, Parcel, Plan
from strongroom.quorum import Acts
from strongroom.quorum.approval import Decision
from strongroom.quorum.team_policy import Mode

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
INSTALL = InstallId("a" * 32)
CLIENT = ClientId("c" * 32)
PLAN = Plan.of("restore acme", "  app.db to /back")


def seed(name: str) -> bytes:
    """Return the device seed of a person of this name."""
    return hashlib.sha256(name.encode()).digest()


def approver(name: str) -> str:
    """Return the approver id of a person of this name."""
    return signing.key_id(signing.public_key(seed(name)))


@dataclass(frozen=True)
class World:
    """A policy of these people, of whom so many approve, after so long."""

    people: tuple[str, ...] = ("ann", "bob", "cem")
    approvals: int = 2
    delay: timedelta = timedelta()
    mode: Mode = "team"

    @property
    def policy(self) -> Envelope:
        rule = Acts.Rule(self.approvals, self.delay)
        draft = Acts.Policy.Draft(
            INSTALL,
            self.mode,
            2,
            [signing.public_key(seed(one)) for one in self.people],
            dict.fromkeys(Acts.Procedure, rule),
        )
        return Acts.Policy.sign(seed("operator"), draft, NOON)

    def request(self, number: int = 1, now: datetime = NOON, requester: str = "") -> Acts.Request:
        """Return a request to restore, the same for the same number."""
        return Acts.Request(
            install=INSTALL,
            request=f"{number:032x}",
            procedure=Acts.Procedure.RESTORE,
            params={"target": "folder"},
            client=CLIENT,
            wanted=Acts.Wanted("5" * 64, 3, "6" * 64),
            plan=PLAN.digest,
            requester=requester or "0" * 32,
            origin=f"{INSTALL}.ledger.invalid/{'1' * 32}",
            policy=Acts.Policy.parse(self.policy).id,
            not_before=now + self.delay,
            expires=now + self.delay + timedelta(days=1),
            nonce="e" * 32,
        )

    def parcel(self, request: Acts.Request | None = None) -> Parcel:
        return Parcel(request or self.request(), PLAN, self.policy)

    def asked(self, request: Acts.Request | None = None, now: datetime = NOON) -> Act:
        return Act.ask(self.parcel(request), now)


_SECONDS = count(1)


def says(name: str, request: Acts.Request, word: Decision = "approve") -> Envelope:
    """Return what a person signed about a request; each time at another second."""
    at = NOON + timedelta(seconds=next(_SECONDS))
    return Acts.Approval.sign(seed(name), request, word, at)
