"""share-v1 as it was frozen: every object verifies, every share opens, the keys come out."""

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from strongroom.crypto.envelope import decode_envelope, decode_statement
from strongroom.quorum import Dealing, Opening, Roster, SnapshotHeader
from strongroom.quorum.kit import EntryPlace, Kit
from strongroom.quorum.label import VaultClass
from strongroom.quorum.release import Release, ReleaseRequest
from tests.vectors import build_share_v1

VECTORS = Path(__file__).parents[1] / "vectors"


@pytest.fixture(params=["normal", "high"])
def vault_class(request: pytest.FixtureRequest) -> VaultClass:
    chosen: VaultClass = request.param
    return chosen


@pytest.fixture
def frozen(vault_class: VaultClass) -> dict[str, Any]:
    every = json.loads((VECTORS / "share-v1.json").read_text(encoding="utf-8"))
    chosen: dict[str, Any] = every[vault_class]
    return chosen


def test_what_chance_does_not_touch_is_made_as_it_was_frozen(
    frozen: dict[str, Any], vault_class: VaultClass
) -> None:
    assert build_share_v1.build(vault_class)["fixed"] == frozen["fixed"]


def test_frozen_shares_open_and_give_the_keys(frozen: dict[str, Any]) -> None:
    fixed = frozen["fixed"]
    keys_object = decode_envelope(bytes.fromhex(frozen["keys_object"]), "it")
    keys_object.statement.verify(bytes.fromhex(fixed["writer"]), "it")
    dealing = Dealing.parse(keys_object.statement)
    assert dealing.label.hash.hex() == fixed["label_hash"]
    for number, wanted in enumerate(fixed["content_keys"], 1):
        points = []
        for index, seed in enumerate(fixed["client_key_seeds"], 1):
            opened = dealing.open_own(number, index, bytes.fromhex(seed), "it")
            assert opened.hex() == fixed["opened"][number - 1][index - 1]
            points.append((index, opened[:32]))
        for pair in combinations(points, 2):
            assert dealing.content_key(number, pair).hex() == wanted
    inner = bytes.fromhex(fixed["content_keys"][0])
    assert Opening.unwrap_structure_key(keys_object, inner).hex() == fixed["structure_key"]


def test_frozen_receipts_and_answers_verify(frozen: dict[str, Any]) -> None:
    fixed = frozen["fixed"]
    roster = Roster.parse(decode_envelope(bytes.fromhex(fixed["roster"]), "it"), None)
    assert roster.id == fixed["roster_id"]
    snapshot = decode_statement(bytes.fromhex(frozen["snapshot"]), "it")
    SnapshotHeader.parse(snapshot, bytes.fromhex(fixed["writer"]))
    request = ReleaseRequest.decode(bytes.fromhex(frozen["request"]))
    assert request.snapshot == snapshot
    for index in range(1, 4):
        receipt = decode_envelope(bytes.fromhex(frozen["receipts"][index - 1]), "it")
        assert roster.check_receipt(receipt, snapshot).index == index
        certificate = decode_envelope(bytes.fromhex(fixed["client_keys"][index - 1]), "it")
        assert roster.check_client_key(certificate).index == index
        answer = decode_envelope(bytes.fromhex(frozen["answers"][index - 1]), "it")
        assert Release.parse(answer, roster.member(index)).request == request.request


def test_the_frozen_kit_opens_its_entries(frozen: dict[str, Any]) -> None:
    fixed = frozen["fixed"]
    kit = Kit.from_words(fixed["kit_words"])
    assert kit.key(fixed["install"]).hex() == fixed["kit_key"]
    for path, data in fixed["kit_entries"].items():
        place = EntryPlace.parse(path)
        opened = place.open(kit.key(place.install), bytes.fromhex(data))
        assert opened["install"] == fixed["install"]
