"""sealing-v1 and envelope-v1 as they were frozen: made anew they are the same, and they open."""

import json
from pathlib import Path

import pytest

from strongroom.crypto.envelope import decode_envelope, decode_statement
from strongroom.crypto.sealing import Cipher, open_sealed
from strongroom.errors import Damaged
from tests.vectors import build_envelope_v1, build_sealing_v1

VECTORS = Path(__file__).parents[1] / "vectors"


def test_sealing_v1_is_made_as_it_was_frozen() -> None:
    frozen = json.loads((VECTORS / "sealing-v1.json").read_text(encoding="utf-8"))
    assert build_sealing_v1.build() == frozen
    for case in frozen["sealed"]:
        parent, salt, context, sealed = (
            bytes.fromhex(case[name]) for name in ("parent", "salt", "context", "sealed")
        )
        cipher = Cipher(case["cipher"])
        opened = open_sealed(parent, case["kind"], salt, context, sealed, cipher)
        assert opened.hex() == case["plaintext"]


def test_envelope_v1_is_made_as_it_was_frozen() -> None:
    frozen = json.loads((VECTORS / "envelope-v1.json").read_text(encoding="utf-8"))
    assert build_envelope_v1.build() == frozen
    for case in frozen["objects"]:
        envelope = decode_envelope(bytes.fromhex(case["object"]), "it")
        envelope.statement.verify(bytes.fromhex(frozen["public"]), "it")
        assert envelope.statement.hash.hex() == case["hash"]
        assert envelope.body.hex() == case["body"]
        statement = decode_statement(bytes.fromhex(case["statement"]), "it")
        assert statement == envelope.statement
        assert statement.fields(case["type"]) is not None
        with pytest.raises(Damaged, match="wrong signature"):
            statement.verify(bytes.fromhex(frozen["seed"]), "it")
