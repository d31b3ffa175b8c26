"""What travels to an approver is read closed, and its parts belong together."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from strongroom.crypto import canonical
from strongroom.errors import Damaged
from strongroom.ids import InstallId
from strongroom.procedures import Parcel, Plan, check_words
from strongroom.procedures.parcel import PARCEL_BYTES_MAX
from strongroom.procedures.plan import LINE_LENGTH_MAX, LINES_MAX
from tests.procedures.world import World
from tests.vectors import build_request_file_v1

VECTORS = Path(__file__).parents[1] / "vectors" / "request-file-v1.json"
WORLD = World()


def test_frozen_file_is_read_and_is_made_as_it_was_frozen() -> None:
    frozen = json.loads(VECTORS.read_text(encoding="utf-8"))
    assert build_request_file_v1.build() == frozen
    parcel = Parcel.parse(bytes.fromhex(frozen["file"]))
    assert parcel.plan.digest == frozen["plan_digest"]
    assert parcel.request.digest == frozen["request_digest"]
    assert list(check_words(parcel.request.digest)) == frozen["words"]


def test_six_words_are_the_first_66_bits() -> None:
    assert check_words("00" * 32) == ("abandon",) * 6
    assert check_words("ff" * 32) == ("zoo",) * 6
    assert check_words("00" * 8 + "40" + "00" * 23) == (*("abandon",) * 5, "ability")
    assert check_words("00" * 8 + "3f" + "ff" * 23) == ("abandon",) * 6


def test_what_was_written_is_read() -> None:
    parcel = WORLD.parcel()
    assert Parcel.parse(parcel.encode()) == parcel


def altered(**changes: Any) -> bytes:
    return canonical.dumps({**canonical.loads(WORLD.parcel().encode()), **changes})


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"\xff",
        b"[" * 100_000,
        b" " * (PARCEL_BYTES_MAX + 1),
        WORLD.parcel().encode() + b"\n",
        altered(format="request-file-v2"),
        altered(reason="because"),
        altered(plan="restore"),
        altered(plan=[1]),
        altered(plan=[]),
        altered(plan=["a\x1b[2Jb"]),
        altered(plan=["another plan"]),
        altered(request=""),
        altered(request="e30="),
        altered(request="e30"),
        altered(request=7),
        altered(policy="????"),
        altered(policy=canonical.loads(World(approvals=1).parcel().encode())["policy"]),
    ],
)
def test_anything_else_is_refused(data: bytes) -> None:
    with pytest.raises(Damaged):
        Parcel.parse(data)


def test_a_request_of_another_install_is_refused() -> None:
    request = replace(
        WORLD.request(), install=InstallId("b" * 32), origin=f"{'b' * 32}.ledger.invalid/{'1' * 32}"
    )
    with pytest.raises(Damaged, match="another policy"):
        Parcel.parse(WORLD.parcel(request).encode())


def test_a_plan_shows_no_odd_signs_and_has_limits() -> None:
    assert Plan.of("a\nb\x1b[1m").lines == ("a\\nb\\x1b[1m",)
    assert len(Plan.of("x" * 600).lines[0]) == LINE_LENGTH_MAX
    assert len(Plan.of(*(["x"] * 300)).lines) == LINES_MAX
    with pytest.raises(Damaged, match="1 to 200 lines"):
        Plan(())
    assert Plan.of("a", "b").digest != Plan.of("ab").digest
