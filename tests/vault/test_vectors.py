"""The frozen vaults of tests/vectors/vault-v1.json are read, whatever writes today."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.locations import Copies
from strongroom.vault import SessionKeys, Vault, WorkerKeys
from tests.support.memory_location import MemoryLocation
from tests.support.vault_fixtures import ListTarget, counting_token, source_id
from tests.vectors.build_vault_v1 import ENTRIES

VECTORS = Path(__file__).parent.parent / "vectors" / "vault-v1.json"
VAULTS: list[dict[str, Any]] = json.loads(VECTORS.read_text(encoding="utf-8"))["vaults"]


@pytest.mark.parametrize("frozen", VAULTS, ids=lambda frozen: frozen["class"])
def test_frozen_vaults_are_read(frozen: dict[str, Any]) -> None:
    location = MemoryLocation("a")
    location.objects = {key: base64.b64decode(one) for key, one in frozen["objects"].items()}
    worker = WorkerKeys(
        *(bytes.fromhex(frozen[name]) for name in ("dedup", "structure", "writer_seed"))
    )
    place = Vault.Place(frozen["install"], frozen["client"], frozen["vault"], frozen["class"])
    vault = Vault(place, Copies({"a": location}), open_sqlite(None), worker, counting_token())
    keys = {
        session: SessionKeys(
            session, bytes.fromhex(one["inner"]), one["outer"] and bytes.fromhex(one["outer"])
        )
        for session, one in frozen["keys"].items()
    }
    public = bytes.fromhex(frozen["writer_public"])
    assert public == worker.writer_public
    for one in frozen["snapshots"]:
        body = base64.b64decode(one["body"])
        vault.learn(str(one["sequence"]), body, public, one["sequence"], one["index"])
        structure = vault.structure(body, public, one["sequence"])
        held = {session: keys[session] for session in one["sessions"]}
        target = ListTarget()
        vault.restore(structure, source_id("s"), held, target, lambda _: None)
        assert target.files == {
            path.encode("latin-1"): base64.b64decode(data) for path, data in one["files"].items()
        }
        assert target.entries[: len(ENTRIES)] == ENTRIES
        assert vault.read_data(structure, public, held).findings == ()
