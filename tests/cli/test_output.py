"""Results and errors as text for people and JSON for machines."""

import io
import json
import shlex
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.cli import output
from strongroom.errors import Damaged, UsageError

NOON = datetime(2026, 11, 22, 12, 0, 0, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Row:
    name: str
    seen_at: datetime
    places: tuple[Path, ...]


@dataclass(frozen=True)
class Progress:
    done_bytes: int
    expected_bytes: int | None


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def written(value: Any) -> Any:
    out = io.StringIO()
    output.write_json(out, value)
    assert out.getvalue().endswith("\n")
    return json.loads(out.getvalue())


def test_json_knows_our_values() -> None:
    row = Row("ä", NOON, (Path("/x"), Path("/y")))
    assert written([row, {1: None, "b": True}]) == [
        {"name": "ä", "seen_at": "2026-11-22T12:00:00.000005Z", "places": ["/x", "/y"]},
        {"1": None, "b": True},
    ]


def test_table_sets_numbers_right_and_text_left() -> None:
    out = io.StringIO()
    output.write_table(
        out,
        ("name", "good", "size", "time"),
        [("a", "7", "1.0 KiB", "x"), ("longer name", "12", "13 B", "y z")],
    )
    assert out.getvalue().splitlines() == [
        "name         good     size  time",
        "a               7  1.0 KiB  x",
        "longer name    12     13 B  y z",
    ]


def test_table_without_rows_has_its_titles() -> None:
    out = io.StringIO()
    output.write_table(out, ("name", "good"), [])
    assert out.getvalue() == "name  good\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1 << 20, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (9 << 40, "9216.0 GiB"),
    ],
)
def test_sizes(count: int, text: str) -> None:
    assert output.size(count) == text


@given(st.integers(0, 1 << 60))
def test_size_is_within_a_twentieth(count: int) -> None:
    number, unit = output.size(count).split(" ")
    shown = float(number) * 1024 ** ["B", "KiB", "MiB", "GiB"].index(unit)
    assert abs(shown - count) <= count / 20


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (59.9, "59.9 s"),
        (60, "1 min 00 s"),
        (119.6, "2 min 00 s"),
        (3600, "1 h 00 min"),
        (90061, "25 h 01 min"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert output.duration(seconds) == text


def test_words_for_numbers() -> None:
    assert output.count(1, "object") == "1 object"
    assert output.count(0, "object") == "0 objects"
    assert output.entries(1) == "1 entry"
    assert output.entries(2) == "2 entries"
    assert output.moment(NOON) == "2026-11-22 12:00:00 Z"


def test_sentences_fit_a_terminal_and_paths_are_never_broken() -> None:
    path = "/a/very-long-path" * 8
    lines = output.wrapped(f"the location {path} is not there, and these words follow it", "  ")
    assert path in " ".join(line.strip() for line in lines).split()
    assert all(len(line) <= output.LINE_LENGTH for line in lines if path not in line)
    assert all(line.startswith("  ") for line in lines[1:])


def test_error_for_people() -> None:
    err = io.StringIO()
    output.write_error(err, UsageError("what", "why", "Do this."), as_json=False)
    output.write_error(err, UsageError("what", hint=""), as_json=False)
    assert err.getvalue() == "error: what: why\nhint:  Do this.\nerror: what\n"


def test_error_for_machines() -> None:
    err = io.StringIO()
    output.write_error(err, Damaged("what", "why"), as_json=True)
    assert json.loads(err.getvalue()) == {
        "error": {"code": "damaged", "what": "what", "why": "why", "hint": Damaged.hint}
    }


def test_progress_line_is_drawn_in_place_and_removed() -> None:
    screen = Screen()
    line = output.ProgressLine(screen, "acme", shown=True)
    line(Progress(1 << 20, 2 << 20))
    drawn = screen.getvalue()
    assert drawn.startswith("\r\x1b[2Kacme  1.0 MiB of 2.0 MiB  ")
    assert drawn.endswith(" left")
    line(Progress(2 << 20, 2 << 20))
    assert screen.getvalue() == drawn, "it is not redrawn more often than one can read"
    line.clear()
    assert screen.getvalue() == drawn + "\r\x1b[2K"


def test_progress_line_without_an_expectation_tells_no_time_left() -> None:
    screen = Screen()
    output.ProgressLine(screen, "acme", shown=True)(Progress(1 << 20, None))
    assert " of " not in screen.getvalue()
    assert "left" not in screen.getvalue()


@pytest.mark.parametrize(("out", "shown"), [(io.StringIO(), True), (Screen(), False)])
def test_no_progress_line_where_nobody_looks(out: io.StringIO, shown: bool) -> None:
    line = output.ProgressLine(out, "acme", shown=shown)
    line(Progress(1, 2))
    line.clear()
    assert out.getvalue() == ""


def test_an_id_of_nothing_but_digits_is_set_left_like_any_other() -> None:
    out = io.StringIO()
    output.write_table(out, ("snapshot", "read"), [("123456789012", "3.5 MiB"), ("1" * 12, "7 B")])
    assert out.getvalue().splitlines() == [
        "snapshot         read",
        "123456789012  3.5 MiB",
        "111111111111      7 B",
    ]


def test_a_closed_stderr_makes_no_failure_of_a_command_that_succeeded() -> None:
    command = f"{shlex.quote(sys.executable)} -m strongroom --version 2>&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip() != "") == (0, True)
