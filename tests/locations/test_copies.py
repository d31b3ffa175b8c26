"""Copies over locations that misbehave: what counts as stored, and what is ever read."""

import mmap
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress

import pytest

from strongroom.errors import Damaged, UsageError
from strongroom.locations import Copies, LocationUnavailable, ObjectMissing, Stat
from tests.support.memory_location import MemoryLocation
from tests.support.misbehaving_location import Fault, MisbehavingLocation, Plan, always, once

KEY = "vaults/v/packs/aa/object"
DATA = b"sealed bytes of an object"


def well(_method: str, _key: str, _number: int) -> Fault | None:
    return None


def places(*plans: Plan) -> dict[str, MisbehavingLocation]:
    names = ("first", "second", "third")
    return {
        name: MisbehavingLocation(MemoryLocation(name), plan)
        for name, plan in zip(names, plans, strict=False)
    }


def stored(locations: Mapping[str, MisbehavingLocation], key: str = KEY) -> dict[str, bytes | None]:
    found: dict[str, bytes | None] = dict.fromkeys(locations)
    for name, each in locations.items():
        with suppress(ObjectMissing):
            found[name] = each.inner.get(key)
    return found


def is_data(data: bytes) -> None:
    if data != DATA:
        raise Damaged("other bytes", "the test compared them")


@pytest.mark.parametrize(("count", "required"), [(1, 1), (2, 1), (3, 2)])
def test_all_locations_but_one_are_required(count: int, required: int) -> None:
    with Copies(places(*[well] * count)) as copies:
        assert copies.required == required


def test_no_location_is_refused() -> None:
    with pytest.raises(UsageError):
        Copies({})


def test_every_location_gets_the_object() -> None:
    locations = places(well, well, well)
    with Copies(locations) as copies:
        copies.put(KEY, DATA)
        assert copies.failures == {}
    assert stored(locations) == {"first": DATA, "second": DATA, "third": DATA}


def test_putting_twice_is_harmless() -> None:
    locations = places(well, well)
    with Copies(locations) as copies:
        copies.put(KEY, DATA)
        copies.put(KEY, bytearray(DATA))
        copies.put(KEY, memoryview(DATA))
    assert copies.failures == {}


@pytest.mark.parametrize(
    "fault", [Fault.FAIL_BEFORE, Fault.FAIL_AFTER, Fault.TEAR, Fault.FULL, Fault.READ_ONLY]
)
@pytest.mark.parametrize(("failing", "count"), [(1, 2), (1, 3)])
def test_one_failing_location_is_named_and_left_alone(
    fault: Fault, failing: int, count: int
) -> None:
    plans = [once("put", fault)] * failing + [well] * (count - failing)
    locations = places(*plans)
    with Copies(locations) as copies:
        copies.put(KEY, DATA)
        copies.put("another", DATA)
        assert list(copies.failures) == ["first"]
    assert [key for method, key in locations["first"].calls if method == "put"] == [KEY]
    assert stored(locations, "another")["first"] is None
    assert stored(locations, "another")["second"] == DATA


def test_a_location_that_failed_before_is_left_alone_from_the_beginning() -> None:
    locations = places(well, well)
    with Copies(locations, {"first": LocationUnavailable("first is away")}) as copies:
        copies.put(KEY, DATA)
        assert list(copies.failures) == ["first"]
    assert locations["first"].calls == []
    assert stored(locations) == {"first": None, "second": DATA}


@pytest.mark.parametrize("fault", [Fault.FAIL_BEFORE, Fault.FAIL_AFTER])
@pytest.mark.parametrize(("failing", "count"), [(1, 1), (2, 2), (2, 3), (3, 3)])
def test_too_few_copies_are_no_success(fault: Fault, failing: int, count: int) -> None:
    locations = places(*[always("put", fault)] * failing, *[well] * (count - failing))
    with Copies(locations) as copies, pytest.raises(LocationUnavailable) as caught:
        copies.put(KEY, DATA)
    assert f"{count - failing} of {count} locations hold it" in caught.value.what
    assert "first" in caught.value.why


def test_a_full_disk_keeps_its_code_and_hint() -> None:
    with Copies(places(always("put", Fault.FULL))) as copies:
        with pytest.raises(LocationUnavailable) as caught:
            copies.put(KEY, DATA)
        with pytest.raises(LocationUnavailable) as again:
            copies.put("another", DATA)
    for error in (caught.value, again.value):
        assert error.code == "location_full"
        assert "room" in error.hint


def test_what_an_earlier_try_left_behind_is_taken_up() -> None:
    # The answer was lost, the object is there: a new run finds it equal and is content.
    locations = places(once("put", Fault.FAIL_AFTER))
    with Copies(locations) as copies, pytest.raises(LocationUnavailable):
        copies.put(KEY, DATA)
    with Copies(locations) as copies:
        copies.put(KEY, DATA)
        assert copies.get(KEY, is_data) == DATA


def test_torn_object_is_damage_on_the_next_put() -> None:
    locations = places(once("put", Fault.TEAR), well, well)
    with Copies(locations) as copies:
        copies.put(KEY, DATA)
    with Copies(locations) as copies:
        copies.put(KEY, DATA)
        assert [(name, key) for name, key, _ in copies.damages] == [("first", KEY)]
        assert list(copies.failures) == ["first"]


@pytest.mark.parametrize("other", [b"forged", DATA + b"x", DATA[:-1], b""])
def test_one_location_with_other_bytes_is_named_and_stops_nobody(other: bytes) -> None:
    locations = places(well, well, well)
    locations["second"].inner.put(KEY, other)
    with Copies(locations) as copies:
        copies.put(KEY, DATA)
        assert list(copies.failures) == ["second"]
        assert str(copies.failures["second"]).startswith(
            f"location second holds other bytes under {KEY}"
        )
    assert stored(locations)["second"] == other


@pytest.mark.parametrize("count", [1, 3])
def test_too_many_with_other_bytes_is_damage(count: int) -> None:
    locations = places(*[well] * count)
    for name in list(locations)[:2]:
        locations[name].inner.put(KEY, b"forged")
    with Copies(locations) as copies, pytest.raises(Damaged, match=f"first.*{KEY}"):
        copies.put(KEY, DATA)


class BrokenListing(MemoryLocation):
    """A store in which a file stands where a folder should be."""

    def list(self, prefix: str) -> Iterator[Stat]:
        raise Damaged(f"{prefix} cannot be listed", "a file where a folder should be")


def test_a_location_whose_listing_is_damaged_is_a_failure_by_name() -> None:
    with Copies({"first": BrokenListing("first"), "second": MemoryLocation("second")}) as copies:
        copies.put(KEY, DATA)
        assert copies.list("vaults") == {KEY: frozenset({"second"})}
        assert list(copies.failures) == ["first"]
    with (
        Copies({"first": BrokenListing("first")}) as copies,
        pytest.raises(Damaged, match="a file where a folder"),
    ):
        copies.list("vaults")


class BrokenFolder(MemoryLocation):
    """A store in which a file stands where an object's folder should be."""

    def put(self, key: str, data: bytes | bytearray | memoryview) -> None:
        raise Damaged(f"{key} cannot be put", "a file where a folder should be")


def test_a_location_that_cannot_take_an_object_is_a_failure_by_name() -> None:
    with Copies({"first": BrokenFolder("first"), "second": MemoryLocation("second")}) as copies:
        copies.put(KEY, DATA)
        assert list(copies.failures) == ["first"]


def test_location_that_contradicts_itself_counts_as_failed() -> None:
    locations = places(lambda method, *_: Fault.FAIL_BEFORE if method == "get" else None, well)
    locations["first"].inner.put(KEY, DATA)
    with Copies(locations) as copies:
        copies.put(KEY, DATA)
        assert list(copies.failures) == ["first"]


def test_wrong_bytes_on_one_copy_are_never_returned() -> None:
    locations = places(well, always("get", Fault.FLIP), well)
    with Copies(locations) as copies:
        copies.put(KEY, DATA)
        for _ in range(6):
            assert copies.get(KEY, is_data) == DATA
        assert {(name, key) for name, key, _ in copies.damages} == {("second", KEY)}


def test_all_copies_wrong_names_every_location() -> None:
    locations = places(*[always("get", Fault.FLIP)] * 3)
    with Copies(locations) as copies:
        copies.put(KEY, DATA)
        with pytest.raises(Damaged) as caught:
            copies.get(KEY, is_data)
    assert all(name in caught.value.why for name in locations)
    assert isinstance(caught.value.__cause__, Damaged)


def test_damage_tells_more_than_silence_and_absence() -> None:
    locations = places(always("get", Fault.FAIL_BEFORE), always("get", Fault.FLIP), well)
    locations["second"].inner.put(KEY, DATA)
    with Copies(locations) as copies, pytest.raises(Damaged, match=r"first: .*second: .*third: "):
        copies.get(KEY, is_data)


def test_missing_everywhere_is_missing() -> None:
    with Copies(places(well, well)) as copies, pytest.raises(ObjectMissing, match="first, second"):
        copies.get(KEY, is_data)


def test_missing_here_and_silent_there_is_not_missing() -> None:
    locations = places(well, always("get", Fault.FAIL_BEFORE))
    with Copies(locations) as copies:
        with pytest.raises(LocationUnavailable):
            copies.get(KEY, is_data)
        assert list(copies.failures) == ["second"]


def test_lost_copy_is_read_elsewhere() -> None:
    locations = places(well, well, well)
    with Copies(locations) as copies:
        copies.put(KEY, DATA)
        locations["first"].inner.delete(KEY)
        locations["third"].plan = always("get", Fault.FAIL_BEFORE)
        for _ in range(6):
            assert copies.get(KEY, is_data) == DATA
        # A location that did not answer is asked last from then on.
        assert len([call for call in locations["third"].calls if call[0] == "get"]) == 1


def test_reading_is_spread_over_the_locations() -> None:
    locations = places(well, well, well)
    with Copies(locations) as copies:
        copies.put(KEY, DATA)
        for _ in range(6):
            copies.get(KEY, is_data)
    counts = [sum(call[0] == "get" for call in each.calls) for each in locations.values()]
    assert counts == [2, 2, 2]


def test_a_range_is_passed_on() -> None:
    with Copies(places(well)) as copies:
        copies.put(KEY, DATA)
        assert copies.get(KEY, len, 2, 5) == DATA[2:7]
        assert copies.get(KEY, len, -5) == DATA[-5:]


def test_what_accept_raises_besides_damage_is_not_swallowed() -> None:
    def refuse(_data: bytes) -> None:
        raise ZeroDivisionError

    with Copies(places(well)) as copies:
        copies.put(KEY, DATA)
        with pytest.raises(ZeroDivisionError):
            copies.get(KEY, refuse)


def test_a_crash_after_a_lying_sync_costs_one_copy_only() -> None:
    locations = places(always("put", Fault.FORGET), well, well)
    with Copies(locations) as copies:
        copies.put(KEY, DATA)
        locations["first"].crash()
        assert stored(locations)["first"] is None
        for _ in range(3):
            assert copies.get(KEY, is_data) == DATA


def test_listing_says_who_has_what() -> None:
    locations = places(well, well)
    with Copies(locations) as copies:
        copies.put("a/both", DATA)
        locations["first"].inner.put("a/first", DATA)
        locations["second"].inner.put("b/second", DATA)
        assert copies.list("a") == {
            "a/both": frozenset({"first", "second"}),
            "a/first": frozenset({"first"}),
        }
        assert list(copies.list("")) == ["a/both", "a/first", "b/second"]


def test_a_stale_listing_hides_nothing_from_reading_or_writing() -> None:
    locations = places(always("list", Fault.STALE), always("list", Fault.STALE))
    with Copies(locations) as copies:
        copies.put(KEY, DATA)
        assert copies.list("") == {}
        assert copies.get(KEY, is_data) == DATA
        copies.put(KEY, DATA)
        locations["second"].plan = well
        assert copies.list("") == {KEY: frozenset({"second"})}
        assert copies.failures == {}


def test_a_location_that_cannot_list_is_named() -> None:
    locations = places(always("list", Fault.FAIL_BEFORE), well)
    with Copies(locations) as copies:
        locations["second"].inner.put(KEY, DATA)
        assert copies.list("") == {KEY: frozenset({"second"})}
        assert list(copies.failures) == ["first"]
        locations["second"].plan = always("list", Fault.FAIL_BEFORE)
        with pytest.raises(LocationUnavailable, match="no location can be listed"):
            copies.list("")


def test_what_is_under_way_is_bounded() -> None:
    gate = threading.Event()

    def wait(method: str, _key: str, _number: int) -> None:
        if method == "put":
            gate.wait(10)

    with Copies(places(wait, well)) as copies:
        begun = [copies.put_async(f"object/{number}", DATA) for number in range(4)]
        fifth = threading.Thread(target=copies.put, args=("object/4", DATA))
        fifth.start()
        fifth.join(0.1)
        assert fifth.is_alive()
        assert not any(future.done() for future in begun)
        gate.set()
        fifth.join(10)
        assert not fifth.is_alive()
        for future in begun:
            future.result(10)


def test_what_was_put_asynchronously_fails_when_asked() -> None:
    with Copies(places(always("put", Fault.FAIL_BEFORE))) as copies:
        future = copies.put_async(KEY, DATA)
        with pytest.raises(LocationUnavailable):
            future.result(10)


def test_closing_gives_up_what_was_not_begun() -> None:
    gate, begun = threading.Event(), threading.Event()

    def wait(method: str, _key: str, _number: int) -> None:
        if method == "put":
            begun.set()
            gate.wait(10)

    copies = Copies(places(wait))
    first, second = copies.put_async("object/1", DATA), copies.put_async("object/2", DATA)
    begun.wait(10)
    threading.Timer(0.05, gate.set).start()
    copies.close()
    first.result(1)
    with pytest.raises(LocationUnavailable, match="object/2"):
        second.result(1)


def test_what_is_no_key_is_refused_before_anything_is_sent() -> None:
    locations = places(well)
    with Copies(locations) as copies, pytest.raises(ValueError, match="not an object key"):
        copies.put("../escape", DATA)
    assert locations["first"].calls == []


def test_a_bug_in_a_location_is_not_taken_for_an_outage() -> None:
    def broken(_method: str, _key: str, _number: int) -> Fault | None:
        raise ZeroDivisionError

    with Copies(places(broken, well)) as copies:
        with pytest.raises(ZeroDivisionError):
            copies.put(KEY, DATA)
        assert copies.failures == {}


def test_more_bytes_than_were_asked_for_are_damage() -> None:
    class Overlong(MemoryLocation):
        def get(self, key: str, start: int = 0, length: int | None = None) -> bytes:
            return super().get(key, start, length) + b"and more"

    with Copies({"overlong": Overlong()}) as copies:
        copies.locations["overlong"].put(KEY, DATA)
        with pytest.raises(Damaged, match="larger"):
            copies.get(KEY, len, 0, len(DATA))


def test_an_object_beyond_the_limit_is_refused_before_anything_is_sent() -> None:
    locations = places(well)
    with (
        mmap.mmap(-1, (1 << 30) + 1) as giant,
        memoryview(giant) as data,
        Copies(locations) as copies,
        pytest.raises(ValueError, match="at most 1073741824"),
    ):
        copies.put(KEY, data)
    assert locations["first"].calls == []
