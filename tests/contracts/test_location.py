"""What every location must do, on every implementation: memory, a directory, an S3 store."""

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Barrier

import pytest

from strongroom.adapters.locations.directory import DirectoryLocation
from strongroom.adapters.locations.object_store import Patience, open_object_store
from strongroom.locations import Location, ObjectExists, ObjectMissing
from strongroom.operations.credentials import Credential
from tests.support.memory_location import MemoryLocation
from tests.support.misbehaving_location import MisbehavingLocation
from tests.support.seaweed import Seaweed, SeaweedAbsentError, running_seaweed

BAD_KEYS = [
    "",
    "/",
    "/a",
    "a/",
    "a//b",
    "..",
    "a/../b",
    "./a",
    ".hidden",
    "a/.hidden",
    "A",
    "a b",
    "a\n",
    "a\0b",
    "a\\b",
    "é",
    "a/%2e%2e/b",
    "a" * 401,
]


@pytest.fixture(scope="session")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    try:
        with running_seaweed(tmp_path_factory.mktemp("seaweed")) as store:
            yield store
    except SeaweedAbsentError as reason:
        pytest.skip(f"no S3 store to test with: {reason}")


def in_memory(_request: pytest.FixtureRequest) -> Location:
    return MemoryLocation()


def behaving(_request: pytest.FixtureRequest) -> Location:
    return MisbehavingLocation(MemoryLocation(), lambda _method, _key, _number: None)


def in_directory(request: pytest.FixtureRequest) -> Location:
    folder: Path = request.getfixturevalue("tmp_path")
    return DirectoryLocation.create(folder / "location", secrets.token_bytes)


def in_store(request: pytest.FixtureRequest) -> Location:
    store: Seaweed = request.getfixturevalue("seaweed")
    url = store.url("contract", f"p{secrets.token_hex(6)}/deep")
    patience = Patience(retries_max=2, retry_seconds=10)
    return open_object_store(url, Credential(store.key_id, store.secret), patience)


@pytest.fixture(
    params=[in_memory, behaving, in_directory, pytest.param(in_store, marks=pytest.mark.loopback)],
    ids=["memory", "behaving", "directory", "store"],
)
def location(request: pytest.FixtureRequest) -> Location:
    made: Location = request.param(request)
    return made


def test_what_was_put_is_read(location: Location) -> None:
    location.put("a/b/c.1", b"bytes")
    assert location.get("a/b/c.1") == b"bytes"


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_stored(location: Location, kind: Callable[[bytes], memoryview]) -> None:
    location.put("buffer", kind(b"0123456789"))
    assert location.get("buffer") == b"0123456789"


def test_an_empty_object_is_an_object(location: Location) -> None:
    location.put("empty", b"")
    assert location.get("empty") == b""
    assert location.get("empty", -5) == b""
    assert location.get("empty", 0, 10) == b""
    assert location.stat("empty").size_bytes == 0


def test_a_large_object_survives(location: Location) -> None:
    data = secrets.token_bytes(20 << 20)
    location.put("large", data)
    assert location.get("large") == data
    assert location.get("large", (19 << 20) + 7, 100) == data[(19 << 20) + 7 :][:100]
    with pytest.raises(ObjectExists):
        location.put("large", data)


def test_a_second_put_changes_nothing(location: Location) -> None:
    location.put("once", b"first")
    for data in (b"second", b"first", b""):
        with pytest.raises(ObjectExists):
            location.put("once", data)
    assert location.get("once") == b"first"


def test_of_eight_writers_exactly_one_wins(location: Location) -> None:
    start = Barrier(8)

    def write(number: int) -> int | None:
        start.wait()
        try:
            location.put("race/object", bytes([number]) * 1000)
        except ObjectExists:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        winners = [number for number in pool.map(write, range(8)) if number is not None]
    assert len(winners) == 1
    assert location.get("race/object") == bytes(winners) * 1000


@pytest.mark.parametrize(
    ("start", "length"),
    [
        *[(0, None), (3, None), (0, 4), (3, 4), (-4, None), (-4, 2), (-99, None), (-99, 3)],
        *[(8, 99), (10, None), (11, None), (11, 5), (0, 0), (4, 0), (-1, 99), (99, 0)],
    ],
)
def test_ranges(location: Location, start: int, length: int | None) -> None:
    data = b"0123456789"
    location.put("range", data)
    begin = max(0, len(data) + start) if start < 0 else start
    expected = data[begin:] if length is None else data[begin : begin + length]
    assert location.get("range", start, length) == expected


def test_what_is_missing_is_said_to_be_missing(location: Location) -> None:
    location.put("there/one", b"1")
    for key in ("missing", "there/two", "nowhere/at/all", "there"):
        for ask in (location.get, location.stat, location.delete):
            with pytest.raises(ObjectMissing):
                ask(key)
        with pytest.raises(ObjectMissing):
            location.get(key, 3, 4)
        with pytest.raises(ObjectMissing):
            location.get(key, 0, 0)


def test_a_listing_is_in_key_order_and_by_whole_parts(location: Location) -> None:
    keys = ["a/b", "a/b-c", "a/b.c/d", "a/b/c", "a/bc/d", "a/b_/e", "ab/c", "b", "a-b/c", "a0"]
    stored = [key for key in keys if key != "a/b"]
    for key in reversed(stored):
        location.put(key, key.encode())
    assert [stat.key for stat in location.list("")] == sorted(stored)
    assert [stat.key for stat in location.list("a/b")] == ["a/b/c"]
    assert [stat.key for stat in location.list("a")] == sorted(k for k in stored if k[:2] == "a/")
    assert list(location.list("none")) == []
    assert {stat.key: stat.size_bytes for stat in location.list("")} == {k: len(k) for k in stored}


def test_a_listing_has_more_than_one_page(location: Location) -> None:
    keys = [f"many/{number % 7}/{number:05}" for number in range(1200)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: location.put(key, b""), keys))
    assert [stat.key for stat in location.list("many")] == sorted(keys)
    assert len(list(location.list("many/3"))) == len([k for k in keys if k.startswith("many/3/")])


def test_stat_says_what_the_listing_says(location: Location) -> None:
    location.put("some/object", b"12345")
    stat = location.stat("some/object")
    assert [stat] == list(location.list("some"))
    assert (stat.key, stat.size_bytes) == ("some/object", 5)
    assert stat.modified_at.utcoffset() == timedelta(0)
    assert stat.modified_at <= datetime.now(UTC) + timedelta(minutes=1)


def test_what_was_deleted_is_gone_and_may_come_again(location: Location) -> None:
    location.put("gone/one", b"1")
    location.put("gone/two", b"2")
    location.delete("gone/one")
    with pytest.raises(ObjectMissing):
        location.get("gone/one")
    assert [stat.key for stat in location.list("gone")] == ["gone/two"]
    location.put("gone/one", b"new")
    assert location.get("gone/one") == b"new"


@pytest.mark.parametrize("key", BAD_KEYS, ids=lambda key: repr(key)[:20])
def test_what_is_no_key_is_refused(location: Location, key: str) -> None:
    for ask in (location.get, location.stat, location.delete):
        with pytest.raises(ValueError, match="not an object key"):
            ask(key)
    with pytest.raises(ValueError, match="not an object key"):
        location.put(key, b"")
    if key:
        with pytest.raises(ValueError, match="not an object key"):
            list(location.list(key))


def test_the_url_holds_no_secret(location: Location, request: pytest.FixtureRequest) -> None:
    assert "://" in location.url
    if location.url.startswith("s3:"):
        store: Seaweed = request.getfixturevalue("seaweed")
        assert store.secret not in location.url + repr(location)
