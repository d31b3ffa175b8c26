"""A custodian that is served: who may ask what, how often, and what an error tells."""

import json
from collections.abc import Iterator
from datetime import datetime

import pytest

from strongroom.adapters.custodians.rates import KEYS_MAX, Rate
from strongroom.adapters.custodians.served import Allowed, ServedCustodian
from strongroom.errors import Damaged, Refused, UsageError
from strongroom.ids import VaultId
from strongroom.quorum import messages
from strongroom.quorum.error_report import TooManyAsked
from strongroom.quorum.rules import Past, Standing
from strongroom.quorum.wire import Wire
from strongroom.transport import Request, Response
from strongroom.transport.peer import Role
from tests.quorum.world import TickingClock, World
from tests.support.peers import somebody
from tests.support.stand_in import StandIn

SERVER = somebody(Role.SERVER)


class StillClock(TickingClock):
    """A clock that moves only when it is told to."""

    def now(self) -> datetime:
        return self.at


class FailingCustodian(StandIn):
    """Fails in a way that nobody has foreseen."""

    def standing(self, vault: VaultId) -> Standing:
        raise RuntimeError(f"the seed is 42 of {vault}")


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def served(world: World, allowed: Allowed | None = None) -> ServedCustodian:
    return ServedCustodian(world.custodians[0], world.install, world.clock, allowed)


def put(name: str, body: bytes = b"") -> Request:
    return Request("PUT", f"/v1/{name}", body)


def raised(response: Response, status: int) -> Exception:
    assert (response.status, response.content_type) == (status, "application/json")
    return Wire.read_report(response.body, "custodian 1")


def test_health_is_told_to_every_peer(world: World) -> None:
    answers = served(world)
    for role in Role:
        response = answers(somebody(role), Request("GET", "/v1/health"))
        assert response.status == 200
        assert json.loads(response.body) == {
            "custodian": world.custodians[0].card().id,
            "format": "custodian-v1",
            "index": 1,
            "install": world.install,
            "state": "serving",
        }


@pytest.mark.parametrize("role", [Role.PROBE, Role.CUSTODIAN, Role.WORKER])
@pytest.mark.parametrize(
    "name", ["release", "enrol", "adopt-roster", "kit-entries", "witness-register"]
)
def test_only_the_server_may_ask_what_opens_or_changes(world: World, role: Role, name: str) -> None:
    found = raised(served(world)(somebody(role), put(name)), 403)
    assert isinstance(found, Refused)
    assert str(found) == f"a {role} may not ask {name}: only the server may"


@pytest.mark.parametrize("role", list(Role))
def test_every_question_has_its_role(world: World, role: Role) -> None:
    answers, of_worker = served(world), 0
    for name in Wire.NAMES:
        response = answers(somebody(role), put(name))
        heard = response.status != 403
        of_worker += heard
        assert heard == (role is Role.SERVER) or (role is Role.WORKER and heard)
    assert of_worker == {Role.SERVER: len(Wire.NAMES), Role.WORKER: 9}.get(role, 0)


@pytest.mark.parametrize(
    "request_",
    [
        put("nothing"),
        put("card/"),
        put("../card"),
        Request("POST", "/v1/card"),
        Request("GET", "/v1/card"),
        Request("PUT", "/card", messages.question("card")),
        Request("PUT", "/v1/card?x"),
        Request("GET", "/"),
    ],
)
def test_another_route_is_no_question(world: World, request_: Request) -> None:
    assert isinstance(raised(served(world)(SERVER, request_), 400), UsageError)


def test_a_question_that_is_malformed_is_damaged(world: World) -> None:
    for name in Wire.NAMES:
        assert isinstance(raised(served(world)(SERVER, put(name, b"x")), 422), Damaged)


def test_a_client_is_opened_so_often_an_hour(world: World) -> None:
    clock = StillClock()
    answers = ServedCustodian(
        world.custodians[0], world.install, clock, Allowed(releases_per_hour_of_client=2)
    )
    statement, _ = world.backed_up()
    statuses, asked = [], put("release")
    for _ in range(3):
        request = world.opening(statement).request
        asked = put("release", messages.question("release", request.encode()))
        statuses.append(answers(SERVER, asked).status)
    assert statuses == [200, 200, 429]
    found = raised(answers(SERVER, asked), 429)
    assert isinstance(found, TooManyAsked)
    assert "2 releases an hour are the limit" in str(found)
    assert found.exit_code == 4
    clock.at = clock.at.replace(hour=clock.at.hour + 1)
    assert answers(SERVER, asked).status == 200


def test_all_clients_together_are_opened_so_often_an_hour(world: World) -> None:
    answers = served(world, Allowed(releases_per_hour=1))
    statement, _ = world.backed_up()
    asked = put("release", messages.question("release", world.opening(statement).request.encode()))
    assert answers(SERVER, asked).status == 200
    assert "all clients together" in str(raised(answers(SERVER, asked), 429))


def test_clients_are_enrolled_so_often_an_hour(world: World) -> None:
    """Whoever has the server asks nobody to enrol: it fills no disk in an afternoon."""
    answers = served(world, Allowed(writers_per_hour=2))
    asked = put("enrol", messages.enrol_question(world.client, world.vault, "normal", world.writer))
    assert [answers(SERVER, asked).status for _ in range(3)] == [200, 200, 429]
    error = raised(answers(SERVER, asked), 429)
    assert "2 writers an hour are the limit" in str(error)
    assert isinstance(error, TooManyAsked)
    assert "writers_per_hour in `custodian.toml`" in error.hint


def test_former_writers_count_as_those_that_write(world: World) -> None:
    """A newcomer is told of former writers: a hundred clients with a thousand each use it up."""
    answers = served(world, Allowed(writers_per_hour=10))

    def enrol(former: int) -> Response:
        keys = [(number.to_bytes(32, "big"), 1) for number in range(1, former + 1)]
        past = Past.of(0, "0" * 64, keys)
        asked = messages.enrol_question(world.client, world.vault, "normal", world.writer, past)
        return answers(SERVER, put("enrol", asked))

    assert "with 11 writers for now" in str(raised(enrol(10), 429))
    assert enrol(7).status == 200
    assert "with 3 writers for now" in str(raised(enrol(2), 429))
    assert enrol(0).status == 200


def test_a_peer_asks_so_often_a_minute_and_another_goes_on(world: World) -> None:
    answers = served(world, Allowed(questions_per_minute_of_peer=2))
    health = Request("GET", "/v1/health")
    assert [answers(SERVER, health).status for _ in range(3)] == [200, 200, 429]
    assert answers(somebody(Role.SERVER), health).status == 200


def test_a_failure_of_ours_is_told_here_and_not_there(world: World) -> None:
    told: list[str] = []
    failing = FailingCustodian(world.custodians[0])
    answers = ServedCustodian(failing, world.install, world.clock, tell=told.append)
    asked = put("standing", messages.standing_question(world.vault))
    response = answers(SERVER, asked)
    assert response.status == 500
    assert b"42" not in response.body
    assert told == [f"{SERVER} asked '/v1/standing', and it failed: RuntimeError"]


def test_only_the_server_brings_what_this_process_takes(world: World) -> None:
    taken: list[bytes] = []
    answers = ServedCustodian(
        world.custodians[0], world.install, world.clock, orders={"certificate": taken.append}
    )
    assert answers(somebody(Role.WORKER), put("certificate", b"x")).status == 403
    assert answers(SERVER, put("certificate", b"der")).status == 200
    assert taken == [b"der"]


def test_a_rate_forgets_who_asked_least_lately() -> None:
    rate = Rate(1, 60.0, StillClock())
    assert rate.take("first")
    assert not rate.take("first")
    for number in range(KEYS_MAX):
        assert rate.take(str(number))
    assert rate.take("first")
