"""A byte search for every secret of an install, and for what it keeps, through every file it makes.

Chance is recorded, so each key, seed, share and coefficient is known here; what is derived from
them is derived again. The key file is the one named exception: its own 32 bytes, and only there.
Names of clients and sources may stand in the home's `server.db` and `client.db`, which are for
people, and in `disclosures.db`, from which they can be erased; they are in no path and at no
location.
"""

import base64
import json
import os
import secrets
import signal
import sqlite3
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from strongroom.crypto import scalars
from strongroom.crypto.envelope import decode_envelope
from strongroom.crypto.sealing import derive
from strongroom.errors import Damaged
from strongroom.ids import InstallId
from strongroom.operations.credentials import Credential, Credentials
from strongroom.operations.open_keys import open_keys
from strongroom.operations.receipts import fetch_record
from strongroom.quorum import Dealing
from strongroom.quorum.kit import Kit
from tests.faults.test_kill import drive
from tests.journeys.world import (
    HIGH,
    NORMAL,
    OPERATOR_WORDS,
    World,
    change_live_data,
    files_below,
    make_world,
    refused,
)

SECRET_BYTES_MIN = 32
WORDS_IN_A_ROW = 6
SHARE_BYTES = 32


@dataclass(slots=True)
class Canary:
    """A world whose chance is recorded, with a marker in everything that it keeps."""

    drawn: list[bytes] = field(default_factory=list)
    marker: str = field(default_factory=lambda: secrets.token_hex(16))
    store_keys: tuple[str, str] = field(
        default_factory=lambda: (secrets.token_hex(20), secrets.token_hex(20))
    )
    """What the worker and the janitor prove themselves with to an object store."""
    said: list[str] = field(default_factory=list)
    world: World = field(init=False)

    def token(self, size: int) -> bytes:
        value = os.urandom(size)
        self.drawn.append(value)
        return value

    def sign(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """Run a command that needs the passphrase of the operator's key."""
        return self.run(*arguments, "--passphrase-file", "-", typed=OPERATOR_WORDS)

    def run(self, *arguments: str, **plan: Any) -> "subprocess.CompletedProcess[str]":
        """Run a command whose chance is recorded too, and keep what it said."""
        chance = self.world.root.with_name("chance")
        done = drive(self.world, *arguments, chance_to=str(chance), **plan)
        self.drawn += [bytes.fromhex(line) for line in chance.read_text("ascii").split()]
        chance.unlink()
        self.said += [done.stdout, done.stderr]
        return done


def plant(canary: Canary) -> None:
    """Put the marker into rows, a table's name, a column's name, a file and a file's name.

    The credentials of an object store are sealed as `location add` does it.
    """
    world, marker = canary.world, canary.marker
    worker, janitor = canary.store_keys
    with world.open() as deployment:
        given = Credentials(Credential("worker", worker), Credential("janitor", janitor))
        given.seal(deployment.tools.secrets, "store", "s3://bucket/prefix")
    with closing(sqlite3.connect(world.database)) as connection:
        connection.execute(f"CREATE TABLE t_{marker} (c_{marker} TEXT)")
        connection.executemany(
            f"INSERT INTO t_{marker} VALUES (?)", [(f"row {n} {marker}",) for n in range(50)]
        )
        connection.commit()
    folder = world.tree / f"folder-{marker}"
    folder.mkdir()
    (folder / f"file-{marker}").write_text(f"{marker}\n" * 100, encoding="utf-8")
    (folder / "link").symlink_to(f"to-{marker}")


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    made = Canary()
    made.world = make_world(tmp_path / "world", token=made.token, words=OPERATOR_WORDS)
    plant(made)
    return made


def known_secrets(canary: Canary) -> dict[str, bytes]:
    """Return everything that must be nowhere in clear, with a name for each."""
    world = canary.world
    found: dict[str, bytes] = {}
    long = [value for value in canary.drawn if len(value) >= SECRET_BYTES_MIN]
    for number, value in enumerate(long):
        for at in range(0, len(value), SECRET_BYTES_MIN):
            found[f"draw {number} of {len(value)} bytes, part {at}"] = value[at : at + 32]
        if len(value) == scalars.WIDE_BYTES:
            found[f"scalar {number}"] = scalars.from_wide(value)
    with world.open() as deployment:
        install = deployment.install
    for number, words in enumerate(world.kits):
        kit = Kit.from_words(words)
        found[f"recovery secret {number}"] = kit.secret
        found[f"kit key {number}"] = kit.key(InstallId(install))
    key_file = bytes.fromhex(next(world.keys.glob("*.key")).read_text("ascii").split()[1])
    for role in ("secrets", "custodian-1", "custodian-2", "custodian-3"):
        found[f"key file's {role}"] = derive(key_file, "key-file", context=role.encode())
    seeds = [value for value in long if len(value) == SHARE_BYTES]
    for path in files_below(*world.locations["loc1"].glob("*/vaults/*/keys")):
        dealing = Dealing.parse(decode_envelope(path.read_bytes(), "keys").statement)
        found |= opened_dealing(dealing, seeds, path.name)
    del found[next(name for name, value in found.items() if value == key_file)]
    return found


def opened_dealing(dealing: Dealing, seeds: list[bytes], name: str) -> dict[str, bytes]:
    """Return a session's shares and content keys, opened with the custodians' recorded seeds."""
    found: dict[str, bytes] = {}
    for number in range(1, len(dealing.parts) + 1):
        points = []
        for index in range(1, dealing.label.members + 1):
            opened = next(attempts(dealing, number, index, seeds))
            points.append((index, opened[:SHARE_BYTES]))
            found[f"share {index} of dealing {number} of {name}"] = opened[:SHARE_BYTES]
            found[f"salt of share {index} of dealing {number} of {name}"] = opened[SHARE_BYTES:]
        found[f"content key {number} of {name}"] = dealing.content_key(number, points[:2])
    return found


def attempts(dealing: Dealing, number: int, index: int, seeds: list[bytes]) -> Iterator[bytes]:
    for seed in seeds:
        try:
            yield dealing.open_own(number, index, seed, "nobody")
        except Damaged:
            continue


def needles(canary: Canary) -> dict[str, bytes]:
    """Return the secrets in every form in which they are searched, and the texts."""
    found: dict[str, bytes] = {}
    for name, value in known_secrets(canary).items():
        found[name] = value
        found[f"{name}, hex"] = value.hex().encode()
        found[f"{name}, HEX"] = value.hex().upper().encode()
        found[f"{name}, base64"] = base64.b64encode(value).rstrip(b"=")[:-1]
        found[f"{name}, base64 of URLs"] = base64.urlsafe_b64encode(value).rstrip(b"=")[:-1]
    for number, line in enumerate(canary.world.kits):
        words = line.split()
        for at in range(len(words) - WORDS_IN_A_ROW + 1):
            text = " ".join(words[at : at + WORDS_IN_A_ROW])
            found[f"kit {number}, words from {at + 1}"] = text.encode()
            found[f"kit {number}, words from {at + 1} as JSON"] = json.dumps(text.split()).encode()
    found["passphrase"] = OPERATOR_WORDS.encode()
    found["passphrase, base64"] = base64.b64encode(OPERATOR_WORDS.encode())[:-4]
    found["marker"] = canary.marker.encode()
    for number, secret in enumerate(canary.store_keys):
        found[f"store's key {number}"] = secret.encode()
        found[f"store's key {number}, base64"] = base64.b64encode(secret.encode())[:-4]
    return found


def searched(canary: Canary) -> dict[str, bytes]:
    """Return every byte that an install leaves anywhere: contents, paths, and what was said."""
    world = canary.world
    places = (world.home, world.spool, world.root / "config", world.root / "user")
    found = {
        str(path.relative_to(world.root)): path.read_bytes()
        for path in files_below(*places, *world.locations.values())
    }
    found |= {f"name {name}": os.fsencode(name) for name in list(found)}
    found["what was said"] = "\n".join(canary.said).encode()
    return found


def hits(texts: Mapping[str, bytes], wanted: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Return (what, where) for everything that is found."""
    # The locations hold the same objects, so most texts are there three times.
    everything = b"\0\xff\0".join(set(texts.values()))
    present = {name: value for name, value in wanted.items() if value in everything}
    return sorted(
        (name, where)
        for name, value in present.items()
        for where, text in texts.items()
        if value in text
    )


def assert_nothing_in_clear(canary: Canary) -> None:
    wanted = needles(canary)
    assert len(wanted) > 500
    assert len(set(wanted.values())) > 500
    texts = searched(canary)
    assert hits(texts, wanted) == []
    # The key file's 32 bytes are in the key file, once, in hexadecimal, and nowhere else.
    (key_file,) = canary.world.keys.iterdir()
    key = key_file.read_text("ascii").split()[1]
    encoded = forms(bytes.fromhex(key))
    where = str(key_file.relative_to(canary.world.root))
    assert {place for _, place in hits(texts, encoded)} == {where}
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert_names_stay_at_home(texts)


def forms(value: bytes) -> dict[str, bytes]:
    return {"raw": value, "hex": value.hex().encode(), "base64": base64.b64encode(value)[:-2]}


def assert_names_stay_at_home(texts: Mapping[str, bytes]) -> None:
    names = {name: name.encode() for name in (NORMAL, HIGH, "data.db")}
    places = {place for _, place in hits(texts, names)} - {"what was said"}
    at_home = ("server.db", "client.db", "disclosures.db")
    assert [place for place in places if not Path(place).name.startswith(at_home)] == []
    assert any("server.db" in place for place in places)


def assert_the_search_finds(canary: Canary, more: Iterable[bytes]) -> None:
    """Search where the secrets are known to be, so that a search that finds nothing means it."""
    live = {str(path): path.read_bytes() for path in files_below(canary.world.root / "live")}
    assert hits(live, {"marker": canary.marker.encode()})
    wanted = set(needles(canary).values())
    assert all(value in wanted for value in more)


def test_after_backups_restores_and_refusals(canary: Canary) -> None:
    world = canary.world
    for number in (0, 1):
        if number:
            change_live_data(world, number)
        for client in (NORMAL, HIGH):
            done = canary.run("--json", "backup", client)
            assert done.returncode == 0, done.stderr
    for client in (NORMAL, HIGH):
        assert world.restore(client) == world.state()
        to = world.root / f"restored-{client}"
        assert canary.sign("--debug", "restore", client, "--to", str(to)).returncode == 0
    assert canary.run("kit", "confirm", "custodian-1", "--words-file", "/nowhere").returncode == 2
    assert canary.sign("vault", "check", NORMAL, "--read-data").returncode == 0
    for arguments in (("status",), ("kit", "show"), ("snapshots", HIGH), ("client", "show", HIGH)):
        canary.run(*arguments)
    provoke_refusals(canary)

    content_keys = []
    with world.open() as deployment:
        for name in (NORMAL, HIGH):
            found = deployment.registry.client(name)
            with deployment.tools.history(found.id) as history:
                record = fetch_record(deployment, found, history.find("latest"))
                opened = open_keys(deployment, found, history, record.statement)
            content_keys += [keys.inner for keys in opened.values()]
            content_keys += [keys.outer for keys in opened.values() if keys.outer]
    assert_the_search_finds(canary, content_keys)
    assert_nothing_in_clear(canary)


def provoke_refusals(canary: Canary) -> None:
    """Fail in the ways in which software likes to say too much."""
    world = canary.world
    aside = world.root / "aside"
    for index in (2, 3):
        world.custodian(index).rename(world.root / f"away-{index}")
    refusals = [canary.sign("--debug", "restore", HIGH, "--to", str(aside))]
    for index in (2, 3):
        (world.root / f"away-{index}").rename(world.custodian(index))
    (keys,) = {path.parent for path in world.keys.iterdir()}
    keys.rename(world.root / "keys-aside")
    refusals.append(canary.run("--debug", "backup", NORMAL))
    (world.root / "keys-aside").rename(keys)
    world.locations["loc1"].rename(world.root / "loc-aside")
    world.locations["loc2"].rename(world.root / "loc-aside-2")
    refusals.append(canary.run("--debug", "backup", HIGH))
    (world.root / "loc-aside").rename(world.locations["loc1"])
    (world.root / "loc-aside-2").rename(world.locations["loc2"])
    world.database.rename(world.root / "data-aside")
    refusals.append(canary.run("--debug", "--json", "backup", NORMAL))
    (world.root / "data-aside").rename(world.database)
    for path in files_below(*world.locations["loc3"].glob("*/vaults/*/packs")):
        path.write_bytes(path.read_bytes()[::-1])
    refusals.append(canary.sign("--debug", "vault", "check", HIGH, "--read-data"))
    keys_of_store = world.root / "store-keys"
    keys_of_store.write_text("\n".join(("janitor", canary.store_keys[1])), encoding="utf-8")
    given = ("--janitor-credential-file", str(keys_of_store))
    refusals.append(canary.run("--debug", "location", "set", "loc1", *given))
    refusals.append(canary.run("--debug", "location", "add", str(aside), *given))
    assert all(done.returncode not in {0, 130} for done in refusals)
    assert not aside.exists() or list(aside.iterdir()) == []
    error = refused(lambda: world.recover(world.kits[:1]))
    canary.said += [str(error), repr(error)]


@pytest.mark.parametrize("client", [NORMAL, HIGH])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.75])
def test_after_sigkill_and_after_the_next_start(canary: Canary, client: str, share: float) -> None:
    """The database is above the limit of memory, so it goes through the spool on disk."""
    world = canary.world
    assert canary.run("backup", client).returncode == 0
    change_live_data(world, 1)
    count = world.root.with_name("count")
    assert canary.run("backup", client, count_to=str(count)).returncode == 0
    change_live_data(world, 2)
    moment = int(int(count.read_text("ascii")) * share)
    assert canary.run("backup", client, kill_at=moment).returncode == -signal.SIGKILL
    assert_nothing_in_clear(canary)
    assert canary.run("backup", client).returncode == 0
    assert files_below(world.spool) == []
    assert_nothing_in_clear(canary)


def test_killed_while_the_spool_has_a_name(canary: Canary) -> None:
    """Between making a spooled copy and taking its name away, every moment is tried."""
    world = canary.world
    seen = 0
    for moment in range(1, 60):
        killed = canary.run("backup", NORMAL, kill_at=moment)
        assert killed.returncode == -signal.SIGKILL
        named = files_below(world.spool)
        seen += len(named)
        assert all(path.read_bytes() == b"" for path in named)
        if seen and not named:
            break
    assert seen > 0
    assert canary.run("backup", NORMAL).returncode == 0
    assert files_below(world.spool) == []
    assert_nothing_in_clear(canary)
