"""What was dealt to a custodian that was lost is dealt anew: then any t custodians open it."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest

from strongroom.crypto import public_sealing
from strongroom.crypto.envelope import Envelope, Statement
from strongroom.errors import Damaged, PartlyDone, Refused, Stale, Unavailable, UsageError
from strongroom.operations.back_up import back_up
from strongroom.operations.check_vault import CheckRequest, check_vault
from strongroom.operations.enrol_custodian import EnrolPlan
from strongroom.operations.fill_locations import repair_client
from strongroom.operations.open_keys import fetch_first_keys
from strongroom.operations.orders import give_order
from strongroom.operations.reconcile import reconcile
from strongroom.operations.redeal import Redealt, redeal
from strongroom.operations.requesting import Wish, permitted, withdraw
from strongroom.operations.rotate import drop_former, rotate
from strongroom.operations.tell_status import tell_status
from strongroom.procedures import Plan
from strongroom.quorum import Acts, Custodian
from tests.journeys.test_enrolled_custodian import enrol, lose, standing_in
from tests.journeys.test_rescue import rescued
from tests.journeys.world import (
    HIGH,
    NORMAL,
    World,
    change_live_data,
    fresh_copy,
    keep_template,
    make_world,
    silent,
)
from tests.support.stand_in import StandIn


class Locked(StandIn):
    """A custodian that does not sign for what was dealt anew."""

    def rehold(self, request: str, former: Envelope, anew: Envelope) -> Envelope:
        raise Refused("custodian 2 signs nothing", "its disk is full")


class Failing(StandIn):
    """A custodian that signs for one session, and then the process is killed."""

    signed = 0

    def rehold(self, request: str, former: Envelope, anew: Envelope) -> Envelope:
        if self.signed:
            raise KeyboardInterrupt
        self.signed += 1
        return super().rehold(request, former, anew)


class Unwilling(StandIn):
    """A custodian that opens nothing of one client."""

    def __init__(self, honest: Custodian, client: str) -> None:
        super().__init__(honest)
        self._client = client

    def reopen(self, request: str, keys: Statement, recipient: bytes) -> Envelope:
        if keys.fields("keys")["label"]["client"] == self._client:
            raise Refused("custodian 2 opens nothing", "it does not want to")
        return super().reopen(request, keys, recipient)


class Deaf(StandIn):
    """A custodian that signs for no snapshot."""

    def ingest(self, snapshot: Statement, keys: Sequence[Envelope]) -> Envelope:
        raise Unavailable("this custodian cannot be reached", "it was turned off")


class Ahead(StandIn):
    """A custodian that has signed for another object of one session."""

    def __init__(self, honest: Custodian, session: str) -> None:
        super().__init__(honest)
        self._session = session

    def rehold(self, request: str, former: Envelope, anew: Envelope) -> Envelope:
        if anew.statement.fields("keys")["label"]["session"] == self._session:
            raise Stale("it holds that session by another object", "it has signed for another one")
        return super().rehold(request, former, anew)


@pytest.fixture(scope="module", name="template")
def _template(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, str]:
    """Two clients of two snapshots each, and a newcomer in the third seat; the words of its kit."""
    made = make_world(tmp_path_factory.mktemp("install") / "world", clients=(NORMAL, HIGH))
    for change in (1, 2):
        for client in (NORMAL, HIGH):
            made.back_up(client)
        change_live_data(made, change)
    lose(made, 3)
    _, words = enrol(made)
    keep_template(made)
    return made, words


@pytest.fixture(name="world")
def _world(template: tuple[World, str]) -> World:
    return fresh_copy(template[0])


@pytest.fixture(name="words")
def _words(template: tuple[World, str]) -> str:
    return template[1]


def redealt(world: World) -> Redealt:
    with world.open() as deployment:
        return redeal(deployment, "custodian-3")


def warned(world: World) -> str:
    with world.open() as deployment:
        return "\n".join(tell_status(deployment).warnings)


def hide(world: World) -> None:
    """Remove from every location what was dealt anew."""
    for location in world.locations.values():
        for folder in list(location.glob("*/vaults/*/redealt")):
            shutil.rmtree(folder)


def firsts(world: World, client: str) -> str:
    with world.open() as deployment:
        found = deployment.registry.client(client)
        with deployment.tools.history(found.id) as history:
            return history.snapshots()[0].hash


def test_the_newcomer_opens_what_was_dealt_before_it_came(world: World) -> None:
    states = {one: world.restore(one, firsts(world, one)) for one in (NORMAL, HIGH)}
    done = redealt(world)
    assert (done.version, done.already, done.notes) == (2, 0, [])
    assert done.sessions >= 4
    assert redealt(world).sessions == 0
    lose(world, 2)
    for client in (NORMAL, HIGH):
        assert world.restore(client, firsts(world, client)) == states[client]


def test_what_was_dealt_anew_is_dealt_anew_once_more(world: World, words: str) -> None:
    """Two of the first three are lost by then, so only what the second roster has opens it."""
    before, first = world.restore(HIGH), firsts(world, HIGH)
    redealt(world)
    lose(world, 1)
    _, others = enrol(world, EnrolPlan("second", "custodian-1"))
    with world.open() as deployment:
        done = redeal(deployment, "custodian-1")
    assert (done.version, done.sessions, done.notes) == (3, 8, [])
    lose(world, 2)
    assert world.restore(HIGH, first) is not None
    assert world.restore(HIGH) == before
    (world.root / "kits").write_text(f"{words}\n{others}\n", "utf-8")
    assert rescued(world, HIGH, "--kits", "kits") == before
    world.lose_home()
    assert world.recover([words, others])[1] == []
    assert world.restore(HIGH) == before


def test_a_vault_is_sound_after_it_and_goes_on(world: World) -> None:
    assert "until `strongroom custodian redeal custodian-3`" in warned(world)
    redealt(world)
    assert "has its seat since" not in warned(world)
    change_live_data(world, 3)
    report = world.back_up()
    assert (report.state, report.receipts, report.problems) == ("good", 3, [])
    assert world.restore() == world.state()
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        outcome = check_vault(deployment, client, CheckRequest(read_data=True), silent)
        assert (outcome.problems, outcome.orphans, outcome.not_judged) == ([], 0, 0)


def test_who_has_a_seat_is_not_dealt_around(world: World) -> None:
    with world.open() as deployment:
        for name in ("custodian-1", "newcomer"):
            with pytest.raises(UsageError, match="has a seat"):
                redeal(deployment, name)
        with pytest.raises(UsageError, match="never a custodian"):
            redeal(deployment, "nobody")


def test_it_goes_on_where_it_was_killed(world: World) -> None:
    with world.open() as deployment:
        failing = Failing(deployment.custodians[2])
        with standing_in(deployment, failing) as other, pytest.raises(KeyboardInterrupt):
            redeal(other, "custodian-3")
    # What was opened last may still be dealt anew.
    assert findings(world) == []
    assert world.restore() is not None
    done = redealt(world)
    assert done.already >= 1
    assert redealt(world).sessions == 0
    lose(world, 1)
    assert world.restore(NORMAL, firsts(world, NORMAL)) is not None


def test_what_was_opened_and_never_dealt_anew_is_found(world: World) -> None:
    """A process that was taken over has everything opened, and deals nothing anew."""
    sessions = {one: opened_by_a_thief(world, one) for one in (NORMAL, HIGH)}
    told = findings(world)
    assert {state for state, _ in told} == {"split"}
    for client in (NORMAL, HIGH):
        for index in (1, 2):
            begins = f"{client}: custodian {index} (custodian-{index}) opened its shares of "
            (text,) = (one for _, one in told if one.startswith(begins))
            assert f"{sessions[client]} sessions to be dealt anew, from " in text
            assert "the log does not tell that they were" in text
    # Dealt anew by whoever should, it is as approved: that process sees the keys, too.
    assert redealt(world).sessions == sum(sessions.values())
    assert findings(world) == []


def test_what_was_opened_is_found_once_its_request_is_over(world: World) -> None:
    with pytest.raises(KeyboardInterrupt):
        opened_by_a_thief(world, NORMAL, killed=True)
    # The same request can still deal it anew.
    assert findings(world) == []
    give_up(world)
    assert [state for state, _ in findings(world)] == ["split", "split"]


def test_what_too_few_opened_was_not_opened(world: World) -> None:
    with world.open() as deployment:
        unwilling = Unwilling(deployment.custodians[2], deployment.registry.client(NORMAL).id)
        with standing_in(deployment, unwilling) as other, pytest.raises(PartlyDone):
            redeal(other, "custodian-3")
    give_up(world)
    assert findings(world) == []


def give_up(world: World) -> None:
    """Withdraw what was asked for last."""
    with world.open() as deployment:
        withdraw(deployment, deployment.desk.find("latest"), "")


def opened_by_a_thief(world: World, name: str, *, killed: bool = False) -> int:
    """Run what was approved, and have all sessions of a client opened; return how many."""
    with world.open() as deployment:
        client = deployment.registry.client(name)
        lost = deployment.rosters.rosters[0].members[2]
        params: dict[str, str | int] = {"custodian": lost.id, "roster": deployment.roster.id}
        kind = Acts.Procedure.CUSTODIAN_REDEAL
        wish = Wish(kind, params, Plan.of("everything"), f"of {name}", answered=True)
        folder = f"{deployment.install}/vaults/{client.vault}/keys"
        listed = [path.rpartition("/")[2] for path in deployment.copies.list(folder)]
        with (
            deployment.tools.history(client.id) as history,
            permitted(deployment, None, wish) as permit,
        ):
            assert permit is not None
            give_order(deployment, permit)
            recipient = public_sealing.public_key(permit.seed)
            for session in listed:
                keys = fetch_first_keys(deployment, client, history, session).statement
                for index in (1, 2):
                    custodian = deployment.custodians[index]
                    custodian.reopen(permit.request.request, keys, recipient)
            if killed:
                raise KeyboardInterrupt
    return len(listed)


def findings(world: World) -> list[tuple[str, str]]:
    """Return state and text of what reconciling finds, with the log's name before it."""
    with world.open() as deployment:
        logs = reconcile(deployment).logs
    return [(one.state, f"{log.log}: {one.text}") for log in logs for one in log.findings]


def test_who_is_away_signs_when_it_is_back(world: World) -> None:
    with world.open() as deployment:
        locked = Locked(deployment.custodians[2])
        with standing_in(deployment, locked) as other, pytest.raises(PartlyDone):
            redeal(other, "custodian-3")
    assert world.restore() is not None
    redealt(world)
    lose(world, 1)
    assert world.restore(NORMAL, firsts(world, NORMAL)) is not None


def test_what_stops_one_client_stops_no_other(world: World) -> None:
    with world.open() as deployment:
        unwilling = Unwilling(deployment.custodians[2], deployment.registry.client(NORMAL).id)
        with standing_in(deployment, unwilling) as other, pytest.raises(PartlyDone) as caught:
            redeal(other, "custodian-3")
    told = str(caught.value)
    assert f"client {NORMAL}: 4 sessions open as before" in told
    assert "custodian 2 opens nothing" in told
    assert f"client {HIGH}" not in told
    assert world.restore() is not None
    # The same request goes on, and what was done is not done again.
    done = redealt(world)
    assert (done.sessions, done.already) == (4, 4)
    lose(world, 2)
    assert world.restore() is not None


def test_what_locations_hold_in_its_place_stops_nothing_else(world: World) -> None:
    """A home that was lost had begun with one, or somebody plants it: custodians sign for none."""
    with world.open() as deployment:
        vault = deployment.registry.client(NORMAL).vault
        folders = [
            world.locations[name] / deployment.install / "vaults" / vault
            for name in world.locations
        ]
    session = min(path.name for path in (folders[0] / "keys").iterdir())
    for folder in folders:
        planted = folder / "redealt" / "00000002" / session
        planted.parent.mkdir(parents=True)
        planted.write_bytes(b"planted")
    before = world.restore()
    with pytest.raises(PartlyDone) as caught:
        redealt(world)
    told = str(caught.value)
    assert "7 sessions were dealt anew" in told
    assert f"client {NORMAL}: 1 session opens as before" in told
    assert f"session {session[:8]} is not dealt anew" in told
    assert world.restore() == before


def test_a_session_that_was_signed_for_otherwise_stops_no_other(world: World) -> None:
    keys = world.vault_folder("loc1", NORMAL) / "keys"
    session = min(path.name for path in keys.iterdir())
    with world.open() as deployment:
        two = [Ahead(deployment.custodians[index], session) for index in (1, 2)]
        with standing_in(deployment, two[0]) as one, standing_in(one, two[1]) as both:
            with pytest.raises(PartlyDone) as caught:
                redeal(both, "custodian-3")
            told = str(caught.value)
    assert "7 sessions were dealt anew" in told
    assert f"client {NORMAL}: 1 session opens as before" in told
    assert "others have signed for another object" in told
    assert world.restore() is not None


def test_what_locations_have_lost_is_signed_for_by_nobody_later(world: World) -> None:
    with world.open() as deployment:
        locked = Locked(deployment.custodians[2])
        with standing_in(deployment, locked) as other, pytest.raises(PartlyDone):
            redeal(other, "custodian-3")
    hide(world)
    with pytest.raises(PartlyDone, match="4 sessions open as before") as caught:
        redealt(world)
    assert "is at no location" in str(caught.value)
    assert world.restore() is not None


def test_kits_of_those_who_sit_now_recover_what_was_dealt_before(world: World, words: str) -> None:
    states = {one: world.restore(one) for one in (NORMAL, HIGH)}
    with world.open() as deployment:
        for custodian in deployment.embedded()[1:]:
            shown = custodian.kit().words
            custodian.confirm_kit({1: shown[0], 24: shown[23]})
    assert "NOT RECOVERABLE" in warned(world)
    redealt(world)
    # The newcomer's kit counts for everything from here on.
    assert "NOT RECOVERABLE" not in warned(world)
    # The second reader opens it with the newcomer's kit, and with those of before.
    for kits in ([world.kits[0], words], [world.kits[1], world.kits[2]]):
        (world.root / "kits").write_text("\n".join(kits), "utf-8")
        for client in (NORMAL, HIGH):
            assert rescued(world, client, "--kits", "kits") == states[client]
    world.lose_home()
    clients, damages = world.recover([world.kits[1], words])
    assert (len(clients), damages) == (2, [])
    assert world.restore(NORMAL) == states[NORMAL]


class Borrowing(StandIn):
    """A custodian that gives what another one has given."""

    def __init__(self, honest: Custodian, other: Custodian) -> None:
        super().__init__(honest)
        self._other = other

    def reopen(self, request: str, keys: Statement, recipient: bytes) -> Envelope:
        return self._other.reopen(request, keys, recipient)


def test_a_custodian_that_gives_no_share_of_its_own_is_named(world: World) -> None:
    with world.open() as deployment:
        liar = Borrowing(deployment.custodians[2], deployment.custodians[1])
        with standing_in(deployment, liar) as other, pytest.raises(Damaged) as caught:
            redeal(other, "custodian-3")
    assert caught.value.code == "shares_altered"
    assert "custodian 2" in str(caught.value)


def test_one_that_gives_no_share_of_its_own_is_outvoted_and_named(tmp_path: Path) -> None:
    world = make_world(tmp_path / "world", clients=(NORMAL,), custodians=4)
    world.back_up()
    lose(world, 3)
    enrol(world)
    with world.open() as deployment:
        liar = Borrowing(deployment.custodians[1], deployment.custodians[2])
        with standing_in(deployment, liar) as other, pytest.raises(PartlyDone) as caught:
            redeal(other, "custodian-3")
    assert "2 sessions were dealt anew" in str(caught.value)
    assert "custodian 1 (custodian-1): " in str(caught.value)
    assert redealt(world).already == 2


def test_a_snapshot_that_is_pending_meanwhile_becomes_good(world: World) -> None:
    change_live_data(world, 3)
    with world.open() as deployment:
        deaf = [Deaf(deployment.custodians[index]) for index in (1, 2, 3)]
        with standing_in(deployment, deaf[1]) as one, standing_in(one, deaf[2]) as both:
            report = back_up(both, both.registry.client(NORMAL), silent)
    assert report.state == "pending"
    redealt(world)
    assert world.back_up().state == "good"
    with (
        world.open() as deployment,
        deployment.tools.history(deployment.registry.client(NORMAL).id) as history,
    ):
        assert history.unfinished() == []
    lose(world, 2)
    assert world.restore() == world.state()


def test_a_former_key_is_kept_for_what_was_dealt_anew_by_another_home(world: World) -> None:
    """Each session is asked about by all that it was dealt with, known to this home or not."""
    redealt(world)
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        member = deployment.roster.member(3)
        assert rotate(deployment, client, member).former == 1
        with (
            deployment.tools.history(client.id) as history,
            history.redeals._database.transaction() as transaction,
        ):
            transaction.run("DELETE FROM redealt")
        key = drop_former(deployment, client, member)
    assert (key.former, key.dropped, key.notes) == (1, 0, [])


def test_what_one_location_has_lost_of_it_comes_from_another(world: World) -> None:
    redealt(world)
    for folder in list(world.locations["loc2"].glob("*/vaults/*/redeal*")):
        shutil.rmtree(folder)
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        found = check_vault(deployment, client, CheckRequest(), silent).problems
        # Of each of four sessions the object, and the receipts of all three.
        assert [(one.location, one.kind) for one in found] == [("loc2", "missing")] * 16
        repair_client(deployment, client)
        assert check_vault(deployment, client, CheckRequest(), silent).problems == []


def test_what_locations_hide_of_it_opens_as_before(world: World) -> None:
    redealt(world)
    before = world.restore()
    hide(world)
    assert world.restore() == before
    # It is missed all the same: fewer custodians than before can be lost.
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        outcome = check_vault(deployment, client, CheckRequest(), silent)
    assert {(one.kind, "/redealt/" in one.object) for one in outcome.problems} == {
        ("missing", True)
    }
    assert len(outcome.problems) == 3 * 4
