"""A location that could not be opened keeps its place and its reason."""

import pytest

from strongroom.adapters.locations.absent import AbsentLocation
from strongroom.locations import Copies, LocationUnavailable
from tests.support.memory_location import MemoryLocation


def test_an_absent_location_gives_its_reason_to_every_question() -> None:
    reason = LocationUnavailable("not mounted", "no marker")
    absent = AbsentLocation("file:///mnt/disk", reason)
    assert absent.url == "file:///mnt/disk"
    for ask in (absent.get, absent.stat, absent.delete, absent.list):
        with pytest.raises(LocationUnavailable, match="not mounted"):
            ask("key")
    with pytest.raises(LocationUnavailable, match="not mounted"):
        absent.put("key", b"")


def test_an_absent_location_counts_among_the_copies() -> None:
    absent = AbsentLocation("file:///mnt/disk", LocationUnavailable("not mounted"))
    with Copies({"absent": absent, "here": MemoryLocation()}) as copies:
        copies.put("key", b"bytes")
        assert copies.get("key", len) == b"bytes"
        assert list(copies.failures) == ["absent"]
        assert copies.required == 1
