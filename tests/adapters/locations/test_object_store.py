"""Object stores: what is refused before anything is sent, and stores that do not answer."""

import secrets
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from strongroom.adapters.locations.object_store import Patience, open_object_store
from strongroom.errors import UsageError
from strongroom.locations import LocationUnavailable, ObjectMissing
from strongroom.operations.credentials import Credential
from tests.support.seaweed import Seaweed, SeaweedAbsentError, running_seaweed

HASTY = Patience(
    connect_seconds=1, request_seconds=1, retries_max=1, retry_seconds=2, again_seconds=()
)
SECRET = "canary-secret-of-a-store"  # noqa: S105  # looked for in every text below


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seaweed]:
    folder: Path = tmp_path_factory.mktemp("seaweed")
    try:
        with running_seaweed(folder) as store:
            yield store
    except SeaweedAbsentError as reason:
        pytest.skip(f"no S3 store to test with: {reason}")


@pytest.mark.parametrize("url", ["s3://bucket/p", "gs://bucket/p", "az://bucket/p?account=acme"])
def test_nothing_is_sent_on_opening(url: str) -> None:
    location = open_object_store(url, None)
    assert location.url == url
    assert SECRET not in repr(location)


def test_a_credential_that_cannot_be_read_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        open_object_store("gs://bucket", Credential("", SECRET))
    assert SECRET not in f"{caught.value}{caught.value.__cause__}{caught.value.hint}"


def test_a_directory_is_not_an_object_store() -> None:
    with pytest.raises(UsageError):
        open_object_store("/srv/backups", None)


@pytest.mark.loopback
def test_store_that_is_not_there_is_unavailable() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        url = f"s3://bucket?endpoint=http://127.0.0.1:{port}"
        location = open_object_store(url, Credential("key", SECRET), HASTY)
        for ask in (location.get, location.stat, location.delete):
            with pytest.raises(LocationUnavailable) as caught:
                ask("object")
            assert SECRET not in str(caught.value)
            assert "\n" not in caught.value.why
        with pytest.raises(LocationUnavailable):
            location.put("object", b"bytes")
        with pytest.raises(LocationUnavailable):
            list(location.list(""))


@pytest.mark.loopback
def test_in_haste_it_is_given_up_in_seconds() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"s3://bucket?endpoint=http://127.0.0.1:{unused.getsockname()[1]}"
        location = open_object_store(url, Credential("key", SECRET))
        assert location.hasty() is location.hasty()
        began = time.monotonic()
        with pytest.raises(LocationUnavailable):
            location.hasty().put("object", b"bytes")
        with pytest.raises(LocationUnavailable):
            location.hasty().get("object")
        assert time.monotonic() - began < Patience().retry_seconds / 2


@pytest.mark.loopback
def test_store_that_never_answers_is_unavailable_in_bounded_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"s3://bucket?endpoint=http://127.0.0.1:{silent.getsockname()[1]}"
        location = open_object_store(url, Credential("key", SECRET), HASTY)
        outcome: list[BaseException] = []

        def ask() -> None:
            try:
                location.get("object")
            except LocationUnavailable as error:
                outcome.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(20)
        assert len(outcome) == 1


@pytest.mark.loopback
def test_wrong_credential_is_not_missing(seaweed: Seaweed) -> None:
    right = Credential(seaweed.key_id, seaweed.secret)
    open_object_store(seaweed.url("rights"), right).put("object", b"bytes")
    location = open_object_store(seaweed.url("rights"), Credential(seaweed.key_id, SECRET), HASTY)
    for key in ("object", "absent"):
        with pytest.raises(LocationUnavailable, match="refuses this credential"):
            location.get(key)
    with pytest.raises(LocationUnavailable):
        list(location.list(""))
    with pytest.raises(LocationUnavailable) as caught:
        location.put("new", b"bytes")
    assert caught.value.code == "location_read_only"


@pytest.mark.loopback
def test_missing_bucket_is_not_a_missing_object(seaweed: Seaweed) -> None:
    right = Credential(seaweed.key_id, seaweed.secret)
    location = open_object_store(seaweed.url("never-made"), right, HASTY)
    for ask in (location.get, location.stat, location.delete):
        with pytest.raises(LocationUnavailable):
            ask("object")
    location.put("object", b"bytes")
    with pytest.raises(ObjectMissing):
        location.get("another")


@pytest.mark.loopback
def test_environment_of_another_account_changes_nothing(
    seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "other",
        "AWS_SECRET_ACCESS_KEY": "other",
        "AWS_SESSION_TOKEN": "other",
        "AWS_ENDPOINT": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_SKIP_SIGNATURE": "true",
        "AWS_REGION": "elsewhere",
        "AWS_BUCKET": "other",
        "AWS_CONDITIONAL_PUT": "disabled",
    }.items():
        monkeypatch.setenv(name, value)
    right = Credential(seaweed.key_id, seaweed.secret)
    key = secrets.token_hex(8)
    location = open_object_store(seaweed.url("environment"), right, HASTY)
    location.put(key, b"bytes")
    assert location.get(key) == b"bytes"
