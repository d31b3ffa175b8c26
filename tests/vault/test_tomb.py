"""Tombstones: what was signed is read back, and nothing else is taken for one."""

import base64
import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from strongroom.clock import format_instant
from strongroom.crypto.envelope import decode_envelope, sign_envelope
from strongroom.errors import Damaged
from strongroom.vault import Vault
from strongroom.vault.codec import Zstandard
from strongroom.vault.tomb import Counts, Tomb, split_tomb_name
from tests.vectors.build_tomb_v1 import EARLIER, KEYS, PLACE, tombs

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "tomb-v1.json").read_text("utf-8")
)
FIRST = tombs()[0]


@pytest.mark.parametrize("frozen", VECTORS["tombs"], ids=lambda one: one["key"][-8:])
def test_frozen_tombstones_are_read(frozen: dict[str, Any]) -> None:
    place = Vault.Place(VECTORS["install"], VECTORS["client"], VECTORS["vault"], "normal")
    public = bytes.fromhex(VECTORS["writer_public"])
    tomb = Tomb.parse(base64.b64decode(frozen["object"]), place, public, frozen["key"])
    snapshots = [[one.writer, one.sequence, one.hash, one.index] for one in tomb.snapshots]
    assert (tomb.key, snapshots) == (frozen["key"], frozen["snapshots"])
    assert list(tomb.objects) == frozen["objects"]
    assert tomb.created_at == datetime.fromisoformat(frozen["created_at"])
    assert tomb.not_before == datetime.fromisoformat(frozen["not_before"])
    assert (tomb.goes.fields(), tomb.stays.fields()) == (frozen["goes"], frozen["stays"])


def test_what_was_signed_is_read_back() -> None:
    for tomb in tombs():
        data = tomb.sign(PLACE, KEYS.writer_seed).encode()
        assert Tomb.parse(data, PLACE, KEYS.writer_public, tomb.key) == tomb
        assert Tomb.parse(data, PLACE, KEYS.writer_public, f"a/vaults/b/{tomb.key}") == tomb


@pytest.mark.parametrize(
    "place",
    [
        replace(PLACE, install="99" * 16),
        replace(PLACE, client="99" * 16),
        replace(PLACE, vault="99" * 16),
    ],
)
def test_a_tombstone_of_another_vault_is_refused(place: Vault.Place) -> None:
    data = FIRST.sign(PLACE, KEYS.writer_seed).encode()
    with pytest.raises(Damaged, match="belongs elsewhere"):
        Tomb.parse(data, place, KEYS.writer_public, FIRST.key)


def test_a_tombstone_that_was_moved_or_signed_by_another_is_refused() -> None:
    data = FIRST.sign(PLACE, KEYS.writer_seed).encode()
    with pytest.raises(Damaged, match="moved"):
        Tomb.parse(data, PLACE, KEYS.writer_public, FIRST.key[:-1] + "2")
    with pytest.raises(Damaged):
        Tomb.parse(data, PLACE, b"\x09" * 32, FIRST.key)
    for at in range(0, len(data), 7):
        altered = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(Damaged):
            Tomb.parse(altered, PLACE, KEYS.writer_public, FIRST.key)


HEADER: dict[str, Any] = decode_envelope(
    FIRST.sign(PLACE, KEYS.writer_seed).encode(), "a tombstone"
).statement.fields("tomb")
BODY: dict[str, Any] = {
    "snapshots": [[one.writer, one.sequence, one.hash, one.index] for one in FIRST.snapshots],
    "objects": list(FIRST.objects),
}
BAD_HEADERS: list[dict[str, Any]] = [
    {"format": "vault-v2"},
    {"more": 1},
    {"generation": True},
    {"generation": 0},
    {"goes": {"snapshots": 3, "objects": 6, "bytes": 1}},
    {"goes": {"snapshots": 3, "objects": 7}},
    {"stays": {"snapshots": -1, "objects": 7, "bytes": 1}},
    {"stays": 3},
    {"created_at": "yesterday"},
    {"not_before": format_instant(FIRST.created_at - timedelta(seconds=1))},
]
BAD_BODIES: list[dict[str, Any]] = [
    {"snapshots": list(reversed(BODY["snapshots"]))},
    {"objects": list(reversed(BODY["objects"]))},
    {"objects": [*BODY["objects"][:-1], BODY["objects"][0]]},
    {"objects": ["config/" + "1" * 32 + "-00000000", *BODY["objects"][1:]]},
    {"objects": ["tombs/" + "1" * 32 + "-00000001", *BODY["objects"][1:]]},
    {"objects": ["index/../" + "b2" * 32, *BODY["objects"][1:]]},
    {"objects": ["packs/c1/" + "c0" * 32, *BODY["objects"][1:]]},
    {"objects": ["packs/c0/" + "c0" * 32 + ".0", *BODY["objects"][1:]]},
    {"snapshots": [[EARLIER, 0, "a1" * 32, "b1" * 32], *BODY["snapshots"][1:]]},
    {"snapshots": [[EARLIER, 3, "a1" * 31, "b1" * 32], *BODY["snapshots"][1:]]},
    {"snapshots": [["x" * 32, 3, "a1" * 32, "b1" * 32], *BODY["snapshots"][1:]]},
    {"snapshots": [[EARLIER, "3", "a1" * 32, "b1" * 32], *BODY["snapshots"][1:]]},
    {"more": []},
]


@pytest.mark.parametrize("change", BAD_HEADERS, ids=str)
def test_a_malformed_header_is_refused(change: dict[str, Any]) -> None:
    refuse({**HEADER, **change}, BODY)


@pytest.mark.parametrize("change", BAD_BODIES, ids=lambda one: str(one)[:60])
def test_a_malformed_list_is_refused(change: dict[str, Any]) -> None:
    refuse(HEADER, {**BODY, **change})


def test_a_body_that_is_no_list_or_too_large_is_refused() -> None:
    for body in (b"", b"not zstd", Zstandard().compress(b"[]"), Zstandard().compress(b"\xff")):
        with pytest.raises(Damaged):
            signed(HEADER, body)


def refuse(header: dict[str, Any], body: dict[str, Any]) -> None:
    signed(HEADER, Zstandard().compress(msgspec.json.encode(BODY)))
    with pytest.raises(Damaged):
        signed(header, Zstandard().compress(msgspec.json.encode(body)))


def signed(header: dict[str, Any], body: bytes) -> Tomb:
    data = sign_envelope(KEYS.writer_seed, "tomb", header, body).encode()
    return Tomb.parse(data, PLACE, KEYS.writer_public, FIRST.key)


def test_what_cannot_be_read_back_is_never_signed() -> None:
    with pytest.raises(Damaged):
        replace(FIRST, goes=Counts(3, 6, 1)).sign(PLACE, KEYS.writer_seed)


def test_names_of_tombstones() -> None:
    assert split_tomb_name("44" * 16 + "-00000012") == ("44" * 16, 12)
    for name in ("44" * 16, "44" * 16 + "-12", "x" + "4" * 31 + "-00000012", ""):
        assert split_tomb_name(name) is None
