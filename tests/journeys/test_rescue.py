"""The second reader: one file, written from the format pages alone, restores without the package.

It runs in a process that cannot import the package, over folders that the package wrote.
"""

import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from strongroom.crypto.envelope import Envelope, Statement, decode_envelope
from strongroom.crypto.hashing import content_hash
from strongroom.crypto.signing import sign
from strongroom.operations.open_keys import open_keys
from strongroom.operations.receipts import fetch_record
from tests.journeys.world import (
    HIGH,
    NORMAL,
    ROOT,
    LiveState,
    World,
    change_live_data,
    fresh_copy,
    keep_template,
    look_at,
    make_world,
)

SCRIPT = ROOT / "rescue" / "strongroom_rescue.py"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """An install with two good snapshots of each client."""
    made = make_world(tmp_path_factory.mktemp("rescue") / "world")
    for number in range(2):
        if number:
            change_live_data(made, number)
        for client in (NORMAL, HIGH):
            assert made.back_up(client).problems == []
    keep_template(made)
    return made


@pytest.fixture
def world(template: World) -> World:
    return fresh_copy(template)


def rescue(world: World, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the file alone: isolated, so that neither the checkout nor the environment is seen."""
    places = [part for path in world.locations.values() for part in ("--location", str(path))]
    return subprocess.run(
        [sys.executable, "-I", "-B", "-W", "error", str(SCRIPT), *places, *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=world.root,
        env={},
    )


def kits_file(world: World, *numbers: int) -> str:
    path = world.root / "kits"
    path.write_text("\n".join(world.kits[number] for number in numbers), "utf-8")
    return str(path)


def rescued(world: World, client: str, *secret: str) -> LiveState:
    folder = world.root / "rescued"
    done = rescue(world, *secret, "restore", client, "--to", str(folder))
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    try:
        return look_at(folder / "data.db", folder / "tree")
    finally:
        shutil.rmtree(folder)


@pytest.mark.parametrize("client", [NORMAL, HIGH])
def test_any_two_kits_restore_everything_equal(world: World, client: str) -> None:
    wanted = world.state()
    world.lose_home()
    for pair in itertools.combinations(range(3), 2):
        assert rescued(world, client, "--kits", kits_file(world, *pair)) == wanted


def test_it_lists_every_snapshot_and_restores_an_older_one(world: World) -> None:
    with world.open() as deployment:
        found = deployment.registry.client(NORMAL)
        with deployment.tools.history(found.id) as history:
            hashes = [snapshot.hash[:12] for snapshot in history.snapshots()]
    listed = rescue(world, "--kits", kits_file(world, 0, 2), "list").stdout
    assert all(f"{one} " in listed for one in hashes)
    assert listed.count(" good: data.db, tree\n") == 4
    older = world.root / "older"
    kits = kits_file(world, 0, 1)
    done = rescue(world, "--kits", kits, "restore", NORMAL, hashes[0], "--to", str(older))
    assert done.returncode == 0
    assert look_at(older / "data.db", older / "tree") == world.restore(NORMAL, hashes[0])


@pytest.mark.parametrize("client", [NORMAL, HIGH])
def test_keys_that_were_opened_restore_one_snapshot_without_kits(world: World, client: str) -> None:
    path = world.root / "opened.json"
    with world.open() as deployment:
        found = deployment.registry.client(client)
        with deployment.tools.history(found.id) as history:
            snapshot = history.find("latest")
            record = fetch_record(deployment, found, snapshot)
            keys = open_keys(deployment, found, history, record.statement)
        given = {
            "client": found.id,
            "vault": found.vault,
            "class": found.vault_class,
            "writers": [deployment.worker_keys(found).writer_public.hex()],
            "sessions": {
                session: [key.hex() for key in (one.inner, one.outer) if key is not None]
                for session, one in keys.items()
            },
        }
    path.write_text(json.dumps(given), "utf-8")
    assert rescued(world, client, "--keys", str(path)) == world.state()


def test_one_kit_and_a_kit_given_twice_are_refused(world: World) -> None:
    for numbers in ((1,), (1, 1)):
        kits = kits_file(world, *numbers)
        done = rescue(world, "--kits", kits, "restore", NORMAL, "--to", str(world.root / "none"))
        assert done.returncode == 1
        assert done.stderr == "stopped: 2 different kits are needed\n"
    assert not (world.root / "none").exists()


def test_a_mistyped_word_is_named_without_the_others(world: World) -> None:
    words = world.kits[0].split()
    (world.root / "kits").write_text(" ".join([*words[:-1], "strongrooom"]), "utf-8")
    done = rescue(world, "--kits", str(world.root / "kits"), "list")
    assert (done.returncode, done.stderr) == (1, "stopped: 'strongrooom' is no word of a kit\n")


def test_a_damaged_copy_and_a_lost_location_are_survived(world: World) -> None:
    wanted = world.state()
    shutil.rmtree(world.locations["loc1"])
    for path in sorted(world.locations["loc2"].rglob("*")):
        if path.is_file():
            flip_byte(path)
    assert rescued(world, NORMAL, "--kits", kits_file(world, 0, 1)) == wanted


def test_a_lost_index_of_an_older_snapshot_stops_only_what_needs_it(world: World) -> None:
    """Snapshots of class high share nothing, those of class normal do."""
    wanted = world.state()
    for client in (NORMAL, HIGH):
        for place in world.locations:
            vault = world.vault_folder(place, client)
            (first,) = vault.glob("snapshots/*/00000001")
            (vault / "index" / header_of(first)["index"]).unlink()
    kits = kits_file(world, 0, 1)
    done = rescue(world, "--kits", kits, "restore", HIGH, "--to", str(world.root / "high"))
    assert done.returncode == 0
    assert re.fullmatch(r"passed over: vaults/.*/index/.* cannot be used: .*\n", done.stderr)
    assert look_at(world.root / "high" / "data.db", world.root / "high" / "tree") == wanted
    done = rescue(world, "--kits", kits, "restore", NORMAL, "--to", str(world.root / "normal"))
    assert done.returncode == 1
    assert "stopped: no index says where segment " in done.stderr


def test_other_keys_than_a_snapshot_was_made_with_are_refused(world: World) -> None:
    """Whoever has the writer's key may sign a second keys object for a session, which opens."""
    with world.open() as deployment:
        seed = deployment.worker_keys(deployment.registry.client(NORMAL)).writer_seed
    for place in world.locations:
        for path in world.vault_folder(place, NORMAL).glob("keys/*"):
            found = decode_envelope(path.read_bytes(), "keys")
            header = found.statement.header[:-1] + b',"z":1}'
            body_hash = content_hash(found.body)
            signature = sign(seed, "strongroom/envelope-v1", header + body_hash)
            path.chmod(0o600)
            path.write_bytes(Envelope(Statement(header, body_hash, signature), found.body).encode())
    kits = kits_file(world, 0, 1)
    done = rescue(world, "--kits", kits, "restore", NORMAL, "--to", str(world.root / "none"))
    assert done.returncode == 1
    assert "are not those that its snapshot names\n" in done.stderr
    assert not (world.root / "none").exists()


def test_no_altered_byte_is_restored(world: World) -> None:
    """With one byte of every pack altered at every location, nothing gets its final name."""
    for place in world.locations.values():
        for path in place.glob("*/vaults/*/packs/*/*"):
            flip_byte(path)
    to = world.root / "rescued"
    kits = kits_file(world, 0, 1)
    done = rescue(world, "--kits", kits, "restore", NORMAL, "--to", str(to))
    assert done.returncode == 1
    assert "stopped: " in done.stderr
    assert "Traceback" not in done.stderr
    assert not (to / "data.db").exists()


def header_of(path: Path) -> Any:
    """Return the header of an envelope."""
    data = path.read_bytes()
    return json.loads(data[12 : 12 + int.from_bytes(data[8:12], "little")])


def flip_byte(path: Path) -> None:
    """Alter a byte in the middle, which every object holds sealed or signed."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o600)
    path.write_bytes(data)
