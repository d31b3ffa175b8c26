"""One of three custodians answers too late, for another question, or with what is not so.

What it can do with a share is in tests/journeys/test_altered_shares.py, as a witness in
test_lying_witness.py: it is named there, too, and stops nothing.
"""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from strongroom.crypto import signing
from strongroom.crypto.envelope import Envelope
from strongroom.errors import Damaged, UsageError
from strongroom.locations import Copies
from strongroom.operations.deployment import Deployment
from strongroom.operations.placing import path_of_change, path_of_policy
from strongroom.operations.reconcile import reconcile
from strongroom.operations.recover_elsewhere import find_agreed
from strongroom.quorum import Custodian, LocalCustodian, Roster
from strongroom.quorum.approval import Approval
from strongroom.quorum.deed import Deed
from strongroom.quorum.grant import Grant
from strongroom.quorum.policy_change import PolicyChange
from strongroom.quorum.procedure import Procedure
from strongroom.quorum.release import ReleaseRequest
from strongroom.quorum.request import ActRequest
from strongroom.quorum.team_policy import TeamPolicy
from strongroom.transport import Link, Peer, Request, Response
from strongroom.transport.link import PeerUnavailable
from tests.journeys.world import NORMAL, make_world, restored_state
from tests.quorum.world import World as Quorum
from tests.support.apart_custodians import Apart, apart
from tests.support.memory_location import MemoryLocation
from tests.support.peers import CLOCK, PATIENCE_SECONDS, pair
from tests.support.stand_in import StandIn

pytestmark = pytest.mark.loopback
IMPATIENCE_SECONDS = 0.3
TRIES = 400
"""So often is somebody asked again who is slow because the machine is."""


@pytest.fixture(name="install", scope="module")
def _install(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apart]:
    world = make_world(tmp_path_factory.mktemp("install") / "world", clients=(NORMAL,))
    assert world.back_up().problems == []
    with apart(world) as made:
        yield made


class Late(StandIn):
    """Is given up while it answers; its answer comes when nobody waits for it any more."""

    def __init__(self, honest: Custodian) -> None:
        super().__init__(honest)
        self.answers: list[Envelope] = []
        self.asked: list[threading.Thread] = []

    def release(self, request: ReleaseRequest) -> Envelope:
        answering = threading.Thread(target=lambda: self._answer(request))
        answering.start()
        self.asked.append(answering)
        raise PeerUnavailable("custodian 1 does not answer", "not within 10 seconds")

    def _answer(self, request: ReleaseRequest) -> None:
        self.answers.append(self._honest.release(request))


class Replaying(StandIn):
    """Answers every question with what it, or another, answered to an earlier one."""

    def __init__(self, honest: Custodian, answer: Envelope) -> None:
        super().__init__(honest)
        self._answer = answer

    def release(self, request: ReleaseRequest) -> Envelope:
        return self._answer


def with_one(deployment: Deployment, one: Custodian) -> Deployment:
    """Return the deployment with this in the place of its first custodian."""
    return replace(deployment, custodians={**deployment.custodians, 1: one})


def test_a_custodian_answers_too_late(install: Apart) -> None:
    """It is passed over; its release is in its journal and agrees with what was announced."""
    world = install.world
    with install.open() as deployment:
        late = Late(deployment.custodians[1])
        others = with_one(deployment, late)
        assert restored_state(others, NORMAL, world.root / "restored") == world.state()
        for answering in late.asked:
            answering.join(PATIENCE_SECONDS)
        assert len(late.answers) == len(late.asked) == 1
    with install.open() as deployment:
        told = reconcile(deployment)
        assert told.findings == []
        assert [len(one.releases) for one in told.journals] == [1, 1, 1]
        # What came late is of its own request: for the next one it opens nothing.
        for answer in late.answers:
            replaying = with_one(deployment, Replaying(deployment.custodians[1], answer))
            assert restored_state(replaying, NORMAL, world.root / "restored") == world.state()
            with deployment.tools.history(deployment.registry.client(NORMAL).id) as history:
                assert history.facts("keys.opened")[-1].body["altered"] == [1]


@dataclass
class Holding:
    """Says of each question which one it was; keeps the first answer back until it may go."""

    may_go: threading.Event = field(default_factory=threading.Event)
    came: list[bytes] = field(default_factory=list)

    def __call__(self, _peer: Peer, request: Request) -> Response:
        self.came.append(request.body)
        if request.body == b"first":
            self.may_go.wait(PATIENCE_SECONDS)
        return Response(200, request.body)


def test_a_late_answer_is_never_taken_for_that_of_the_next_question() -> None:
    app = Holding()
    with (
        pair(app) as two,
        Link(two.address, two.server, two.custodian.peer, CLOCK, IMPATIENCE_SECONDS) as link,
    ):
        while not app.came:
            with pytest.raises(PeerUnavailable):
                link.ask("PUT", "/v1/something", b"first")
        app.may_go.set()
        assert [asked(link, number) for number in range(5)] == [b"0", b"1", b"2", b"3", b"4"]


def asked(link: Link, number: int) -> bytes:
    """Ask until there is an answer."""
    for _ in range(TRIES):
        try:
            return link.ask("PUT", "/v1/something", b"%d" % number).body
        except PeerUnavailable:
            continue
    raise AssertionError("nobody answers")


class Pinning(StandIn):
    """Tells a server that recovers of another roster or policy than it has pinned, or of none."""

    def __init__(
        self, honest: Custodian, policy: Envelope, roster: Envelope | Damaged | None = None
    ) -> None:
        super().__init__(honest)
        self._policy = policy
        self._roster = roster

    def pinned(self) -> tuple[Envelope, Envelope | None]:
        if isinstance(self._roster, Damaged):
            raise self._roster
        return self._roster or self._honest.pinned()[0], self._policy


def team_of(*approvers: bytes) -> dict[str, Any]:
    return {
        "mode": "team",
        "rules": TeamPolicy.team_rules(min(2, len(approvers))),
        "approvers": [signing.public_key(one) for one in approvers],
    }


def change_to(
    policy: Envelope,
    before: TeamPolicy,
    *approvers: bytes,
    followed_by: Sequence[LocalCustodian] = (),
) -> PolicyChange:
    """Return what shows who has approved a policy, and which custodians follow it."""
    after, at = TeamPolicy.parse(policy), before.created_at
    request = ActRequest(
        install=after.install,
        request="71" * 16,
        procedure=Procedure.POLICY_CHANGE,
        params={"policy": after.id, "version": after.version},
        client=None,
        wanted=None,
        plan=None,
        requester="72" * 16,
        origin=f"{after.install}.ledger.invalid/{'73' * 16}",
        policy=before.id,
        not_before=at,
        expires=at + timedelta(days=1),
        nonce="74" * 16,
    )
    given = [Approval.sign(seed, request, "approve", at) for seed in approvers]
    given.sort(key=lambda one: Approval.read(one).approver)
    deeds = [
        Deed(
            after.install,
            custodian.card().id,
            custodian.card().index,
            request.request,
            Procedure.POLICY_CHANGE,
            None,
            Grant.digest(request, tuple(given)),
            at,
            {"policy": after.id, "version": after.version},
        ).sign(custodian._own.seed)
        for custodian in followed_by
    ]
    return PolicyChange(request, tuple(given), tuple(deeds))


def test_a_server_that_recovers_is_shown_a_policy_that_nobody_approved() -> None:
    """What one custodian says that it pinned is not what enough of them did."""
    world, own, approvers = Quorum(), bytes([66]) * 32, [bytes([one]) * 32 for one in (1, 2, 3)]
    team = team_of(*approvers)
    first = world.sign_policy(**team)
    follows = TeamPolicy.parse(first)
    changed = world.sign_policy(seed=approvers[0], **team, previous=follows)
    with Copies({"one": MemoryLocation()}) as copies:
        copies.put(path_of_policy(world.install, follows.id), first.encode())
        approved = change_to(changed, follows, *approvers[:2], followed_by=world.custodians[:2])
        copies.put(path_of_change(world.install, TeamPolicy.parse(changed).id), approved.encode())

        def shown(*policies: Envelope) -> tuple[str, int]:
            three = zip(world.custodians, policies, strict=False)
            found = find_agreed([Pinning(*one) for one in three], copies)
            return found.policy.statement.hash.hex(), len(found.notes)

        newer = TeamPolicy.parse(changed).id
        assert shown(first, first, first) == (follows.id, 0)
        # Who was away for a change has the one before, and is shown that enough follow.
        assert shown(changed, first, changed) == shown(first, changed) == (newer, 1)
        assert shown(first, changed, first) == (newer, 2)
        alone = world.sign_policy(seed=approvers[2], **team_of(own), previous=follows)
        claimed = change_to(alone, follows, approvers[2])
        copies.put(path_of_change(world.install, TeamPolicy.parse(alone).id), claimed.encode())
        for lie in (
            alone,
            world.sign_policy(seed=own, **team_of(own), previous=follows),
            world.sign_policy(seed=own, **team_of(own)),
            world.sign_policy(seed=own, **team_of(own), version=9),
        ):
            assert shown(first, first, lie) == shown(lie, first, first) == (follows.id, 1)
            # Of two nobody can say which one lies.
            with pytest.raises(Damaged, match="do not follow from each other"):
                shown(first, lie)
    world.close()


def test_a_server_that_recovers_is_shown_a_policy_that_was_refused() -> None:
    """Enough had approved it, so one custodian and one location can show it; nobody followed."""
    world, approvers = Quorum(), [bytes([one]) * 32 for one in (1, 2, 3)]
    team = team_of(*approvers)
    first = world.sign_policy(**team)
    follows = TeamPolicy.parse(first)
    refused = world.sign_policy(seed=approvers[0], **team, previous=follows)
    named = TeamPolicy.parse(refused).id
    honest = [Pinning(one, first) for one in world.custodians[:2]]
    liar = Pinning(world.custodians[2], refused)
    # The liar signs as itself that it follows, and can sign for nobody else.
    for followed_by in ((), world.custodians[2:]):
        shown = change_to(refused, follows, *approvers[:2], followed_by=followed_by)
        with Copies({"one": MemoryLocation()}) as copies:
            copies.put(path_of_policy(world.install, follows.id), first.encode())
            copies.put(path_of_policy(world.install, named), refused.encode())
            copies.put(path_of_change(world.install, named), shown.encode())
            for three in ([*honest, liar], [liar, *honest]):
                found = find_agreed(three, copies)
                assert found.policy == first
                (note,) = found.notes
                assert note.startswith(str(world.custodians[2].card()))
            # Of two nobody can say which one lies.
            with pytest.raises(Damaged, match="do not follow from each other"):
                find_agreed([honest[0], liar], copies)
    world.close()


def test_a_server_that_recovers_is_shown_a_roster_that_nobody_follows() -> None:
    """The one that lies is named, whatever version or threshold it shows."""
    world = Quorum()
    policy = world.sign_policy(**team_of(bytes([1]) * 32, bytes([2]) * 32))
    members = [one.card() for one in world.custodians]
    seed, now = bytes([67]) * 32, world.clock.now()
    lies: list[Envelope | Damaged] = [
        Damaged("an answer is malformed", "it has 3 parts"),
        *(
            Roster.sign(seed, world.install, threshold, members, version, now)
            for threshold, version in ((2, 99), (1, 1))
        ),
    ]
    with Copies({"one": MemoryLocation()}) as copies:
        for at in range(3):
            for lie in lies:
                three: list[Custodian] = [Pinning(one, policy) for one in world.custodians]
                three[at] = Pinning(world.custodians[at], policy, lie)
                found = find_agreed(three, copies)
                assert found.roster == world.roster_envelope
                (note,) = found.notes
                assert note.startswith(str(members[at]))
                # Of two nobody can say which one lies, and of one that there are enough.
                with pytest.raises((Damaged, UsageError)):
                    find_agreed([three[at], three[at - 1]], copies)
    world.close()
