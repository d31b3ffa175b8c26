"""Instants are read as they are written, and in no other way."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.clock import format_instant, parse_instant
from strongroom.errors import Damaged

NOON = "2026-11-22T12:00:00.000000Z"


@given(st.timedeltas(timedelta(0), timedelta(days=365 * 8000)))
def test_an_instant_comes_back(since: timedelta) -> None:
    instant = datetime.fromtimestamp(0, UTC) + since
    text = format_instant(instant)
    assert parse_instant(text) == instant
    assert parse_instant(text).tzinfo is UTC


def test_an_instant_is_written_in_utc() -> None:
    east = timezone(timedelta(hours=2))
    assert format_instant(datetime(2026, 11, 22, 14, tzinfo=east)) == NOON
    with pytest.raises(ValueError, match="needs a time zone"):
        format_instant(datetime.fromisoformat(NOON).replace(tzinfo=None))


@pytest.mark.parametrize(
    "text",
    [
        None,
        20261122,
        NOON.encode(),
        "",
        NOON[:-1],
        NOON + "\n",
        " " + NOON[:-1],
        NOON.lower(),
        NOON.replace("T", " "),
        NOON.replace("Z", "+00:00"),
        NOON.replace(".", ","),
        "2026-11-22T12:00:00Z",
        "2026-11-22T12:00:00.000Z",
        "20261122T120000.000000Z",
        "2026-W47-7T12:00:00.000000Z",
        "2026-11- 2T12:00:00.000000Z",
        "\u0662026-11-22T12:00:00.000000Z",
        "\u0662" + NOON[1:],
        "0000-11-22T12:00:00.000000Z",
        "2026-02-29T12:00:00.000000Z",
        "2026-13-22T12:00:00.000000Z",
        "2026-11-22T24:00:00.000000Z",
        "2026-11-22T12:60:00.000000Z",
        "2026-11-22T23:59:60.000000Z",
    ],
)
def test_nothing_else_is_an_instant(text: object) -> None:
    with pytest.raises(Damaged, match="an instant cannot be read"):
        parse_instant(text)
