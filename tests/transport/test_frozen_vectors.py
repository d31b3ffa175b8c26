"""transport-v1 as it was frozen: made anew it is the same, and it is read."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from strongroom.crypto import certificates
from strongroom.crypto.certificates import read_deny_list, read_leaf
from strongroom.crypto.join_code import JoinCode, WrongJoinCode
from strongroom.ids import InstallId
from strongroom.transport import Badge
from tests.vectors import build_transport_v1

PATH = Path(__file__).parents[1] / "vectors" / "transport-v1.json"
FROZEN = json.loads(PATH.read_text(encoding="utf-8"))
AUTHORITY = bytes.fromhex(FROZEN["authority"])


def test_transport_v1_is_made_as_it_was_frozen() -> None:
    assert build_transport_v1.build() == FROZEN


def test_frozen_leaves_are_read() -> None:
    for case in FROZEN["leaves"]:
        badge = Badge.make(
            InstallId(FROZEN["install"]),
            bytes.fromhex(case["seed"]),
            bytes.fromhex(case["leaf"]),
            AUTHORITY,
        )
        assert (badge.peer.role, badge.peer.id) == (case["role"], case["id"])
        assert list(badge.leaf.hosts) == case["hosts"]
        assert badge.leaf.not_after == datetime(2026, 11, 24, 4, 30, tzinfo=UTC)
        assert certificates.read_request(bytes.fromhex(case["request"])) == badge.leaf.public
        renewed = badge.renewed(bytes.fromhex(case["renewed"]), badge.leaf.not_before)
        assert renewed.leaf.not_after == datetime(2026, 11, 24, 20, 30, tzinfo=UTC)
        assert renewed.leaf.serial != badge.leaf.serial


def test_frozen_deny_list_is_read() -> None:
    denied = read_deny_list(bytes.fromhex(FROZEN["deny_list"]), AUTHORITY)
    assert denied.number == 1
    assert denied.serials == {int(serial, 16) for serial in FROZEN["denied"]}
    assert denied.serials == {read_leaf(bytes.fromhex(FROZEN["leaves"][1]["leaf"])).serial}


def test_frozen_proofs_hold() -> None:
    case = FROZEN["join"]
    code = JoinCode.parse(case["code"].lower().replace("-", " "))
    assert code.secret.hex() == case["code_bytes"]
    assert code.text() == case["code"]
    key = code.key()
    shown, invitation, answer, server, custodian = (
        bytes.fromhex(case[name])
        for name in ("key", "invitation", "answer", "server_proof", "custodian_proof")
    )
    key.check_invitation(shown, invitation, server)
    key.check_answer(shown, invitation, answer, custodian)
    with pytest.raises(WrongJoinCode):
        key.check_invitation(shown, answer, server)
    with pytest.raises(WrongJoinCode):
        key.check_answer(shown, invitation, answer, server)
