"""Every parser of stored or foreign bytes, with bytes that it takes.

What is sealed or signed is sealed and signed anew around the mutated bytes: whoever has the keys, a
hostile writer for one, gets as far as the parser, and nothing but the parser is in the way then.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec import structs

from strongroom.adapters.secrets.key_file import KeyFile, SealedFiles
from strongroom.adapters.sources.attributes import _group_permission
from strongroom.adapters.sources.postgres_connection import PostgresPlace
from strongroom.adapters.sources.postgres_contents import _items, entries_of_tables
from strongroom.clients.command import parse_command
from strongroom.clients.model import Client, Keep
from strongroom.clients.source_url import parse_source_url
from strongroom.clock import parse_instant
from strongroom.crypto import signing
from strongroom.crypto.envelope import (
    Envelope,
    Statement,
    decode_envelope,
    decode_statement,
    sign_envelope,
)
from strongroom.crypto.framing import frame
from strongroom.crypto.hashing import content_hash
from strongroom.crypto.scalars import parse_scalar
from strongroom.crypto.sealing import seal
from strongroom.ids import ClientId, CustodianId, SessionId, VaultId, parse_id
from strongroom.locations.url import parse_location_url
from strongroom.operations.credentials import Credential
from strongroom.operations.vault_config import _check_fields
from strongroom.placement.parity import Parity
from strongroom.quorum.avowal import Avowal
from strongroom.quorum.client_key import ClientKey
from strongroom.quorum.dealing import Dealing, Redealt
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.label import Label
from strongroom.quorum.receipt import Receipt, ReceiptedShare
from strongroom.quorum.release import Release, ReleaseRequest
from strongroom.quorum.reopened import RedealReceipt, Reopened
from strongroom.quorum.roster import Member, Roster
from strongroom.settings import read_settings, write_settings
from strongroom.vault.codec import Zstandard
from strongroom.vault.index_object import decode_index
from strongroom.vault.keys import SessionKeys, WorkerKeys
from strongroom.vault.pack import END, read_trailer
from strongroom.vault.place import VaultPlace
from strongroom.vault.recipe import PathRule, decode_line, encode_line, split_lines
from strongroom.vault.segment import decode_segment, encode_segment, seal_root
from strongroom.vault.source import Entry
from strongroom.vault.structure import decode_body, facts_of, open_source_root
from strongroom.vault.tomb import Tomb, tomb_key
from tests.properties.act_parsers import act_parsers
from tests.properties.custodian_parsers import custodian_parsers
from tests.properties.kit_parsers import kit_parsers
from tests.properties.ledger_parsers import ledger_parsers
from tests.properties.mutations import text_of
from tests.properties.transport_parsers import transport_parsers
from tests.quorum.world import START, World
from tests.vault.test_structure import CONTEXT, listed, table
from tests.vectors import build_avowal_v1 as avowal
from tests.vectors import build_tomb_v1 as tomb_vector

SEED = b"\x09" * 32
PUBLIC = signing.public_key(SEED)
TOMB = tomb_vector.tombs()[0]
TOMB_KEY = tomb_key(signing.key_id(PUBLIC), TOMB.generation)
TOMB_LISTS = {
    "snapshots": [[one.writer, one.sequence, one.hash, one.index] for one in TOMB.snapshots],
    "objects": list(TOMB.objects),
}
TOMB_HEADER = {
    **decode_envelope(
        TOMB.sign(tomb_vector.PLACE, tomb_vector.KEYS.writer_seed).encode(), "a tombstone"
    ).statement.fields("tomb"),
    "type": "tomb",
    "writer": signing.key_id(PUBLIC),
}
KEY = b"\x02" * 32
VAULT = b"\x33" * 16
SALT = b"\x07" * 16
SESSION_ID = SessionId("55" * 16)
SESSION = SessionKeys("55" * 16, b"\x01" * 32, None)
PLACE = VaultPlace("11" * 16, "22" * 16, VAULT.hex(), "normal")
CODEC = Zstandard()
_MEMBER = Member(1, CustodianId("44" * 16), "anna", PUBLIC)

# What `pg_restore --list --verbose` shows: a partition, its rows, what it is attached to, an index.
LISTING = b"""\
; Selected TOC Entries:
;
4; 2615 101 SCHEMA - shop app
5; 1259 201 TABLE shop event app
;	depends on: 4
6; 1259 202 TABLE shop event_1 app
;	depends on: 4
3; 0 0 TABLE ATTACH shop event_1 app
;	depends on: 6 5
7; 0 202 TABLE DATA shop event_1 app
;	depends on: 6
8; 1259 203 INDEX shop event_1_d app
;	depends on: 6
9; 0 0 COMMENT shop INDEX event_1_d app
;	depends on: 8
"""
_TYPED: tuple[tuple[str, str, Callable[[str], object]], ...] = (
    ("clients.source_url:parse_source_url", "sqlite:///srv/a%20b.db", parse_source_url),
    ("clients.command:parse_command", 'command:["dump","--all"]', parse_command),
    ("clients.model:Keep.parse", "7d5w12m3f", Keep.parse),
    (
        "locations.url:parse_location_url",
        "s3://bucket/a/b?endpoint=https://s3.example.org:9000&region=eu",
        parse_location_url,
    ),
    (
        "adapters.sources.postgres_connection:PostgresPlace.parse",
        "postgresql://u@h:5432/db?sslmode=require",
        PostgresPlace.parse,
    ),
    ("clock:parse_instant", "2026-01-02T03:04:05.000006Z", parse_instant),
    ("ids:parse_id", "1" * 32, lambda text: parse_id(text, "it")),
)


@dataclass(frozen=True, slots=True)
class Parser:
    """A parser, bytes that it takes, and whether they are JSON whose fields can be swapped."""

    valid: bytes
    read: Callable[[bytes], object]
    is_json: bool = False


def envelope(header: bytes, body: bytes = b"") -> Envelope:
    """Return an object that is signed, whatever its header is."""
    body_hash = content_hash(body)
    signature = signing.sign(SEED, "strongroom/envelope-v1", header + body_hash)
    return Envelope(Statement(header, body_hash, signature), body)


@cache
def parsers() -> dict[str, Parser]:
    """Return every parser by `module:name`."""
    return {
        **_of_quorum(),
        **_of_vault(),
        **_of_crypto(),
        **_of_people(),
        **_of_home(),
        **_of_sources(),
        **{name: Parser(*one) for name, one in ledger_parsers().items()},
        **{name: Parser(*one) for name, one in custodian_parsers().items()},
        **{name: Parser(*one) for name, one in act_parsers().items()},
        **{name: Parser(*one) for name, one in kit_parsers().items()},
        **{name: Parser(*one) for name, one in transport_parsers().items()},
    }


def _of_quorum() -> dict[str, Parser]:
    world = World()
    signed = _signed(world) | _dealt_anew(world) | _configured(world)
    return {name: replace(one, is_json=True) for name, one in signed.items()} | _of_kits(world)


def _signed(world: World) -> dict[str, Parser]:
    statement, keys, _ = world.snapshot(2)
    receipt = Receipt(
        world.install,
        world.client,
        world.vault,
        SnapshotHeader.writer_id(PUBLIC),
        1,
        "1" * 64,
        _MEMBER.id,
        1,
        "2" * 64,
        START,
        (ReceiptedShare(SESSION_ID, 1, "3" * 64, "4" * 64, "5" * 64),),
    )
    certificate = ClientKey(
        world.install, world.client, _MEMBER.id, 1, 1, world.client_keys[0], START
    )
    release = Release("66" * 16, _MEMBER.id, 1, "1" * 64, (SESSION_ID,), START)
    snapshot = replace(
        SnapshotHeader.read(statement), writer=SnapshotHeader.writer_id(PUBLIC)
    ).sign(SEED, b"")
    second = Member(2, CustodianId("45" * 16), "ben", world.writer)
    roster = Roster.sign(SEED, world.install, 2, [_MEMBER, second], 1, START)
    return {
        "quorum.header:SnapshotHeader.parse": Parser(
            snapshot.statement.header,
            lambda data: SnapshotHeader.parse(envelope(data).statement, PUBLIC),
        ),
        "quorum.dealing:Dealing.parse": Parser(
            keys[0].statement.header, lambda data: Dealing.parse(envelope(data).statement)
        ),
        "quorum.roster:Roster.parse": Parser(
            roster.statement.header, lambda data: Roster.parse(envelope(data), PUBLIC)
        ),
        "quorum.receipt:Receipt.parse": Parser(
            receipt.sign(SEED).statement.header,
            lambda data: Receipt.parse(envelope(data), PUBLIC),
        ),
        "quorum.avowal:Avowal.read": Parser(
            avowal.AVOWAL.sign(SEED).statement.header, lambda data: Avowal.read(envelope(data))
        ),
        "quorum.client_key:ClientKey.parse": Parser(
            certificate.sign(SEED).statement.header,
            lambda data: ClientKey.parse(envelope(data), PUBLIC),
        ),
        "quorum.release:Release.parse": Parser(
            release.sign(SEED, world.client_keys[0], [b"x" * 64]).statement.header,
            lambda data: Release.parse(envelope(data), _MEMBER),
        ),
        "placement.parity:Parity.parse": Parser(
            _json(Parity(2, 1, ("1" * 32, "2" * 32, "3" * 32)).encode()),
            lambda data: Parity.parse(_value(data)),
        ),
        "quorum.label:Label.parse": Parser(
            _json(world.label().to_json()), lambda data: Label.parse(_value(data), "a label")
        ),
    }


def _dealt_anew(world: World) -> dict[str, Parser]:
    dealt = world.deal().keys_object
    dealing = Dealing.parse(dealt.statement)
    first = {"roster": "7" * 64, "keys": "8" * 64}
    label, fields = dealing.label, dealt.statement.fields("keys")
    whose = (label.install, label.client, label.vault, label.session, _MEMBER.id, 1)
    receipt = RedealReceipt(
        *whose,
        "66" * 16,
        label.roster_id,
        dealing.hash,
        START,
        (ReceiptedShare.of(dealing, 1, 1),),
    )
    said = (label.install, "66" * 16, _MEMBER.id, 1, label.client, label.session, dealing.hash)
    reopened = Reopened(*said, START).sign(SEED, world.client_keys[0], [b"x" * 64])
    return {
        "quorum.dealing:Dealing.parse of what was dealt anew": Parser(
            sign_envelope(SEED, "keys", {**fields, "redealt": first}).statement.header,
            lambda data: Dealing.parse(envelope(data).statement),
        ),
        "quorum.dealing:Redealt.parse": Parser(
            _json(first), lambda data: Redealt.parse(_value(data), label, "a keys object")
        ),
        "quorum.reopened:Reopened.parse": Parser(
            reopened.statement.header, lambda data: Reopened.parse(envelope(data), _MEMBER)
        ),
        "quorum.reopened:RedealReceipt.parse": Parser(
            receipt.sign(SEED).statement.header,
            lambda data: RedealReceipt.parse(envelope(data), _MEMBER, dealing),
        ),
    }


def _configured(world: World) -> dict[str, Parser]:
    client = Client(ClientId(world.client), "acme", VaultId(world.vault), "normal", Keep(), START)
    config = {
        "class": client.vault_class,
        "client": client.id,
        "copies": "full",
        "created_at": "2026-01-02T03:04:05.000006Z",
        "features": {one: ["x"] for one in ("read", "write", "check", "prune")},
        "format": "vault-v1",
        "generation": 0,
        "install": world.install,
        "parity": None,
        "type": "config",
        "vault": client.vault,
        "writer": "1" * 32,
    }
    return {
        "operations.vault_config:_check_fields": Parser(
            _json(config), lambda data: _check_fields(client, envelope(data).statement, 0)
        )
    }


def _of_kits(world: World) -> dict[str, Parser]:
    statement, keys, _ = world.snapshot()
    request = ReleaseRequest(
        "66" * 16, statement, (keys[0].statement,), world.client_keys[0], START
    )
    return {
        "quorum.release:ReleaseRequest.decode": Parser(request.encode(), ReleaseRequest.decode),
    }


def _of_vault() -> dict[str, Parser]:
    root = {
        "facts": {"kind": "tree", "rows": {"t": 1}, "names": ["a"], "none": None, "well": True},
        "facts_salt": "1" * 32,
        "recipe_bytes": 100,
        "recipe_blake3": "2" * 64,
        "data_chunks": 3,
    }
    entry = Entry(b"a/b", "file", 4096, 0o644, 5, 1, 2, attributes=((b"user.x", b"y"),))
    line = encode_line(structs.replace(entry, holes=((0, 1024),)), 4096, 2)
    folder = encode_line(Entry(b"", "directory"), 0, 0) + encode_line(
        Entry(b"a", "directory"), 0, 0
    )
    segment = encode_segment([3, 4000], b"abc" + b"x" * 4000, CODEC)
    pack_row = bytes(16) + (0).to_bytes(4, "little") + (8).to_bytes(8, "little")
    pack_row += (9).to_bytes(4, "little") + (1).to_bytes(4, "little") + b"\x01"
    pack_row += bytes(32) + (100).to_bytes(4, "little")
    one = (1).to_bytes(4, "little")
    return {
        "vault.structure:decode_body": Parser(_json(table()), _read_structure, is_json=True),
        "vault.structure:decode_body (parts)": Parser(
            _structure(_json(table())), lambda data: decode_body(data, KEY, CONTEXT, CODEC)
        ),
        "vault.structure:open_source_root": Parser(_json(root), _read_root, is_json=True),
        "vault.index_object:decode_index": Parser(
            _json(listed(["1" * 32, "2" * 32, 8, 100, 2, 200, 1])), _read_index, is_json=True
        ),
        "vault.tomb:Tomb.parse": Parser(_json(TOMB_LISTS), _read_tomb, is_json=True),
        "vault.tomb:Tomb.parse (header)": Parser(
            _json(TOMB_HEADER), _read_tomb_header, is_json=True
        ),
        "vault.pack:read_trailer": Parser(one + bytes(16) + one + pack_row, _read_table),
        "vault.pack:read_trailer (tail)": Parser(
            _tail(one + bytes(16) + one + pack_row),
            lambda data: read_trailer(data, KEY, VAULT, "p", CODEC),
        ),
        "vault.segment:decode_segment": Parser(segment, lambda data: decode_segment(data, CODEC)),
        "vault.codec:Zstandard.decompress": Parser(
            CODEC.compress(b"x" * 4000), lambda data: CODEC.decompress(data, 8000)
        ),
        "vault.recipe:decode_line": Parser(line.strip(), decode_line, is_json=True),
        "vault.recipe:split_lines": Parser(folder + line, _read_recipe),
        "vault.keys:WorkerKeys.parse": Parser(KEY * 3, WorkerKeys.parse),
    }


def _of_crypto() -> dict[str, Parser]:
    signed = envelope(b'{"type":"x"}', b"body")
    return {
        "crypto.envelope:decode_envelope": Parser(
            signed.encode(), lambda data: decode_envelope(data, "an object").statement.fields("x")
        ),
        "crypto.envelope:decode_statement": Parser(
            signed.statement.encode(),
            lambda data: decode_statement(data, "an object").verify(PUBLIC, "it"),
        ),
        "crypto.scalars:parse_scalar": Parser(bytes(32), lambda data: parse_scalar(data, "it")),
    }


def _of_people() -> dict[str, Parser]:
    return {name: Parser(valid.encode(), _typed(read)) for name, valid, read in _TYPED}


def _of_home() -> dict[str, Parser]:
    return {
        "settings:read_settings": Parser(_settings(), _read_settings),
        "adapters.secrets.key_file:KeyFile.open": Parser(
            f"strongroom-key-file-v1 {KEY.hex()} {content_hash(KEY).hex()[:8]}\n".encode(),
            lambda data: _in_file(data, KeyFile.open),
        ),
        "adapters.secrets.key_file:SealedFiles.read": Parser(
            b"SRSEC\x01" + SALT + seal(KEY, "secret", SALT, b"file", b"hush"),
            lambda data: _in_file(
                data, lambda path: SealedFiles(path.parent, KEY, bytes).read("file")
            ),
        ),
        "operations.credentials:Credential.parse": Parser(
            Credential("id", "secret").encode(), Credential.parse, is_json=True
        ),
    }


def _of_sources() -> dict[str, Parser]:
    access = b"\x02\0\0\0" + b"\x01\0\x07\0\xff\xff\xff\xff" + b"\x04\0\x05\0\xff\xff\xff\xff"
    return {
        "adapters.sources.attributes:_group_permission": Parser(access, _group_permission),
        "adapters.sources.postgres_contents:_items": Parser(
            LISTING, lambda data: list(_items(text_of(data).split("\n")))
        ),
        "adapters.sources.postgres_contents:entries_of_tables": Parser(
            LISTING + b"\0" + b"7.dat", _read_contents
        ),
    }


def _read_contents(data: bytes) -> object:
    listing, _, files = text_of(data).partition("\0")
    return entries_of_tables(list(_items(listing.split("\n"))), {'"shop"."event"': files})


def _typed(read: Callable[[str], object]) -> Callable[[bytes], object]:
    return lambda data: read(text_of(data))


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _value(data: bytes) -> Any:
    """Return a JSON value, or the text itself where it is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return text_of(data)


def _structure(plain: bytes) -> bytes:
    sealed = SALT + seal(KEY, "structure", SALT, CONTEXT, CODEC.compress(plain))
    parts = (sealed, bytes(40))
    return b"".join(len(part).to_bytes(4, "little") + part for part in parts)


def _read_structure(data: bytes) -> object:
    return decode_body(_structure(data), KEY, CONTEXT, CODEC)


def _read_root(data: bytes) -> object:
    sealed = SALT + seal_root(VAULT, SESSION, SALT, data)
    return facts_of(open_source_root(VAULT, SESSION, sealed))


def _read_index(data: bytes) -> object:
    header = {
        "format": "vault-v1",
        "install": PLACE.install,
        "sequence": 3,
        "type": "index",
        "vault": PLACE.vault,
        "writer": signing.key_id(PUBLIC),
    }
    context = frame(PLACE.vault_bytes, PUBLIC)
    body = SALT + seal(KEY, "index", SALT, context, CODEC.compress(data))
    return decode_index(envelope(_json(header), body).encode(), PLACE, KEY, PUBLIC, 3, CODEC)


def _read_tomb(data: bytes) -> object:
    sealed = envelope(_json(TOMB_HEADER), CODEC.compress(data)).encode()
    return Tomb.parse(sealed, tomb_vector.PLACE, PUBLIC, TOMB_KEY)


def _read_tomb_header(data: bytes) -> object:
    sealed = envelope(data, CODEC.compress(_json(TOMB_LISTS))).encode()
    return Tomb.parse(sealed, tomb_vector.PLACE, PUBLIC, TOMB_KEY)


def _tail(plain: bytes) -> bytes:
    sealed = SALT + seal(KEY, "trailer", SALT, VAULT, CODEC.compress(plain))
    return sealed + len(sealed).to_bytes(4, "little") + END


def _read_table(data: bytes) -> object:
    return read_trailer(_tail(data), KEY, VAULT, "p", CODEC)


def _read_recipe(data: bytes) -> object:
    rule = PathRule()
    for text in split_lines(data[at : at + 7] for at in range(0, len(data), 7)):
        rule.accept(decode_line(text).entry)
    return rule


def _in_file(data: bytes, read: Callable[[Path], object]) -> object:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        path.touch(mode=0o600)
        path.write_bytes(data)
        return read(path)


def _settings() -> bytes:
    with TemporaryDirectory() as folder:
        write_settings(Path(folder), Path("/etc/key"))
        return (Path(folder) / "strongroom.toml").read_bytes()


def _read_settings(data: bytes) -> object:
    with TemporaryDirectory() as folder:
        (Path(folder) / "strongroom.toml").write_bytes(data)
        return read_settings(Path(folder))
