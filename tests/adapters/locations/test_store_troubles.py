"""A real S3 store behind a network that throttles, breaks, cuts short and forgets."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from strongroom.adapters.locations.object_store import (
    ObjectStoreLocation,
    Patience,
    open_object_store,
)
from strongroom.locations import Copies, LocationUnavailable, ObjectExists, ObjectMissing
from strongroom.operations.credentials import Credential
from tests.support.memory_location import MemoryLocation
from tests.support.seaweed import Seaweed, SeaweedAbsentError, running_seaweed
from tests.support.troubled_proxy import (
    INTERNAL,
    SLOW_DOWN,
    TOO_MANY,
    Answer,
    Broken,
    Proxy,
    Trouble,
    always,
    first,
    none,
    troubled,
)

pytestmark = pytest.mark.loopback

PATIENT = Patience(retries_max=3, retry_seconds=20, again_seconds=(0.05, 0.1))
HASTY = Patience(request_seconds=5, retries_max=1, retry_seconds=2, again_seconds=(0.01,))
DATA = secrets.token_bytes(300_000)


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    try:
        with running_seaweed(tmp_path_factory.mktemp("seaweed")) as store:
            yield store
    except SeaweedAbsentError as reason:
        pytest.skip(f"no S3 store to test with: {reason}")


@pytest.fixture
def proxy(seaweed: Seaweed) -> Iterator[Proxy]:
    with troubled(seaweed.endpoint) as running:
        yield running


def behind(
    proxy: Proxy, seaweed: Seaweed, patience: Patience = PATIENT, bucket: str = "troubles"
) -> ObjectStoreLocation:
    """Return a place of its own in the store, reached through the proxy."""
    url = f"s3://{bucket}/p{secrets.token_hex(6)}?endpoint={proxy.endpoint}&region=us-east-1"
    return open_object_store(url, Credential(seaweed.key_id, seaweed.secret), patience)


PASSING = [SLOW_DOWN, TOO_MANY, INTERNAL, Answer(502, "BadGateway"), Answer(503, "")]
BREAKING = [Broken.BEFORE, Broken.AFTER]


@pytest.mark.parametrize("trouble", [*PASSING, *BREAKING], ids=str)
def test_what_passes_is_waited_for(proxy: Proxy, seaweed: Seaweed, trouble: Trouble) -> None:
    location = behind(proxy, seaweed)
    proxy.begin(first("PUT", trouble, 2))
    location.put("a/one", DATA)
    proxy.begin(first("GET", trouble, 2))
    assert location.get("a/one") == DATA
    assert location.get("a/one", 7, 100) == DATA[7:107]
    proxy.begin(first("GET", trouble))
    assert [stat.key for stat in location.list("a")] == ["a/one"]
    proxy.begin(first("HEAD", trouble))
    assert location.stat("a/one").size_bytes == len(DATA)
    proxy.begin(first("POST", trouble))
    location.delete("a/one")
    proxy.begin(none)
    with pytest.raises(ObjectMissing):
        location.get("a/one")


@pytest.mark.parametrize("trouble", [*PASSING, *BREAKING], ids=str)
def test_what_does_not_pass_is_told_in_one_line(
    proxy: Proxy, seaweed: Seaweed, trouble: Trouble
) -> None:
    location = behind(proxy, seaweed, HASTY)
    location.put("one", DATA)
    for method, act in (
        ("PUT", lambda: location.put("two", DATA)),
        ("GET", lambda: location.get("one")),
        ("GET", lambda: list(location.list(""))),
        ("HEAD", lambda: location.stat("one")),
        ("POST", lambda: location.delete("one")),
    ):
        proxy.begin(always(method, trouble))
        with pytest.raises(LocationUnavailable) as caught:
            act()
        assert caught.value.code == "location_unavailable"
        assert "\n" not in str(caught.value)
        assert "<" not in str(caught.value)
        assert seaweed.secret not in str(caught.value)
        assert caught.value.why


def test_an_answer_that_breaks_off_is_never_a_short_object(proxy: Proxy, seaweed: Seaweed) -> None:
    location = behind(proxy, seaweed)
    location.put("a/one", DATA)
    proxy.begin(first("GET", Broken.MIDWAY))
    assert location.get("a/one") == DATA
    proxy.begin(first("GET", Broken.MIDWAY))
    assert location.get("a/one", 1000, 200_000) == DATA[1000:201_000]
    proxy.begin(first("GET", Broken.MIDWAY))
    assert [stat.key for stat in location.list("a")] == ["a/one"]
    proxy.begin(always("GET", Broken.MIDWAY))
    hasty = behind(proxy, seaweed, HASTY)
    hasty.put("one", DATA)
    with pytest.raises(LocationUnavailable):
        hasty.get("one")


def test_a_put_whose_answer_was_lost_finds_out_that_it_arrived(
    proxy: Proxy, seaweed: Seaweed
) -> None:
    location = behind(proxy, seaweed)
    proxy.begin(first("PUT", Broken.AFTER))
    location.put("one", DATA)
    assert proxy.count("PUT") == 2
    proxy.begin(none)
    assert location.get("one") == DATA
    with pytest.raises(ObjectExists):
        location.put("one", DATA)


def test_a_put_whose_answer_was_lost_never_takes_anothers_object_for_its_own(
    proxy: Proxy, seaweed: Seaweed
) -> None:
    location = behind(proxy, seaweed)
    location.put("one", b"somebody else's")
    proxy.begin(first("PUT", Broken.AFTER))
    with pytest.raises(ObjectExists):
        location.put("one", DATA)
    assert location.get("one") == b"somebody else's"


def test_a_lost_answer_costs_a_backup_no_location(proxy: Proxy, seaweed: Seaweed) -> None:
    with Copies({"store": behind(proxy, seaweed), "memory": MemoryLocation()}) as copies:
        proxy.begin(lambda method, _path, number: Broken.AFTER if number % 2 == 0 else None)
        for number in range(6):
            copies.put(f"many/{number}", DATA)
        proxy.begin(none)
        assert copies.failures == {}
        assert len(list(copies.locations["store"].list("many"))) == 6


def test_a_conflict_is_not_an_object(proxy: Proxy, seaweed: Seaweed) -> None:
    """S3 answers 409 to create-only when another request for the key is under way."""
    conflict = Answer(409, "ConditionalRequestConflict", "Try again.")
    location = behind(proxy, seaweed)
    proxy.begin(first("PUT", conflict))
    location.put("one", DATA)
    assert location.get("one") == DATA
    proxy.begin(always("PUT", conflict))
    with pytest.raises(LocationUnavailable, match="conflict"):
        location.put("two", DATA)


def test_a_store_without_create_only_is_refused_and_nothing_is_overwritten(
    proxy: Proxy, seaweed: Seaweed
) -> None:
    missing = Answer(501, "NotImplemented", "A header implies functionality not implemented")
    location = behind(proxy, seaweed, HASTY)
    proxy.begin(always("PUT", missing))
    with pytest.raises(LocationUnavailable):
        location.put("one", DATA)
    assert proxy.count("PUT") > 0


@pytest.mark.parametrize("method", ["PUT", "GET", "POST"])
def test_a_wrong_clock_is_named_and_what_to_do(proxy: Proxy, seaweed: Seaweed, method: str) -> None:
    location = behind(proxy, seaweed)
    location.put("one", DATA)
    skewed = Answer(403, "RequestTimeTooSkewed", "The difference is too large.")
    proxy.begin(always(method, skewed))
    acts: dict[str, Callable[[], object]] = {
        "PUT": lambda: location.put("two", DATA),
        "GET": lambda: location.get("one"),
        "POST": lambda: location.delete("one"),
    }
    with pytest.raises(LocationUnavailable, match="clock") as caught:
        acts[method]()
    assert "RequestTimeTooSkewed" in caught.value.why
    assert "Set the clock" in caught.value.hint
    # It is not the answer of a store at which nothing may be written.
    assert caught.value.code == "location_unavailable"


def test_a_listing_of_many_pages_survives_trouble_between_them(
    proxy: Proxy, seaweed: Seaweed
) -> None:
    location = behind(proxy, seaweed)
    keys = [f"many/{number % 3}/{number:05}" for number in range(2300)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: location.put(key, b""), keys))
    proxy.begin(lambda method, _path, number: SLOW_DOWN if number in (1, 3) else None)
    assert [stat.key for stat in location.list("many")] == sorted(keys)
    assert proxy.count("GET") >= 5
    proxy.begin(lambda method, _path, number: INTERNAL if number >= 2 else None)
    hasty = open_object_store(location.url, Credential(seaweed.key_id, seaweed.secret), HASTY)
    # Half a listing is never passed off as a whole one.
    with pytest.raises(LocationUnavailable):
        list(hasty.list("many"))
