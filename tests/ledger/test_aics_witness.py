"""The same requests to our witness and to one that others wrote: the answers are the same.

`aics-witness` (dependency group `foreign`) needs Python 3.12; without it this is skipped.
"""

import importlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.ledger.note import open_note
from tests.ledger.seat import (
    LOG_SEED,
    NAME,
    ORIGIN,
    OTHER_SEED,
    START,
    WITNESS_SEED,
    Seat,
    Tree,
    log_key,
)

pytest.importorskip("aics_witness", reason="aics-witness is not installed: it needs Python 3.12")


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Any]:
    """Return their witness, with our key and our log."""
    keys = importlib.import_module("cryptography.hazmat.primitives.asymmetric.ed25519")
    service = importlib.import_module("aics_witness.service")
    config = importlib.import_module("aics_witness.config")
    tlog = importlib.import_module("aics_tlog")
    store = importlib.import_module("aics_witness.store").WitnessStore(
        tmp_path / "theirs.db", create=True
    )
    log = config.LogConfig(ORIGIN, (tlog.parse_vkey(str(log_key())),))
    seed = keys.Ed25519PrivateKey.from_private_bytes(WITNESS_SEED)
    with closing(store):
        yield service.Witness(NAME, seed, store, [log], clock=START.timestamp)


def theirs(foreign: Any, request: bytes) -> tuple[int, str, bytes]:
    error = importlib.import_module("aics_witness.service").WitnessError
    try:
        return 200, "text/plain; charset=utf-8", foreign.add_checkpoint(request)
    except error as err:
        return err.status, err.content_type, err.body


def test_our_answers_are_those_of_another_witness(foreign: Any) -> None:
    tree, other = Tree().grow(300), Tree("another ").grow(300)
    note = tree.note(300)
    requests = [
        tree.request(0, 0),
        tree.request(0, 5),
        tree.request(0, 6),
        tree.request(5, 255),
        tree.request(255, 257),
        tree.request(257, 257),
        tree.request(4, 300),
        b"old 257\n\n" + other.note(257),
        b"old 4\n\n" + other.note(257),
        b"old 257\n\n" + other.note(300),
        b"old 257\n\n" + tree.note(300, OTHER_SEED),
        b"old 301\n\n" + note,
        b"old 0257\n\n" + note,
        b"old 257\n" + b"AAAA\n" * 64 + b"\n" + note,
        b"old 257\nnot base64\n\n" + note,
        b"old 257\n\n" + tree.note(300, LOG_SEED, "another.invalid/log"),
        b"nonsense",
        b"",
        tree.request(257, 300),
    ]
    with closing(open_sqlite(None)) as database:
        seat = Seat(database)
        seat.register()
        for request in requests:
            ours, found = seat.answer(request), theirs(foreign, request)
            assert ours[:2] == found[:2], request
            if ours[0] in {200, 409}:
                # Ed25519 has one signature for a key and a message, so also these are the same.
                assert ours[2] == found[2], request
        newest = seat.witness.monitor(seat.journal[0][1]).body
    assert newest == foreign.latest_checkpoint(seat.journal[0][1])
    assert open_note(newest, [log_key()]).text == note[: note.rindex(b"\n\n") + 1]
