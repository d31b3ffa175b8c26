"""The life of an act: one table, and signatures that are counted before anything runs."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from strongroom.crypto.envelope import Envelope, Statement
from strongroom.errors import Damaged, Refused, StrongroomError
from strongroom.procedures import Act, Desk, Parcel, Plan
from strongroom.procedures.act import LIFE, Command, Event, OutOfOrder, State, TooEarly, TooFew
from strongroom.quorum import Acts
from tests.procedures.world import NOON, PLAN, World, approver, says

DAY = timedelta(days=1)
WORLD = World()
REQUEST = WORLD.request()
BEGIN = Desk.Begin()


def approved(world: World = WORLD, request: Acts.Request = REQUEST) -> Act:
    act = world.asked(request)
    for name in world.people[: world.approvals]:
        act = act.decide(Desk.Take(says(name, request)), NOON)
    return act


PATHS: dict[State, Callable[[], Act]] = {
    State.ASKED: WORLD.asked,
    State.APPROVED: approved,
    State.REFUSED: lambda: WORLD.asked().decide(Desk.Take(says("ann", REQUEST, "refuse")), NOON),
    State.EXPIRED: lambda: WORLD.asked().at(REQUEST.expires),
    State.WITHDRAWN: lambda: WORLD.asked().decide(Desk.Withdraw(), NOON),
    State.RUNNING: lambda: approved().decide(BEGIN, NOON),
    State.DONE: lambda: in_state(State.RUNNING).decide(Desk.Finish(), NOON),
    State.FAILED: lambda: in_state(State.RUNNING).decide(Desk.Finish("failed"), NOON),
    State.ENDED: lambda: in_state(State.RUNNING).decide(Desk.End("other_log"), NOON),
}


def in_state(state: State) -> Act:
    """Return an act that came to a state as acts do."""
    return PATHS[state]()


COMMANDS: dict[Event, Callable[[], Command]] = {
    Event.APPROVE: lambda: Desk.Take(says("cem", REQUEST)),
    Event.REFUSE: lambda: Desk.Take(says("cem", REQUEST, "refuse")),
    Event.WITHDRAW: Desk.Withdraw,
    Event.BEGIN: Desk.Begin,
    Event.FINISH: Desk.Finish,
    Event.FAIL: lambda: Desk.Finish("damaged"),
    Event.WAIT: lambda: Desk.Wait("veto_time"),
    Event.END: lambda: Desk.End("other_log"),
}


@pytest.mark.parametrize("event", COMMANDS, ids=str)
@pytest.mark.parametrize("state", State)
def test_a_command_does_what_the_table_says_or_is_refused(state: State, event: Event) -> None:
    act = in_state(state)
    assert act.state is state
    command = COMMANDS[event]()
    # The third approval comes to an approved act, where it suffices as the second did.
    event = Event.SUFFICE if (event, state) == (Event.APPROVE, State.APPROVED) else event
    if (state, event) in LIFE:
        assert act.decide(command, NOON).state is LIFE[state, event]
    else:
        with pytest.raises(TooFew if state is State.ASKED and event is Event.BEGIN else OutOfOrder):
            act.decide(command, NOON)


def removal(not_before: datetime) -> Acts.Request:
    """Return a request for something that the home alone holds back."""
    return replace(
        World(delay=DAY).request(),
        procedure=Acts.Procedure.LOCATION_REMOVAL,
        params={"location": "7" * 32},
        client=None,
        wanted=None,
        not_before=not_before,
    )


def test_a_delay_is_counted_once_by_the_custodians_where_they_decide() -> None:
    at_once = replace(World(delay=DAY).request(), not_before=NOON)
    assert World(delay=DAY).asked(at_once).state is State.ASKED
    assert World(delay=DAY).asked(removal(NOON + DAY)).state is State.ASKED
    decided_here = {one for one in Acts.Procedure if not one.by_custodians}
    assert decided_here == {Acts.Procedure.LOCATION_REMOVAL, Acts.Procedure.PRUNE_BELOW_FLOOR}


@pytest.mark.parametrize("state", State)
def test_what_nobody_ran_expires(state: State) -> None:
    act = in_state(state)
    assert act.at(REQUEST.expires - timedelta(microseconds=1)) == act
    assert act.at(REQUEST.expires).state is LIFE.get((state, Event.EXPIRE), state)


def test_a_run_that_was_cut_short_goes_on_but_not_after_it_expired() -> None:
    running = in_state(State.RUNNING)
    assert running.decide(BEGIN, NOON) == running
    with pytest.raises(OutOfOrder, match="is expired"):
        running.decide(BEGIN, REQUEST.expires)


def test_a_run_that_was_killed_stands_in_nobodys_way() -> None:
    running = in_state(State.RUNNING)
    assert not running.at(REQUEST.expires).is_open
    assert running.decide(Desk.Withdraw(), NOON).state is State.WITHDRAWN
    assert running.decide(Desk.Take(says("cem", REQUEST, "refuse")), NOON).state is State.REFUSED


@pytest.mark.parametrize("how", [Desk.Finish(), Desk.Finish("failed"), Desk.Wait("veto_time")])
def test_how_a_run_ended_is_heard_also_after_it_expired(how: Command) -> None:
    running = in_state(State.RUNNING)
    assert running.decide(how, REQUEST.expires) == running.decide(how, NOON)


def test_a_run_that_must_wait_has_not_failed_and_goes_on_later() -> None:
    waiting = in_state(State.RUNNING).decide(Desk.Wait("veto_time"), NOON)
    assert (waiting.state, waiting.why) == (State.APPROVED, "veto_time")
    assert waiting.decide(BEGIN, NOON).why == ""
    assert waiting.decide(Desk.Take(says("cem", REQUEST, "refuse")), NOON).state is State.REFUSED


def test_the_reason_of_a_failed_run_is_kept_until_the_next() -> None:
    failed = in_state(State.FAILED)
    assert failed.why == "failed"
    assert failed.decide(BEGIN, NOON).why == ""


def test_what_has_a_delay_waits_for_it_and_can_be_refused_meanwhile() -> None:
    world = World(delay=DAY)
    request = world.request()
    act = approved(world, request)
    with pytest.raises(TooEarly, match="must wait") as caught:
        act.decide(BEGIN, NOON + DAY - timedelta(seconds=1))
    assert (caught.value.exit_code, caught.value.code) == (5, "too_early")
    assert act.decide(BEGIN, NOON + DAY).state is State.RUNNING
    assert act.decide(Desk.Take(says("cem", request, "refuse")), NOON).state is State.REFUSED


def test_too_few_approvals_are_a_wait_that_says_how_many() -> None:
    act = WORLD.asked().decide(Desk.Take(says("ann", REQUEST)), NOON)
    with pytest.raises(TooFew, match="1 of 2 approvals") as caught:
        act.decide(BEGIN, NOON)
    assert (caught.value.exit_code, caught.value.code) == (5, "waiting_for_approval")


def test_the_requesters_own_approval_does_not_count_in_a_team() -> None:
    request = WORLD.request(requester=approver("ann"))
    act = WORLD.asked(request).decide(Desk.Take(says("ann", request)), NOON)
    act = act.decide(Desk.Take(says("bob", request)), NOON)
    assert (act.state, act.counted) == (State.ASKED, 1)
    assert act.decide(Desk.Take(says("cem", request)), NOON).state is State.APPROVED


def test_the_requesters_own_approval_counts_where_nobody_else_is() -> None:
    world = World(("ann",), 1, mode="single")
    request = world.request(requester=approver("ann"))
    act = world.asked(request).decide(Desk.Take(says("ann", request)), NOON)
    assert act.decide(BEGIN, NOON).state is State.RUNNING


def test_the_same_word_again_changes_nothing_and_a_refusal_replaces_an_approval() -> None:
    word = says("ann", REQUEST)
    once = WORLD.asked().decide(Desk.Take(word), NOON)
    assert once.decide(Desk.Take(word), NOON) == once
    again = once.decide(Desk.Take(says("ann", REQUEST)), NOON)
    assert (again.state, again.counted) == (State.ASKED, 1)
    refused = again.decide(Desk.Take(says("ann", REQUEST, "refuse")), NOON)
    assert (refused.state, refused.counted) == (State.REFUSED, 0)


def test_a_word_that_does_not_count_is_refused_by_its_code() -> None:
    other = WORLD.request(2)
    forged = says("ann", REQUEST)
    statement = Statement(
        forged.statement.header,
        forged.statement.body_hash,
        says("bob", REQUEST).statement.signature,
    )
    for word, code in (
        (says("ann", other), "other_request"),
        (says("eve", REQUEST), "not_an_approver"),
        (Envelope(statement, b""), "forged_approval"),
    ):
        with pytest.raises(StrongroomError) as caught:
            WORLD.asked().decide(Desk.Take(word), NOON)
        assert caught.value.code == code


def test_a_row_that_says_approved_is_not_believed() -> None:
    for given, code in (
        ((), "not_approved"),
        ((says("ann", REQUEST),), "not_approved"),
        (in_state(State.REFUSED).given, "vetoed"),
    ):
        act = replace(WORLD.asked(), state=State.APPROVED, given=given)
        with pytest.raises(Refused) as caught:
            act.decide(BEGIN, NOON)
        assert caught.value.code == code
    changed = replace(approved(), parcel=WORLD.parcel(WORLD.request(2)))
    with pytest.raises(Refused) as caught:
        changed.decide(BEGIN, NOON)
    assert caught.value.code == "other_request"


def test_a_request_that_nothing_could_make_good_is_not_asked() -> None:
    with pytest.raises(Refused, match="too little time"):
        World(delay=DAY).asked(removal(NOON))
    with pytest.raises(Damaged, match="another policy"):
        Act.ask(Parcel(WORLD.request(), PLAN, World(approvals=1).policy), NOON)
    with pytest.raises(Damaged, match="the plan is not"):
        Act.ask(Parcel(WORLD.request(), Plan.of("restore nothing"), WORLD.policy), NOON)
