"""Class high on stored bytes: one layer peeled, the other still there, under another dealing."""

from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from strongroom.crypto.envelope import decode_envelope
from strongroom.crypto.framing import frame
from strongroom.crypto.sealing import derive
from strongroom.operations.deployment import Deployment
from strongroom.operations.open_keys import open_keys
from strongroom.operations.receipts import fetch_record
from strongroom.quorum import Dealing
from strongroom.vault import SessionKeys
from strongroom.vault.codec import Zstandard
from strongroom.vault.pack import FOOT_BYTES, read_trailer, trailer_bytes
from strongroom.vault.segment import decode_segment
from tests.journeys.world import HIGH, NORMAL, World, make_world

NONCE = bytes(12)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    made = make_world(tmp_path_factory.mktemp("high") / "world")
    for client in (NORMAL, HIGH):
        assert made.back_up(client).problems == []
    return made


def stored_segments(
    deployment: Deployment, name: str, folder: Path
) -> list[tuple[SessionKeys, bytes, bytes]]:
    """Return keys, id and stored bytes of every segment at one location, read from its packs."""
    client = deployment.registry.client(name)
    with deployment.tools.history(client.id) as history:
        record = fetch_record(deployment, client, history.find("latest"))
        keys = open_keys(deployment, client, history, record.statement)
    vault = bytes.fromhex(client.vault)
    structure = deployment.worker_keys(client).structure
    found = []
    for pack in sorted((folder / "packs").glob("*/*")):
        data = pack.read_bytes()
        tail = data[-trailer_bytes(data[-FOOT_BYTES:], pack.name) :]
        for one in read_trailer(tail, structure, vault, pack.name, Zstandard()):
            stored = data[one.offset : one.offset + one.stored_bytes]
            found.append((keys[one.session.hex()], one.id, stored))
    return found


def test_only_the_outer_layer_peeled_from_a_stored_segment(world: World) -> None:
    folder = world.vault_folder("loc2", HIGH)
    plain = b""
    with world.open() as deployment:
        vault = bytes.fromhex(deployment.registry.client(HIGH).vault)
        segments = stored_segments(deployment, HIGH, folder)
    assert len(segments) >= 2
    for keys, segment, stored in segments:
        assert keys.outer is not None
        context = frame(vault, bytes.fromhex(keys.session))
        outer = derive(keys.outer, "segment/ChaCha20-Poly1305", segment, context)
        inner = ChaCha20Poly1305(outer).decrypt(NONCE, stored, None)
        # One tag less, and still sealed: the outer dealing's key opens no more of it.
        assert len(stored) - len(inner) == 16
        for parent in (keys.outer, outer):
            for label in ("segment/AES-256-GCM", "segment/ChaCha20-Poly1305"):
                derived = derive(parent, label, segment, context)
                with pytest.raises(InvalidTag):
                    AESGCM(derived).decrypt(NONCE, inner, None)
                with pytest.raises(InvalidTag):
                    ChaCha20Poly1305(derived).decrypt(NONCE, inner, None)
        # Nor does the inner key without the outer one, or with the other algorithm.
        under_k1 = derive(keys.inner, "segment/AES-256-GCM", segment, context)
        with pytest.raises(InvalidTag):
            AESGCM(under_k1).decrypt(NONCE, stored, None)
        with pytest.raises(InvalidTag):
            ChaCha20Poly1305(under_k1).decrypt(NONCE, inner, None)
        opened = AESGCM(under_k1).decrypt(NONCE, inner, None)
        plain += decode_segment(opened, Zstandard()).payload
    # What was under both layers is the client's data, once for each source.
    assert world.database.read_bytes()[:16] in plain
    assert (world.tree / "not-utf-8-\udcff").read_bytes() in plain


def test_the_two_keys_come_from_two_dealings(world: World) -> None:
    folder = world.vault_folder("loc1", HIGH)
    for path in sorted((folder / "keys").iterdir()):
        dealing = Dealing.parse(decode_envelope(path.read_bytes(), "a keys object").statement)
        first, second = dealing.parts
        assert first.check != second.check
        assert not set(first.commitments) & set(second.commitments)
        assert not set(first.shares) & set(second.shares)


def test_class_normal_has_one_layer(world: World) -> None:
    folder = world.vault_folder("loc1", NORMAL)
    with world.open() as deployment:
        vault = bytes.fromhex(deployment.registry.client(NORMAL).vault)
        segments = stored_segments(deployment, NORMAL, folder)
    assert segments
    for keys, segment, stored in segments:
        assert keys.outer is None
        context = frame(vault, bytes.fromhex(keys.session))
        key = derive(keys.inner, "segment/AES-256-GCM", segment, context)
        decode_segment(AESGCM(key).decrypt(NONCE, stored, None), Zstandard())
