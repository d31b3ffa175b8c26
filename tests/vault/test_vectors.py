"""The frozen vaults and lines of tests/vectors are read, whatever writes today."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.errors import Damaged
from strongroom.locations import Copies
from strongroom.placement import FullCopies
from strongroom.vault import Entry, SessionKeys, Vault, WorkerKeys
from strongroom.vault.recipe import decode_line, encode_line
from tests.support.memory_location import MemoryLocation
from tests.support.vault_fixtures import ListTarget, bring_back, counting_token, source_id
from tests.vectors.build_vault_v1 import ENTRIES

VECTORS = Path(__file__).parent.parent / "vectors"
VAULTS: list[dict[str, Any]] = json.loads((VECTORS / "vault-v1.json").read_text())["vaults"]
RECIPE: dict[str, Any] = json.loads((VECTORS / "recipe-v1.json").read_text())


@pytest.mark.parametrize("frozen", VAULTS, ids=lambda frozen: frozen["class"])
def test_frozen_vaults_are_read(frozen: dict[str, Any]) -> None:
    location = MemoryLocation("a")
    location.objects = {key: base64.b64decode(one) for key, one in frozen["objects"].items()}
    worker = WorkerKeys(
        *(bytes.fromhex(frozen[name]) for name in ("dedup", "structure", "writer_seed"))
    )
    place = Vault.Place(frozen["install"], frozen["client"], frozen["vault"], frozen["class"])
    vault = Vault(
        place, FullCopies(Copies({"a": location})), open_sqlite(None), worker, counting_token()
    )
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
        bring_back(vault, structure, source_id("s"), held, target)
        assert target.files == {
            path.encode("latin-1"): base64.b64decode(data) for path, data in one["files"].items()
        }
        assert target.entries[: len(ENTRIES)] == ENTRIES
        assert vault.read_data(structure, public, held).findings == ()


@pytest.mark.parametrize("frozen", RECIPE["lines"], ids=lambda frozen: frozen["kind"])
def test_frozen_lines_are_read_and_written(frozen: dict[str, Any]) -> None:
    entry = Entry(
        path=bytes.fromhex(frozen["path"]),
        kind=frozen["kind"],
        size_bytes=frozen["size_bytes"],
        mode=frozen["mode"],
        modified_ns=frozen["modified_ns"],
        owner=frozen["owner"],
        group=frozen["group"],
        link=bytes.fromhex(frozen["link"]),
        attributes=tuple(
            (bytes.fromhex(name), bytes.fromhex(value)) for name, value in frozen["attributes"]
        ),
        holes=tuple((offset, length) for offset, length in frozen["holes"]),
    )
    line = frozen["line"].encode()
    decoded = decode_line(line[:-1])
    assert (decoded.entry, decoded.chunks) == (entry, frozen["chunks"])
    assert encode_line(entry, frozen["data_bytes"], frozen["chunks"]) == line


@pytest.mark.parametrize("line", RECIPE["refused"])
def test_frozen_lines_that_are_refused(line: str) -> None:
    with pytest.raises(Damaged):
        decode_line(line.encode())
