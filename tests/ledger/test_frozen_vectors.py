"""ledger-v1 as it was frozen: made anew it is the same, and it verifies."""

import json
from pathlib import Path
from typing import Any

import pytest

from strongroom.ledger import Policy, Proof
from strongroom.ledger.tree import ProofInvalid, verify_consistency
from tests.vectors import build_ledger_v1, build_witness_v1

PATH = Path(__file__).parents[1] / "vectors" / "ledger-v1.json"
ENTRIES = build_ledger_v1.entries()


@pytest.fixture(scope="module")
def frozen() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
    return found


def test_ledger_v1_is_made_as_it_was_frozen(frozen: dict[str, Any]) -> None:
    assert build_ledger_v1.build() == frozen


def test_the_frozen_checkpoint_is_witnessed(frozen: dict[str, Any]) -> None:
    verdict = Policy.parse(frozen["policy"].encode()).check(frozen["note"].encode())
    assert verdict.quorum_met
    assert verdict.cosigned == frozen["cosigned"]
    assert verdict.checkpoint.root.hex() == frozen["roots"]["300"]


def test_the_frozen_proofs_verify(frozen: dict[str, Any]) -> None:
    policy = Policy.parse(frozen["policy"].encode())
    for index, text in [*frozen["proofs"].items(), ("0", frozen["proof_with_extra"])]:
        proof = Proof.parse(text.encode())
        assert proof.index == int(index)
        proof.verify(ENTRIES[proof.index], policy)
        with pytest.raises(ProofInvalid):
            proof.verify(ENTRIES[proof.index - 1], policy)
    roots = {int(size): bytes.fromhex(root) for size, root in frozen["roots"].items()}
    for size, hashes in frozen["consistency"].items():
        proof_hashes = [bytes.fromhex(one) for one in hashes]
        verify_consistency(int(size), 300, proof_hashes, roots[int(size)], roots[300])


def test_witness_v1_is_made_as_it_was_frozen() -> None:
    frozen = json.loads((PATH.parent / "witness-v1.json").read_text(encoding="utf-8"))
    assert build_witness_v1.build() == frozen
    assert [one["status"] for one in frozen["rounds"]] == [
        *(404, 200, 200, 409, 200, 200, 422, 403, 400, 400)
    ]
