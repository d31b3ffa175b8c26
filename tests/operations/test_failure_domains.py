"""Which locations fail together: what is seen, what is said, and how it is told."""

from collections.abc import Mapping
from datetime import UTC, datetime

import pytest

from strongroom.clients import Registry
from strongroom.errors import UsageError
from strongroom.ids import LocationId
from strongroom.operations.failure_domains import domains_of, shared_domains

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def place(url: str, **site: str) -> Registry.Place:
    return Registry.Place(LocationId("6" * 32), "any", url, Registry.Site(**site), False, NOON)


def told(domains: Mapping[str, Mapping[str, str]]) -> list[str]:
    return [str(one) for one in shared_domains(domains)]


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("s3://bucket/prefix?endpoint=https://s3.example.org", "s3 https://s3.example.org"),
        ("s3://other?endpoint=https://s3.example.org", "s3 https://s3.example.org"),
        ("s3://bucket?region=eu-central-1", "s3 eu-central-1"),
        ("s3://bucket", "s3 bucket"),
        ("gs://bucket/prefix", "gs bucket"),
        ("az://container?account=acme", "az acme"),
    ],
)
def test_a_store_is_known_by_its_endpoint(url: str, endpoint: str) -> None:
    assert domains_of(place(url), "") == {"endpoint": endpoint}


def test_a_folder_is_known_by_its_file_system_and_by_what_people_say() -> None:
    shed = place("file:///shed", facility="Shed", provider="us", country="LU", device="disk 1")
    assert domains_of(shed, "8:1") == {
        "file system": "8:1",
        "device": "disk 1",
        "facility": "Shed",
        "provider": "us",
    }
    assert domains_of(place("file:///gone", country="LU"), "") == {}


def test_what_is_shared_is_told_once_by_its_narrowest_kind() -> None:
    assert told(
        {
            "one": {"file system": "8:1", "facility": "Shed", "provider": "us"},
            "two": {"file system": "8:1", "facility": "Shed", "provider": "us"},
            "three": {"endpoint": "s3 x", "provider": "us"},
            "four": {"endpoint": "s3 y"},
        }
    ) == [
        "one and two share one file system: one failure may take them together",
        "one, three and two share one provider us: one failure may take them together",
    ]


def test_nothing_is_shared_by_what_nobody_knows() -> None:
    assert told({"one": {}, "two": {}, "three": {"device": "a"}, "four": {"facility": "a"}}) == []


@pytest.mark.parametrize("text", ["x" * 101, "two\nlines", "\x1b[31m"])
def test_a_text_that_no_table_could_show_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Registry.Site(facility=text)
