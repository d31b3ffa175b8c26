"""Restore a Strongroom snapshot from copies of its locations, without Strongroom.

One file, written from `docs/formats` alone and sharing no code with the package, so it is also the
second reader that checks those pages. It needs Python 3.11, `cryptography` (50 or newer), `blake3`
and `zstandard`, and reads locations that are folders: copy a bucket down first. It writes nothing
but what it restores.

    python strongroom_rescue.py --location DIR --kits FILE list
    python strongroom_rescue.py --location DIR --kits FILE restore CLIENT --to NEW-FOLDER

FILE has one recovery kit a line, its 24 words; as many kits as the threshold are needed. `--keys`
takes keys that somebody opened instead: JSON, `{"client", "vault", "class", "writers": [hex],
"sessions": {session: [hex of CK_1, of CK_2 for class high]}}`. It holds everything in clear while
it runs, and its arithmetic on shares is not constant-time: run it where nobody watches.
"""

import argparse
import base64
import hashlib
import hmac
import json
import os
import re
import struct
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import zstandard
from blake3 import blake3
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, MLKEM768X25519PrivateKey, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

T = TypeVar("T")
Json = dict[str, Any]
OBJECT_BYTES_MAX = 512 << 20
PACK_BYTES_MAX = 64 << 20
HEADER_BYTES_MAX = 4 << 20
JSON_BYTES_MAX = 256 << 20
CHUNKS_MAX = 8192
SEGMENT_BYTES_MAX = 8 << 20
LINE_BYTES_MAX = 1 << 20
HOLES_MAX = 4096
ATTRIBUTES_MAX = 1024
ATTRIBUTE_NAME_MAX = 255
ATTRIBUTE_VALUE_MAX = 64 << 10
ATTRIBUTES_BYTES_MAX = 65_791
SAID_MAX = 1000
WITHOUT_X = ("hardlink", "unreadable", "special")
ACLS = (b"system.posix_acl_access", b"system.posix_acl_default")
HELD_SEGMENTS = 64
ORDER = 2**252 + 27742317777372353535851937790883648493  # of ristretto255, RFC 9496
ID = re.compile(r"[0-9a-f]{32}")
HASH = re.compile(r"[0-9a-f]{64}")


class Problem(Exception):
    """Something that stops a rescue, or one copy of an object that is not what it should be."""


class OtherKits(Problem):
    """What fewer than a threshold of the given kits open: it needs others, of one of `rosters`."""

    def __init__(self, text: str, rosters: list[str]) -> None:
        super().__init__(text)
        self.rosters = rosters


# What signed or sealed bytes raise that are malformed in a way that the reader did not foresee.
MALFORMED = (
    AttributeError,
    KeyError,
    IndexError,
    OverflowError,
    RecursionError,
    StopIteration,
    TypeError,
    ValueError,
    struct.error,
)


def told(err: BaseException) -> str:
    if isinstance(err, MALFORMED):
        return f"an object is malformed: {type(err).__name__}: {err}"
    return str(err)


def shown(text: str) -> str:
    """Return text from outside as a terminal may show it: odd signs are escaped."""
    return "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text
    )


def say(text: str) -> None:
    print(shown(text[:SAID_MAX]), file=sys.stderr)


# -- bytes: sealing-v1 and envelope-v1 ------------------------------------------------------------


def frame(*parts: bytes) -> bytes:
    return b"".join(struct.pack("<I", len(part)) + part for part in parts)


def derive(parent: bytes, kind: str, salt: bytes, context: bytes) -> bytes:
    info = frame(b"strongroom/sealing-v1", kind.encode(), salt, context)
    return HKDFExpand(SHA512(), 32, info).derive(parent)


def unseal(parent: bytes, kind: str, salted: bytes, context: bytes, cipher: Any = AESGCM) -> bytes:
    """Open `salt || sealed`."""
    name = "AES-256-GCM" if cipher is AESGCM else "ChaCha20-Poly1305"
    key = derive(parent, f"{kind}/{name}", salted[:16], context)
    try:
        opened: bytes = cipher(key).decrypt(bytes(12), salted[16:], None)
    except (InvalidTag, ValueError) as err:
        raise Problem(f"a sealed {kind} does not open") from err
    return opened


def unzip(packed: bytes, limit: int) -> bytes:
    try:
        size = zstandard.frame_content_size(packed)
        if not 0 <= size <= limit:
            raise Problem(f"a compressed part claims {size} bytes, at most {limit} are allowed")
        plain = zstandard.ZstdDecompressor().decompress(packed, allow_extra_data=False)
    except zstandard.ZstdError as err:
        raise Problem(f"a compressed part cannot be read: {err}") from err
    if len(plain) != size:
        raise Problem("a compressed part has another size than it says")
    return plain


def canonical(value: object) -> bytes:
    """RFC 8785 for what headers hold: text, integers, lists, objects with ASCII keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.encode()


def load(text: bytes, what: str) -> Json:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise Problem(f"{what} is no JSON: {err}") from err
    if not isinstance(value, dict):
        raise Problem(f"{what} is no JSON object")
    return value


@dataclass(frozen=True)
class Envelope:
    """A signed object: its header, the header's own bytes, its signature and body."""

    header: Json
    raw: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    body: bytes = field(repr=False)

    @property
    def hash(self) -> str:
        parts = (b"strongroom/envelope-v1", self.raw, blake3(self.body).digest())
        return blake3(frame(*parts)).hexdigest()

    def check(self, key: bytes) -> None:
        message = frame(b"strongroom/envelope-v1", self.raw + blake3(self.body).digest())
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(self.signature, message)
        except (InvalidSignature, ValueError) as err:
            raise Problem(f"the signature of a {self.header['type']} is not its maker's") from err


def envelope(data: bytes, kind: str) -> Envelope:
    if data[:8] != b"STRGRM\x01\n" or len(data) < 12:
        raise Problem(f"a {kind} does not begin as one")
    (length,) = struct.unpack_from("<I", data, 8)
    end = 12 + length
    if length > HEADER_BYTES_MAX or len(data) < end + 64:
        raise Problem(f"a {kind} is cut short")
    raw = data[12:end]
    header = load(raw, f"the header of a {kind}")
    try:
        same = canonical(header) == raw
    except (ValueError, RecursionError):
        same = False
    if not same or header.get("type") != kind:
        raise Problem(f"the header of a {kind} is malformed")
    return Envelope(header, raw, data[end : end + 64], data[end + 64 :])


# -- locations ------------------------------------------------------------------------------------


class Locations:
    """Copies of the same objects in several folders; a copy that is refused is as good as none."""

    def __init__(self, folders: list[Path]) -> None:
        self.folders = folders
        self.install = ""

    def installs(self) -> list[str]:
        names = {one.name for folder in self.folders if folder.is_dir() for one in folder.iterdir()}
        return sorted(name for name in names if ID.fullmatch(name))

    def names(self, path: str) -> list[str]:
        found: set[str] = set()
        for folder in self.folders:
            below = folder / self.install / path
            if below.is_dir():
                found.update(one.name for one in below.iterdir())
        return sorted(found)

    def has(self, path: str) -> bool:
        return any((folder / self.install / path).exists() for folder in self.folders)

    def read(self, path: str, judge: Callable[[bytes], T], at: int = 0, length: int = -1) -> T:
        """Return what `judge` makes of the first copy (or part of one) that it accepts."""
        why = "no location has it"
        for folder in self.folders:
            try:
                with (folder / self.install / path).open("rb") as file:
                    file.seek(at)
                    data = file.read(OBJECT_BYTES_MAX if length < 0 else length)
                return judge(data)
            except FileNotFoundError:
                continue
            except (Problem, OSError, *MALFORMED) as err:
                why = f"{folder}: {told(err)}"
        raise Problem(f"{path} cannot be used: {why}")

    def all(self, folder: str, judge: Callable[[str, bytes], T]) -> list[T]:
        """Return what `judge` makes of each object of a folder, those left out that it refuses."""
        found = []
        for name in self.names(folder):
            try:
                found.append(self.read(f"{folder}/{name}", partial(judge, name)))
            except Problem as err:
                say(f"passed over: {err}")
        return found


# -- keys: share-v1 -------------------------------------------------------------------------------


def kit_key(line: str) -> bytes:
    """Return the 32 bytes that 24 words of BIP-39 stand for."""
    words = line.split()
    if len(words) != 24:
        raise Problem(f"a kit has 24 words, this one {len(words)}")
    number = 0
    for word in words:
        found = [at for at, known in enumerate(WORDS) if known == word.lower()]
        if not found:
            raise Problem(f"{word!r} is no word of a kit")
        number = number << 11 | found[0]
    key = (number >> 8).to_bytes(32, "big")
    if hashlib.sha256(key).digest()[0] != number & 255:
        raise Problem("the words of a kit do not fit together: one is wrong, or two are swapped")
    return key


@dataclass(frozen=True)
class Custodian:
    """What a kit opened: an index in the roster, and the newest entry of each client."""

    index: int
    roster: str
    clients: dict[str, Json] = field(repr=False)


@dataclass(frozen=True)
class Client:
    """A client to rescue: its vault, its writers (key to last sequence that counts), its keys."""

    id: str
    vault: str
    vault_class: str
    writers: dict[bytes, int | None]
    # Of each custodian the seeds of its keys for the client, the newest first.
    seeds: dict[int, list[bytes]] = field(repr=False)
    opened: dict[str, list[bytes]] = field(repr=False)
    # Of each session the hash of its keys object, as the snapshots say that it was dealt for.
    dealt: dict[str, set[str]] = field(default_factory=dict)
    # The members of each roster, by its hash, and how many of them are needed.
    line: dict[str, list[Json]] = field(default_factory=dict)
    threshold: int = 1

    @property
    def path(self) -> str:
        return f"vaults/{self.vault}"

    @property
    def raw(self) -> bytes:
        return bytes.fromhex(self.vault)


def open_kit(locations: Locations, line: str) -> Custodian:
    install = bytes.fromhex(locations.install)
    key = derive(kit_key(line), "kit", b"", install)
    for custodian in locations.names("kits"):
        entries: dict[str, tuple[int, Json]] = {}

        def take(name: str, data: bytes, own: str = custodian, into: Any = entries) -> None:
            subject, _, serial = name.rpartition("-")
            if data[:6] != b"SRKIT\x01" or not re.fullmatch(r"\d{8}", serial):
                raise Problem(f"{name} is no entry of a kit")
            context = frame(install, bytes.fromhex(own), name.encode())
            entry = load(unseal(key, "kit-entry", data[6:], context), "an entry of a kit")
            if int(serial) > into.get(subject, (0,))[0]:
                into[subject] = (int(serial), entry)

        for name in locations.names(f"kits/{custodian}"):
            path = f"kits/{custodian}/{name}"
            try:
                locations.read(path, partial(take, name))
            except Problem:
                continue  # An entry of another kit, or one that nobody's kit opens.
        if "identity" in entries:
            identity = entries.pop("identity")[1]
            seed = base64.b64decode(identity["seed"])
            Ed25519PrivateKey.from_private_bytes(seed)
            clients = {name: entry for name, (_, entry) in entries.items()}
            return Custodian(identity["index"], identity["roster"], clients)
    raise Problem("a kit opens nothing at these locations")


def read_roster(locations: Locations, hashes: set[str]) -> Json:
    """Return the newest roster that a kit names, with the members of each that it follows.

    The kits vouch for it by its hash, and its operator for those before it.
    """

    def judge(_: str, data: bytes) -> Json:
        found = envelope(data, "roster")
        found.check(bytes.fromhex(found.header["operator"]))
        return found.header | {"hash": found.hash}

    found = locations.all("roster", judge)
    rosters = [one for one in found if one["hash"] in hashes]
    if not rosters:
        raise Problem("no location has the roster that the kits name")
    newest = max(rosters, key=lambda one: int(one["version"]))
    same = ("install", "operator", "threshold")
    line = [
        one
        for one in found
        if all(one[field] == newest[field] for field in same) and one["version"] < newest["version"]
    ]
    return newest | {"line": {one["hash"]: one["members"] for one in [*line, newest]}}


def clients_of(custodians: list[Custodian], roster: Json) -> list[Client]:
    found = []
    for name in sorted({name for custodian in custodians for name in custodian.clients}):
        having = [(c.index, c.clients[name]) for c in custodians if name in c.clients]
        writers: dict[bytes, int | None] = {}
        for _, entry in having:
            for writer in entry["writers"]:
                key, after = bytes.fromhex(writer["key"]), writer["revoked_after"]
                known = writers.get(key)
                ends = [one for one in (known, after) if one is not None]
                writers[key] = max(ends) if ends else None
        first = having[0][1]
        # Two kits may be of one index: its custodian, and the one that sat there before.
        seeds: dict[int, list[bytes]] = {}
        for index, entry in having:
            seeds.setdefault(index, []).extend(seeds_of(entry))
        place = name, first["vault"], first["class"]
        rules = {"line": roster["line"], "threshold": roster["threshold"]}
        found.append(Client(*place, writers, seeds, {}, **rules))
    return found


def seeds_of(entry: Json) -> list[bytes]:
    """Return the seeds of a client's entry, newest first: its own, and those rotated away."""
    former = sorted(entry.get("former", []), key=lambda one: -one["serial"])
    return [base64.b64decode(one["seed"]) for one in [entry, *former]]


def open_with_any(seeds: list[bytes], sealed: bytes, info: bytes) -> bytes:
    """Open a share with the key that it was sealed to; it does not say which of them that is."""
    for seed in seeds[:-1]:
        with suppress(Problem):
            return open_share(seed, sealed, info)
    return open_share(seeds[-1], sealed, info)


def open_share(seed: bytes, sealed: bytes, info: bytes) -> bytes:
    expanded = hashlib.shake_256(seed).digest(96)
    private = MLKEM768X25519PrivateKey(
        MLKEM768PrivateKey.from_seed_bytes(expanded[:64]),
        X25519PrivateKey.from_private_bytes(expanded[64:]),
    )
    suite = Suite(KEM.MLKEM768_X25519, KDF.HKDF_SHA256, AEAD.AES_256_GCM)
    try:
        return suite.decrypt(sealed, private, info=info)
    except (InvalidTag, ValueError) as err:
        raise Problem("a sealed share does not open") from err


def combine(shares: dict[int, int]) -> int:
    """Interpolate at zero, over the scalar field of ristretto255."""
    total = 0
    for i, share in shares.items():
        above = below = 1
        for j in shares:
            if j != i:
                above, below = above * j % ORDER, below * (j - i) % ORDER
        total += share * above * pow(below, -1, ORDER)
    return total % ORDER


def role(name: str, *parts: bytes) -> bytes:
    return hashlib.sha256(frame(b"strongroom/share-v1/" + name.encode(), *parts)).digest()


def open_dealing(client: Client, label: Json, dealing: Json, number: int) -> bytes:
    """Return the secret of one dealing from any t shares that fit their commitments."""
    digest = role("label", canonical(label))
    d = bytes([number])
    shares: dict[int, int] = {}
    refused = ["no kit was given for the others"]
    for index, seeds in client.seeds.items():
        info = frame(b"strongroom/share-v1/share", digest, d, bytes([index]))
        try:
            sealed = base64.b64decode(dealing["shares"][index - 1])
            opened = open_with_any(seeds, sealed, info)
        except Problem as err:
            refused.append(f"custodian {index}: {err}")
            continue
        commitment = role("commitment", digest, d, bytes([index]), opened[:32], opened[32:])
        value = int.from_bytes(opened[:32], "little")
        if commitment.hex() != dealing["commitments"][index - 1] or value >= ORDER:
            refused.append(f"the share of custodian {index} is not what was dealt to it")
        elif len(shares) < label["threshold"]:
            shares[index] = value
    if len(shares) < label["threshold"]:
        raise OtherKits(
            f"{label['threshold']} custodians are needed, {len(shares)} opened: {refused}",
            [label["roster"]],
        )
    secret = combine(shares).to_bytes(32, "little")
    check = hmac.digest(secret, frame(b"strongroom/share-v1/check", digest, d), "sha256")
    if not hmac.compare_digest(check.hex(), dealing["check"]):
        raise Problem("the shares do not make the key that was dealt")
    return secret


def read_keys(
    locations: Locations,
    client: Client,
    session: str,
    path: str,
    accept: Callable[[Envelope], None] = lambda _: None,
) -> Envelope:
    """Return a keys object signed by one of the client's writers, for this very session."""

    def judge(data: bytes) -> Envelope:
        found = envelope(data, "keys")
        check_writer(found, client)
        label = found.header["label"]
        wanted = (locations.install, client.id, client.vault, client.vault_class, session)
        if tuple(label[k] for k in ("install", "client", "vault", "class", "session")) != wanted:
            raise Problem(f"the keys of session {session} are another session's")
        if len(found.header["dealings"]) != (2 if client.vault_class == "high" else 1):
            raise Problem(f"the keys of session {session} have not one dealing for each layer")
        first = (found.header.get("redealt") or {}).get("keys", found.hash)
        if first not in client.dealt.get(session, {first}):
            raise Problem(f"the keys of session {session} are not those that its snapshot names")
        accept(found)
        return found

    return locations.read(path, judge)


def all_keys(locations: Locations, client: Client, session: str) -> Iterator[Envelope]:
    """Yield what a session was dealt with, that first which is to be believed.

    A writer alone can make one that says that the session was dealt anew, and that kits open. So
    those come first of which a threshold of their roster has signed that it holds their shares,
    the newest first; then what was dealt first; at last those without such receipts, which may be
    lost, where they hold what the first does.
    """
    tried = set()
    vouched = partial(check_redeal_receipts, locations, client)
    for keys in redealt_keys(locations, client, session, vouched):
        tried.add(keys.hash)
        yield keys
    body, why = None, None
    try:
        first = read_keys(locations, client, session, f"{client.path}/keys/{session}")
    except Problem as err:
        why = err
    else:
        body = first.body
        yield first

    def alike(_: str, found: Envelope) -> None:
        if found.hash in tried or body not in (None, found.body):
            raise Problem("it was tried, or holds something else than what was dealt first")

    yield from redealt_keys(locations, client, session, alike)
    if why is not None:
        raise why


def redealt_keys(
    locations: Locations, client: Client, session: str, accept: Callable[[str, Envelope], None]
) -> Iterator[Envelope]:
    """Yield what a session was dealt anew with and is accepted, the newest first."""
    for version in reversed(locations.names(f"{client.path}/redealt")):
        place = f"{version}/{session}"
        path = f"{client.path}/redealt/{place}"
        if locations.has(path):
            with suppress(Problem):
                yield read_keys(locations, client, session, path, partial(accept, place))


def check_redeal_receipts(locations: Locations, client: Client, place: str, keys: Envelope) -> None:
    label = keys.header["label"]
    wanted = {"keys": keys.hash, "roster": label["roster"], "session": label["session"]}
    members = client.line.get(label["roster"], [])
    folder = f"{client.path}/redeal-receipts/{place}"
    if count_signers(locations, folder, "redeal-receipt", members, wanted) < client.threshold:
        raise Problem("too few custodians have signed that they hold shares of it")


def with_keys(
    locations: Locations, client: Client, session: str, use: Callable[[Envelope], T]
) -> T:
    """Return what `use` makes of the first keys object of a session that it can use."""
    refused: list[BaseException] = []
    try:
        for keys in all_keys(locations, client, session):
            try:
                return use(keys)
            except (Problem, *MALFORMED) as err:
                refused.append(err)
    except Problem as err:
        refused.append(err)
    why = f"session {session} does not open: {'; '.join(map(told, refused))}"
    rosters = [one for err in refused if isinstance(err, OtherKits) for one in err.rosters]
    raise OtherKits(why, rosters) if rosters else Problem(why)


def open_session(locations: Locations, client: Client, session: str) -> None:
    if session in client.opened:
        return
    if not client.seeds:
        raise Problem(f"the keys given do not hold session {session}")
    client.opened[session] = with_keys(locations, client, session, partial(open_keys, client))


def open_keys(client: Client, found: Envelope) -> list[bytes]:
    """Return the content keys, which are derived with the label of what was dealt first."""
    label = found.header["label"]
    first = {**label, "roster": (found.header.get("redealt") or label)["roster"]}
    dealt = enumerate(found.header["dealings"], 1)
    keys = [content_key(open_dealing(client, label, one, n), first, n) for n, one in dealt]
    unwrap(client, keys[0], found)
    return keys


def unwrap(client: Client, key: bytes, found: Envelope) -> bytes:
    """Return the structure key, which shows that a content key is the session's own."""
    session = bytes.fromhex(found.header["label"]["session"])
    return unseal(key, "structure-key", found.body, frame(client.raw, session))


def content_key(secret: bytes, label: Json, number: int) -> bytes:
    digest, d = role("label", canonical(label)), bytes([number])
    info = frame(b"strongroom/share-v1/content", digest, d)
    return HKDF(SHA512(), 32, None, info).derive(secret)


def structure_key(locations: Locations, client: Client, session: str) -> bytes:
    open_session(locations, client, session)
    key = client.opened[session][0]
    return with_keys(locations, client, session, partial(unwrap, client, key))


def check_writer(found: Envelope, client: Client) -> bytes:
    for key in client.writers:
        try:
            found.check(key)
        except Problem:
            continue
        return key
    raise Problem(f"a {found.header['type']} is signed by no writer of the client")


def count_signers(
    locations: Locations, folder: str, kind: str, seated: list[Json], wanted: Json
) -> int:
    """Return how many of those seated have signed a receipt that says what is wanted."""
    members = {member["id"]: bytes.fromhex(member["identity"]) for member in seated}

    def judge(name: str, data: bytes) -> str:
        receipt = envelope(data, kind)
        if name not in members or any(receipt.header[key] != wanted[key] for key in wanted):
            raise Problem(f"the {kind} of {name} is for something else")
        receipt.check(members[name])
        return name

    return len(set(locations.all(folder, judge))) if members else 0


# -- the vault: vault-v1 --------------------------------------------------------------------------


@dataclass(frozen=True)
class Snapshot:
    """A signed snapshot, its writer's key, and how many custodians vouch for it."""

    hash: str
    header: Json
    writer: bytes = field(repr=False)
    body: bytes = field(repr=False)
    fresh: dict[str, str]
    receipts: int

    def structure(self, client: Client, key: bytes) -> tuple[Json, list[bytes]]:
        """Return the structure, and the sealed root of each source."""
        (length,) = struct.unpack_from("<I", self.body)
        sequence = struct.pack("<Q", self.header["sequence"])
        context = frame(client.raw, self.writer, sequence)
        sealed = self.body[4 : 4 + length]
        plain = unzip(unseal(key, "structure", sealed, context), 64 << 20)
        structure = load(plain, "the structure of a snapshot")
        roots, at = [], 4 + length
        while at < len(self.body):
            (size,) = struct.unpack_from("<I", self.body, at)
            roots.append(self.body[at + 4 : at + 4 + size])
            at += 4 + size
        if len(roots) != len(structure["sources"]):
            raise Problem("a snapshot has not one root for each source")
        return structure, roots


def snapshots_of(locations: Locations, client: Client, roster: Json | None) -> list[Snapshot]:
    found = []
    for key, last in client.writers.items():
        writer = blake3(key).hexdigest()[:32]

        def judge(name: str, data: bytes, key: bytes = key, writer: str = writer) -> Snapshot:
            one = envelope(data, "snapshot")
            one.check(key)
            header = one.header
            place = (header["client"], header["vault"], header["writer"], header["sequence"])
            if place != (client.id, client.vault, writer, int(name)):
                raise Problem(f"snapshot {name} is another one")
            receipts = count_receipts(locations, client, one, roster)
            fresh = {one["session"]: one["keys"] for one in header["fresh"]}
            return Snapshot(one.hash, header, key, one.body, fresh, receipts)

        of_writer = locations.all(f"{client.path}/snapshots/{writer}", judge)
        found += [one for one in of_writer if last is None or one.header["sequence"] <= last]
    for snapshot in found:
        for session, keys in snapshot.fresh.items():
            client.dealt.setdefault(session, set()).add(keys)
    return sorted(found, key=lambda one: str(one.header["created_at"]))


def count_receipts(
    locations: Locations, client: Client, snapshot: Envelope, roster: Json | None
) -> int:
    if roster is None:
        return 0
    header = snapshot.header
    # Whoever sat in the roster that it was dealt to has signed for it, gone since or not.
    seated = roster["line"].get(header["roster"], [])
    folder = f"{client.path}/receipts/{header['writer']}/{header['sequence']:08}"
    wanted = {"snapshot": snapshot.hash, "roster": header["roster"]}
    return count_signers(locations, folder, "receipt", seated, wanted)


Place = tuple[str, str, int, int]  # pack, session, offset, stored bytes


def read_index(
    locations: Locations, client: Client, snapshots: list[Snapshot], key: bytes
) -> dict[bytes, Place]:
    """Return where each segment lies, from the index objects that snapshots and tombs name."""
    places: dict[bytes, Place] = {}
    named = {one.header["index"]: one.writer for one in snapshots}
    for wanted, writer in {**tombs_of(locations, client), **named}.items():

        def judge(data: bytes, writer: bytes = writer, wanted: str = wanted) -> dict[bytes, Place]:
            found = envelope(data, "index")
            found.check(writer)
            if found.hash != wanted:
                raise Problem("an index is another one than its snapshot names")
            context = frame(client.raw, writer)
            plain = unzip(unseal(key, "index", found.body, context), JSON_BYTES_MAX)
            return places_of(load(plain, "index"))

        try:
            places |= locations.read(f"{client.path}/index/{wanted}", judge)
        except Problem as err:
            # Only snapshots that need one of its segments are lost, and those are named then.
            say(f"passed over: {err}")
    return places


def tombs_of(locations: Locations, client: Client) -> dict[str, bytes]:
    """Return the index objects of buried snapshots that are there, and their writers' keys."""
    writers = {blake3(key).hexdigest()[:32]: key for key in client.writers}

    def judge(name: str, data: bytes) -> Json:
        one = envelope(data, "tomb")
        one.check(writers[name.partition("-")[0]])
        place = (one.header["vault"], f"{one.header['writer']}-{one.header['generation']:08}")
        if place != (client.vault, name):
            raise Problem(f"tomb {name} is another one")
        return load(unzip(one.body, 64 << 20), "a tomb")

    tombs = locations.all(f"{client.path}/tombs", judge)
    gone = {key for tomb in tombs for key in tomb["objects"]}
    return {
        index: writers[writer]
        for tomb in tombs
        for writer, _, _, index in tomb["snapshots"]
        if writer in writers
        and (f"index/{index}" not in gone or locations.has(f"{client.path}/index/{index}"))
    }


def places_of(index: Json) -> dict[bytes, Place]:
    places: dict[bytes, Place] = {}
    for pack in index["packs"]:
        if not HASH.fullmatch(pack["id"]):
            raise Problem("an index names a pack by no hash")
        for segment, session, offset, length, *_ in pack["segments"]:
            places[bytes.fromhex(segment)] = (pack["id"], session, offset, length)
    return places


def gf_times(a: int, b: int) -> int:
    """Multiply in GF(2^8) modulo 0x11d."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a = a << 1 ^ (0x11D if a & 0x80 else 0)
        b >>= 1
    return product


def gf_power(a: int, exponent: int) -> int:
    product = 1
    for _ in range(exponent % 255):
        product = gf_times(product, a)
    return product


def scaled(factor: int, data: bytes) -> bytes:
    return data.translate(bytes(gf_times(factor, one) for one in range(256)))


def added(*parts: bytes) -> bytes:
    total = 0
    for one in parts:
        total ^= int.from_bytes(one, "little")
    return total.to_bytes(len(parts[0]), "little")


def data_shards(known: dict[int, bytes], k: int) -> list[bytes]:
    """Return the k data shards from any k shards: P has index k, Q has k + 1."""
    have = {index: one for index, one in known.items() if index < k}
    lost = [index for index in range(k) if index not in have]
    p, q = known.get(k), known.get(k + 1)
    if len(lost) > (p is not None) + (q is not None):
        raise Problem(f"{len(known)} shards are not enough, {k} are needed")
    if lost and p is not None and len(lost) == 1:
        have[lost[0]] = added(p, *have.values())
    elif lost and q is not None:
        # What the lost shards add to Q; with two lost, also what they add to P.
        rest = added(q, *(scaled(gf_power(2, index), one) for index, one in have.items()))
        x = lost[0]
        if p is None or len(lost) == 1:
            have[x] = scaled(gf_power(2, -x), rest)
        else:
            y = lost[1]
            both = added(p, *have.values())
            factor = gf_power(gf_power(2, x) ^ gf_power(2, y), -1)
            have[x] = scaled(factor, added(rest, scaled(gf_power(2, y), both)))
            have[y] = added(both, have[x])
    return [have[index] for index in range(k)]


def read_shard(data: bytes, pack: bytes, index: int, key: bytes) -> tuple[int, int, bytes]:
    """Return k, the length of the pack and the body of a shard that fits its check."""
    magic, own, k, _, at, zero, length = struct.unpack_from("<8s32sBBBBI", data)
    if magic != b"SRSHRD\x01\n" or (own, at, zero) != (pack, index, 0) or k < 2:
        raise Problem("a shard does not begin as one, or is another one")
    body = data[80:]
    check = blake3(body, key=derive(key, "shard", b"", data[:48])).digest()
    if not 0 < length <= PACK_BYTES_MAX or len(body) != -(-length // k) or data[48:80] != check:
        raise Problem("a shard does not fit its check")
    return k, length, body


def put_together(locations: Locations, path: str, key: bytes) -> bytes:
    """Return a pack from any k of its shards, wherever they lie."""
    folder, _, name = path.rpartition("/")
    pack = bytes.fromhex(name)
    known: dict[int, bytes] = {}
    for shard in locations.names(folder):
        number = shard.removeprefix(f"{name}.")
        if number == shard or not number.isdecimal():
            continue
        judge = partial(read_shard, pack=pack, index=int(number), key=key)
        try:
            k, length, known[int(number)] = locations.read(f"{folder}/{shard}", judge)
        except Problem as err:
            say(f"passed over: {err}")
            continue
        if len(known) == k:
            data = b"".join(data_shards(known, k))[:length]
            if blake3(data).digest() != pack:
                raise Problem(f"{path} does not hash to its name")
            return data
    raise Problem(
        f"{path} cannot be used: no location has it, and {len(known)} good shards are left"
    )


class Segments:
    """Opens segments and holds the last few in clear, and the last pack made of shards."""

    def __init__(
        self, locations: Locations, client: Client, places: dict[bytes, Place], key: bytes
    ) -> None:
        self.locations, self.client, self.places, self.key = locations, client, places, key
        self.pack = ("", b"")
        self.held: OrderedDict[bytes, list[bytes]] = OrderedDict()

    def chunks(self, segment: bytes) -> list[bytes]:
        if segment not in self.held:
            if segment not in self.places:
                raise Problem(f"no index says where segment {segment.hex()} lies")
            pack, session, offset, length = self.places[segment]
            path = f"{self.client.path}/packs/{pack[:2]}/{pack}"

            def judge(data: bytes) -> list[bytes]:
                return split_segment(self.unlock(segment, session, data))

            if self.pack[0] != path and not self.locations.has(path):
                self.pack = (path, put_together(self.locations, path, self.key))
            if self.pack[0] == path:
                self.held[segment] = judge(self.pack[1][offset : offset + length])
            else:
                self.held[segment] = self.locations.read(path, judge, offset, length)
            if len(self.held) > HELD_SEGMENTS:
                self.held.popitem(last=False)
        return self.held[segment]

    def unlock(self, segment: bytes, session: str, data: bytes, kind: str = "segment") -> bytes:
        open_session(self.locations, self.client, session)
        keys = self.client.opened[session]
        context = frame(self.client.raw, bytes.fromhex(session))
        if self.client.vault_class == "high":
            data = unseal(keys[1], kind, segment + data, context, ChaCha20Poly1305)
        return unseal(keys[0], kind, segment + data, context)

    def stream(self, ids: list[bytes], runs: list[int]) -> Iterator[bytes]:
        for at in range(0, len(runs), 3):
            segment, first, count = runs[at : at + 3]
            chunks = self.chunks(ids[segment])
            if not 0 <= first < first + count <= len(chunks):
                raise Problem("a snapshot names chunks that are not there")
            yield from chunks[first : first + count]


def split_segment(plain: bytes) -> list[bytes]:
    (count,) = struct.unpack_from("<I", plain)
    if not 1 <= count <= CHUNKS_MAX or len(plain) < 5 + 4 * count:
        raise Problem(f"a segment claims {count} chunks")
    lengths = struct.unpack_from(f"<{count}I", plain, 4)
    total = sum(lengths)
    method, payload = plain[4 + 4 * count], plain[5 + 4 * count :]
    if total > SEGMENT_BYTES_MAX or 0 in lengths or method not in (0, 1):
        raise Problem("a segment is malformed")
    payload = unzip(payload, total) if method == 1 else payload
    if len(payload) != total:
        raise Problem("a segment holds another number of bytes than it says")
    chunks, at = [], 0
    for length in lengths:
        chunks.append(payload[at : at + length])
        at += length
    return chunks


# -- restoring ------------------------------------------------------------------------------------


class Writer:
    """Writes the entries of one recipe below a path that does not exist yet."""

    def __init__(self, root: Path) -> None:
        self.root = os.fsencode(root)
        self.folders: list[tuple[bytes, int, int]] = []
        self.kinds: dict[bytes, str] = {}
        self.left_out = 0

    def place(self, path: bytes, kind: str) -> bytes:
        """Return where an entry goes; what it stands in was made by this very recipe."""
        parent = path.rpartition(b"/")[0]
        parts = path.split(b"/") if path else []
        bad = any(part in (b"", b".", b"..") or b"\0" in part for part in parts)
        orphan = bool(path) and self.kinds.get(parent, "" if parent else "directory") != "directory"
        if bad or orphan or path in self.kinds or (not path and self.kinds):
            raise Problem(f"a recipe holds a name that is refused: {path!r:.120}")
        self.kinds[path] = kind
        return self.root + b"/" + path if path else self.root

    def write(self, line: Json, data: Iterator[bytes]) -> None:
        path = line.get("p", "").encode("latin-1")
        holes, attributes = holes_of(line), attributes_of(line)
        kind, mode, changed = line.get("k", ""), line.get("m", 0) & 0o777, line.get("t", 0)
        place = self.place(path, kind)
        if (kind != "file" and any(map(line.get, "sch"))) or (kind in WITHOUT_X and attributes):
            raise Problem(f"a recipe gives an entry what its kind cannot have: {path!r:.120}")
        if kind == "directory":
            os.mkdir(place, 0o700)
            self.folders.append((place, mode, changed))
        elif kind == "file":
            write_file(place, line.get("s", 0), holes, data)
        elif kind == "symlink":
            os.symlink(line.get("l", "").encode("latin-1"), place)
        elif kind == "hardlink":
            first = line.get("l", "").encode("latin-1")
            if self.kinds.get(first) not in ("file", "hardlink"):
                raise Problem(f"a hard link leads to no earlier file: {path!r:.120}")
            os.link(self.root + b"/" + first, place, follow_symlinks=False)
        elif kind in ("unreadable", "special"):
            self.left_out += 1
            return
        else:
            raise Problem(f"a recipe holds an entry of an unknown kind: {kind!r:.40}")
        set_attributes(place, attributes)
        if kind in ("file", "symlink"):
            os.utime(place, ns=(changed, changed), follow_symlinks=False)
        if kind == "file":
            os.chmod(place, mode)

    def close(self) -> None:
        """Give folders their modes and times, the innermost first."""
        for place, mode, changed in reversed(self.folders):
            os.utime(place, ns=(changed, changed))
            os.chmod(place, mode)


def holes_of(line: Json) -> list[tuple[int, int]]:
    """Return offset and length of each hole: sorted, none empty, none touching another."""
    flat, size = line.get("h", []), line.get("s", 0)
    if len(flat) % 2 or len(flat) > 2 * HOLES_MAX or not all(type(one) is int for one in flat):
        raise Problem("the holes of a file are malformed")
    holes, end = list(zip(flat[::2], flat[1::2], strict=True)), -1
    for at, length in holes:
        if at <= end or length < 1:
            raise Problem("the holes of a file are not in order")
        end = at + length
    if end > size:
        raise Problem("a file has a hole behind its end")
    return holes


def attributes_of(line: Json) -> list[tuple[bytes, bytes]]:
    """Return names and values of the extended attributes, sorted, no name twice."""
    pairs = line.get("x", [])
    if len(pairs) > ATTRIBUTES_MAX:
        raise Problem("an entry has too many attributes")
    found: list[tuple[bytes, bytes]] = []
    total = 0
    for name, packed in pairs:
        raw, value = name.encode("latin-1"), base64.b64decode(packed, validate=True)
        total += len(raw) + len(value)
        if not 1 <= len(raw) <= ATTRIBUTE_NAME_MAX or b"\0" in raw:
            raise Problem("the name of an attribute is malformed")
        if len(value) > ATTRIBUTE_VALUE_MAX or total > ATTRIBUTES_BYTES_MAX:
            raise Problem("the attributes of an entry are too long")
        if found and raw <= found[-1][0]:
            raise Problem("the attributes of an entry are not in order")
        found.append((raw, value))
    return found


def write_file(
    place: bytes, size: int, holes: list[tuple[int, int]], data: Iterator[bytes]
) -> None:
    """Write the data of a file around its holes."""
    at = 0
    handle = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as file:
        for block in data:
            rest = memoryview(block)
            while rest:
                while holes and holes[0][0] == at:
                    at += holes.pop(0)[1]
                    file.seek(at)
                part = rest[: holes[0][0] - at] if holes else rest
                file.write(part)
                at += len(part)
                rest = rest[len(part) :]
        at += sum(length for _, length in holes)
        if at != size:
            raise Problem(f"a file has {at} bytes, its recipe says {size}")
        file.truncate(size)


def set_attributes(place: bytes, attributes: list[tuple[bytes, bytes]]) -> None:
    for name, value in attributes:
        if name.startswith(b"user.") or name in ACLS:
            try:
                os.setxattr(place, name, value, follow_symlinks=False)
            except OSError as err:
                say(f"not set: {name!r} of {place!r}: {err.strerror}")


def lines_of(stream: Iterator[bytes], root: Json) -> Iterator[Json]:
    digest, taken, rest = blake3(), 0, b""
    for chunk in stream:
        digest.update(chunk)
        taken += len(chunk)
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            raise Problem("a line of a recipe is too long")
        for line in lines:
            if len(line) > LINE_BYTES_MAX:
                raise Problem("a line of a recipe is too long")
            yield load(line, "a line of a recipe")
    if rest or taken != root["recipe_bytes"] or digest.hexdigest() != root["recipe_blake3"]:
        raise Problem("a recipe is not the one its root names")


def restore_source(
    segments: Segments, structure: Json, source: Json, sealed_root: bytes, to: Path
) -> int:
    """Restore one source to a path; everything is checked, and a failure leaves a partial name."""
    session = source["session"]
    plain = segments.unlock(sealed_root[:16], session, sealed_root[16:], "root")
    root = load(plain, "the root of a source")
    packed = base64.b64decode(structure["segments"])
    ids = [packed[at : at + 16] for at in range(0, len(packed), 16)]
    recipe = lines_of(segments.stream(ids, source["recipe"]), root)
    data = segments.stream(ids, source["data"])
    unfinished = to.with_name(f"{to.name}.partial")
    writer = Writer(unfinished)
    entries = chunks = 0

    def take(count: int) -> Iterator[bytes]:
        for _ in range(count):
            chunk = next(data, None)
            if chunk is None:
                raise Problem("a recipe uses more data than there is")
            yield chunk

    for line in recipe:
        count = line.get("c", 0)
        if count < 0:
            raise Problem("a recipe gives a file less than nothing")
        writer.write(line, take(count))
        entries += 1
        chunks += count
    if chunks != root["data_chunks"] or next(data, None) is not None:
        raise Problem("a recipe does not use all of its data")
    writer.close()
    unfinished.rename(to)
    if writer.left_out:
        say(f"{to.name}: {writer.left_out} entries were not kept by the backup")
    return entries


# -- the command line -----------------------------------------------------------------------------


def load_clients(locations: Locations, options: argparse.Namespace) -> tuple[Any, list[Client]]:
    """Return the roster (None with --keys) and the clients that kits or keys open."""
    if options.keys:
        given = load(options.keys.read_bytes(), "the file of keys")
        sessions = {
            name: [bytes.fromhex(key) for key in keys] for name, keys in given["sessions"].items()
        }
        writers: dict[bytes, int | None] = {bytes.fromhex(key): None for key in given["writers"]}
        one = Client(given["client"], given["vault"], given["class"], writers, {}, sessions)
        return None, [one]
    lines = [line for line in options.kits.read_text().splitlines() if line.strip()]
    custodians = [open_kit(locations, line) for line in lines]
    roster = read_roster(locations, {one.roster for one in custodians})
    if len({one.index for one in custodians}) < roster["threshold"]:
        raise Problem(f"{roster['threshold']} different kits are needed")
    return roster, clients_of(custodians, roster)


def key_of(locations: Locations, client: Client, snapshot: Snapshot) -> bytes:
    """Return the structure key, which every session holds: these kits may open any of them."""
    missed: OtherKits | None = None
    for session in snapshot.header["sessions"]:
        try:
            return structure_key(locations, client, session)
        except OtherKits as err:
            missed = missed or err
    raise missed or Problem("a snapshot depends on no session")


def described(locations: Locations, client: Client, snapshot: Snapshot) -> Json:
    return snapshot.structure(client, key_of(locations, client, snapshot))[0]


def show(locations: Locations, client: Client, roster: Json | None) -> None:
    for snapshot in snapshots_of(locations, client, roster):
        try:
            structure = described(locations, client, snapshot)
        except (Problem, *MALFORMED) as err:
            pass_over(client, snapshot, roster, err)
            continue
        sources = ", ".join(source["name"] for source in structure["sources"])
        state = "opened" if roster is None else state_of(snapshot, roster)
        name, made = structure["client"]["name"], snapshot.header["created_at"]
        print(shown(f"{client.id} {name!r} {snapshot.hash[:12]} {made} {state}: {sources}"))


def pass_over(client: Client, snapshot: Snapshot, roster: Json | None, err: BaseException) -> None:
    """Say why a snapshot is passed over, and whose kits it needs where that is the reason."""
    why = told(err)
    if roster is not None and isinstance(err, OtherKits):
        lines = [roster["line"].get(one, []) for one in err.rosters]
        names = [", ".join(member["name"] for member in one) or "nobody known" for one in lines]
        why = f"it needs kits of {roster['threshold']} of {' or of '.join(names)}; {why}"
    made = snapshot.header["created_at"]
    say(f"passed over: snapshot {snapshot.hash[:12]} of {made}, client {client.id}: {why}")


def newest_that_opens(
    locations: Locations, client: Client, roster: Json | None, good: list[Snapshot]
) -> Snapshot:
    """Return the newest of which these kits open all that it needs, or else its list at least.

    After a custodian's seat was taken there are kits that open what was kept before, or since.
    """
    listed = []
    for snapshot in reversed(good):
        try:
            described(locations, client, snapshot)
            listed.append(snapshot)
            for session in snapshot.header["sessions"]:
                open_session(locations, client, session)
        except OtherKits as err:
            pass_over(client, snapshot, roster, err)
        except (Problem, *MALFORMED):
            # What is damaged stops the restore of what needs it, and says so there.
            return snapshot
        else:
            return snapshot
    if listed:
        return listed[0]
    raise Problem(f"client {client.id}: these kits open no good snapshot; bring those named above")


def state_of(snapshot: Snapshot, roster: Json) -> str:
    good = snapshot.receipts >= roster["threshold"]
    return "good" if good else f"pending ({snapshot.receipts} receipts)"


def restore(
    locations: Locations, client: Client, roster: Json | None, options: argparse.Namespace
) -> None:
    snapshots = snapshots_of(locations, client, roster)
    if options.snapshot == "latest":
        good = [one for one in snapshots if roster is None or state_of(one, roster) == "good"]
    else:
        wanted = options.snapshot if len(options.snapshot) >= 4 else "?"
        good = [one for one in snapshots if one.hash.startswith(wanted)]
    if not good:
        raise Problem(f"client {client.id} has no good snapshot {options.snapshot!r}; see `list`")
    snapshot = good[-1]
    if options.snapshot == "latest":
        snapshot = newest_that_opens(locations, client, roster, good)
    key = key_of(locations, client, snapshot)
    structure, roots = snapshot.structure(client, key)
    places = read_index(locations, client, snapshots, key)
    segments = Segments(locations, client, places, key)
    options.to.mkdir(parents=True, exist_ok=True)
    if any(options.to.iterdir()):
        raise Problem(f"{options.to} is not empty")
    for source, root in zip(structure["sources"], roots, strict=True):
        name = source["name"]
        if "/" in name or name in (".", "..") or not name.isprintable() or name.startswith("-"):
            raise Problem(f"a snapshot names a source {name!r:.80}")
        if options.source in (None, name):
            entries = restore_source(segments, structure, source, root, options.to / name)
            print(f"restored {name}: {entries} entries, snapshot {snapshot.hash[:12]}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Restore a Strongroom snapshot without it.")
    parser.add_argument("--location", type=Path, action="append", required=True, metavar="DIR")
    secret = parser.add_mutually_exclusive_group(required=True)
    secret.add_argument("--kits", type=Path, metavar="FILE", help="a kit of 24 words a line")
    secret.add_argument("--keys", type=Path, metavar="FILE", help="JSON of opened keys")
    parser.add_argument("--install", help="which install, where locations hold several")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="show the clients and their snapshots")
    one = commands.add_parser("restore", help="restore one snapshot into an empty folder")
    one.add_argument("client", help="a client's name or id")
    one.add_argument("snapshot", nargs="?", default="latest", help="4 or more signs of an id")
    one.add_argument("--to", type=Path, required=True, metavar="DIR")
    one.add_argument("--source", metavar="NAME", help="only this source")
    options = parser.parse_args()
    try:
        run(options)
    except (Problem, OSError, *MALFORMED) as err:
        say(f"stopped: {told(err)}")
    else:
        return 0
    return 1


def run(options: argparse.Namespace) -> None:
    locations = Locations(options.location)
    installs = [name for name in locations.installs() if options.install in (None, name)]
    if len(installs) != 1:
        raise Problem(f"name one install with --install; the locations hold {installs}")
    locations.install = installs[0]
    roster, clients = load_clients(locations, options)
    if options.command == "list":
        for client in clients:
            show(locations, client, roster)
        return
    for client in clients:
        found = snapshots_of(locations, client, roster)
        names = {client.id}
        for snapshot in reversed(found if options.client not in names else []):
            try:
                names.add(described(locations, client, snapshot)["client"]["name"])
            except OtherKits:
                continue  # An earlier one may tell the name; `restore` says whose kits are lacking.
            except (Problem, *MALFORMED) as err:
                say(f"passed over: client {client.id}: {told(err)}")
            break
        if options.client in names:
            restore(locations, client, roster, options)
            return
    raise Problem(f"these kits open no client {options.client!r}; `list` shows what is there")


# The English word list of BIP-39.
WORDS = """
abandon ability able about above absent absorb abstract absurd abuse access accident account accuse
achieve acid acoustic acquire across act action actor actress actual adapt add addict address adjust
admit adult advance advice aerobic affair afford afraid again age agent agree ahead aim air airport
aisle alarm album alcohol alert alien all alley allow almost alone alpha already also alter always
amateur amazing among amount amused analyst anchor ancient anger angle angry animal ankle announce
annual another answer antenna antique anxiety any apart apology appear apple approve april arch
arctic area arena argue arm armed armor army around arrange arrest arrive arrow art artefact artist
artwork ask aspect assault asset assist assume asthma athlete atom attack attend attitude attract
auction audit august aunt author auto autumn average avocado avoid awake aware away awesome awful
awkward axis baby bachelor bacon badge bag balance balcony ball bamboo banana banner bar barely
bargain barrel base basic basket battle beach bean beauty because become beef before begin behave
behind believe below belt bench benefit best betray better between beyond bicycle bid bike bind
biology bird birth bitter black blade blame blanket blast bleak bless blind blood blossom blouse
blue blur blush board boat body boil bomb bone bonus book boost border boring borrow boss bottom
bounce box boy bracket brain brand brass brave bread breeze brick bridge brief bright bring brisk
broccoli broken bronze broom brother brown brush bubble buddy budget buffalo build bulb bulk bullet
bundle bunker burden burger burst bus business busy butter buyer buzz cabbage cabin cable cactus
cage cake call calm camera camp can canal cancel candy cannon canoe canvas canyon capable capital
captain car carbon card cargo carpet carry cart case cash casino castle casual cat catalog catch
category cattle caught cause caution cave ceiling celery cement census century cereal certain chair
chalk champion change chaos chapter charge chase chat cheap check cheese chef cherry chest chicken
chief child chimney choice choose chronic chuckle chunk churn cigar cinnamon circle citizen city
civil claim clap clarify claw clay clean clerk clever click client cliff climb clinic clip clock
clog close cloth cloud clown club clump cluster clutch coach coast coconut code coffee coil coin
collect color column combine come comfort comic common company concert conduct confirm congress
connect consider control convince cook cool copper copy coral core corn correct cost cotton couch
country couple course cousin cover coyote crack cradle craft cram crane crash crater crawl crazy
cream credit creek crew cricket crime crisp critic crop cross crouch crowd crucial cruel cruise
crumble crunch crush cry crystal cube culture cup cupboard curious current curtain curve cushion
custom cute cycle dad damage damp dance danger daring dash daughter dawn day deal debate debris
decade december decide decline decorate decrease deer defense define defy degree delay deliver
demand demise denial dentist deny depart depend deposit depth deputy derive describe desert design
desk despair destroy detail detect develop device devote diagram dial diamond diary dice diesel diet
differ digital dignity dilemma dinner dinosaur direct dirt disagree discover disease dish dismiss
disorder display distance divert divide divorce dizzy doctor document dog doll dolphin domain donate
donkey donor door dose double dove draft dragon drama drastic draw dream dress drift drill drink
drip drive drop drum dry duck dumb dune during dust dutch duty dwarf dynamic eager eagle early earn
earth easily east easy echo ecology economy edge edit educate effort egg eight either elbow elder
electric elegant element elephant elevator elite else embark embody embrace emerge emotion employ
empower empty enable enact end endless endorse enemy energy enforce engage engine enhance enjoy
enlist enough enrich enroll ensure enter entire entry envelope episode equal equip era erase erode
erosion error erupt escape essay essence estate eternal ethics evidence evil evoke evolve exact
example excess exchange excite exclude excuse execute exercise exhaust exhibit exile exist exit
exotic expand expect expire explain expose express extend extra eye eyebrow fabric face faculty fade
faint faith fall false fame family famous fan fancy fantasy farm fashion fat fatal father fatigue
fault favorite feature february federal fee feed feel female fence festival fetch fever few fiber
fiction field figure file film filter final find fine finger finish fire firm first fiscal fish fit
fitness fix flag flame flash flat flavor flee flight flip float flock floor flower fluid flush fly
foam focus fog foil fold follow food foot force forest forget fork fortune forum forward fossil
foster found fox fragile frame frequent fresh friend fringe frog front frost frown frozen fruit fuel
fun funny furnace fury future gadget gain galaxy gallery game gap garage garbage garden garlic
garment gas gasp gate gather gauge gaze general genius genre gentle genuine gesture ghost giant gift
giggle ginger giraffe girl give glad glance glare glass glide glimpse globe gloom glory glove glow
glue goat goddess gold good goose gorilla gospel gossip govern gown grab grace grain grant grape
grass gravity great green grid grief grit grocery group grow grunt guard guess guide guilt guitar
gun gym habit hair half hammer hamster hand happy harbor hard harsh harvest hat have hawk hazard
head health heart heavy hedgehog height hello helmet help hen hero hidden high hill hint hip hire
history hobby hockey hold hole holiday hollow home honey hood hope horn horror horse hospital host
hotel hour hover hub huge human humble humor hundred hungry hunt hurdle hurry hurt husband hybrid
ice icon idea identify idle ignore ill illegal illness image imitate immense immune impact impose
improve impulse inch include income increase index indicate indoor industry infant inflict inform
inhale inherit initial inject injury inmate inner innocent input inquiry insane insect inside
inspire install intact interest into invest invite involve iron island isolate issue item ivory
jacket jaguar jar jazz jealous jeans jelly jewel job join joke journey joy judge juice jump jungle
junior junk just kangaroo keen keep ketchup key kick kid kidney kind kingdom kiss kit kitchen kite
kitten kiwi knee knife knock know lab label labor ladder lady lake lamp language laptop large later
latin laugh laundry lava law lawn lawsuit layer lazy leader leaf learn leave lecture left leg legal
legend leisure lemon lend length lens leopard lesson letter level liar liberty library license life
lift light like limb limit link lion liquid list little live lizard load loan lobster local lock
logic lonely long loop lottery loud lounge love loyal lucky luggage lumber lunar lunch luxury lyrics
machine mad magic magnet maid mail main major make mammal man manage mandate mango mansion manual
maple marble march margin marine market marriage mask mass master match material math matrix matter
maximum maze meadow mean measure meat mechanic medal media melody melt member memory mention menu
mercy merge merit merry mesh message metal method middle midnight milk million mimic mind minimum
minor minute miracle mirror misery miss mistake mix mixed mixture mobile model modify mom moment
monitor monkey monster month moon moral more morning mosquito mother motion motor mountain mouse
move movie much muffin mule multiply muscle museum mushroom music must mutual myself mystery myth
naive name napkin narrow nasty nation nature near neck need negative neglect neither nephew nerve
nest net network neutral never news next nice night noble noise nominee noodle normal north nose
notable note nothing notice novel now nuclear number nurse nut oak obey object oblige obscure
observe obtain obvious occur ocean october odor off offer office often oil okay old olive olympic
omit once one onion online only open opera opinion oppose option orange orbit orchard order ordinary
organ orient original orphan ostrich other outdoor outer output outside oval oven over own owner
oxygen oyster ozone pact paddle page pair palace palm panda panel panic panther paper parade parent
park parrot party pass patch path patient patrol pattern pause pave payment peace peanut pear
peasant pelican pen penalty pencil people pepper perfect permit person pet phone photo phrase
physical piano picnic picture piece pig pigeon pill pilot pink pioneer pipe pistol pitch pizza place
planet plastic plate play please pledge pluck plug plunge poem poet point polar pole police pond
pony pool popular portion position possible post potato pottery poverty powder power practice praise
predict prefer prepare present pretty prevent price pride primary print priority prison private
prize problem process produce profit program project promote proof property prosper protect proud
provide public pudding pull pulp pulse pumpkin punch pupil puppy purchase purity purpose purse push
put puzzle pyramid quality quantum quarter question quick quit quiz quote rabbit raccoon race rack
radar radio rail rain raise rally ramp ranch random range rapid rare rate rather raven raw razor
ready real reason rebel rebuild recall receive recipe record recycle reduce reflect reform refuse
region regret regular reject relax release relief rely remain remember remind remove render renew
rent reopen repair repeat replace report require rescue resemble resist resource response result
retire retreat return reunion reveal review reward rhythm rib ribbon rice rich ride ridge rifle
right rigid ring riot ripple risk ritual rival river road roast robot robust rocket romance roof
rookie room rose rotate rough round route royal rubber rude rug rule run runway rural sad saddle
sadness safe sail salad salmon salon salt salute same sample sand satisfy satoshi sauce sausage save
say scale scan scare scatter scene scheme school science scissors scorpion scout scrap screen script
scrub sea search season seat second secret section security seed seek segment select sell seminar
senior sense sentence series service session settle setup seven shadow shaft shallow share shed
shell sheriff shield shift shine ship shiver shock shoe shoot shop short shoulder shove shrimp shrug
shuffle shy sibling sick side siege sight sign silent silk silly silver similar simple since sing
siren sister situate six size skate sketch ski skill skin skirt skull slab slam sleep slender slice
slide slight slim slogan slot slow slush small smart smile smoke smooth snack snake snap sniff snow
soap soccer social sock soda soft solar soldier solid solution solve someone song soon sorry sort
soul sound soup source south space spare spatial spawn speak special speed spell spend sphere spice
spider spike spin spirit split spoil sponsor spoon sport spot spray spread spring spy square squeeze
squirrel stable stadium staff stage stairs stamp stand start state stay steak steel stem step stereo
stick still sting stock stomach stone stool story stove strategy street strike strong struggle
student stuff stumble style subject submit subway success such sudden suffer sugar suggest suit
summer sun sunny sunset super supply supreme sure surface surge surprise surround survey suspect
sustain swallow swamp swap swarm swear sweet swift swim swing switch sword symbol symptom syrup
system table tackle tag tail talent talk tank tape target task taste tattoo taxi teach team tell ten
tenant tennis tent term test text thank that theme then theory there they thing this thought three
thrive throw thumb thunder ticket tide tiger tilt timber time tiny tip tired tissue title toast
tobacco today toddler toe together toilet token tomato tomorrow tone tongue tonight tool tooth top
topic topple torch tornado tortoise toss total tourist toward tower town toy track trade traffic
tragic train transfer trap trash travel tray treat tree trend trial tribe trick trigger trim trip
trophy trouble truck true truly trumpet trust truth try tube tuition tumble tuna tunnel turkey turn
turtle twelve twenty twice twin twist two type typical ugly umbrella unable unaware uncle uncover
under undo unfair unfold unhappy uniform unique unit universe unknown unlock until unusual unveil
update upgrade uphold upon upper upset urban urge usage use used useful useless usual utility vacant
vacuum vague valid valley valve van vanish vapor various vast vault vehicle velvet vendor venture
venue verb verify version very vessel veteran viable vibrant vicious victory video view village
vintage violin virtual virus visa visit visual vital vivid vocal voice void volcano volume vote
voyage wage wagon wait walk wall walnut want warfare warm warrior wash wasp waste water wave way
wealth weapon wear weasel weather web wedding weekend weird welcome west wet whale what wheat wheel
when where whip whisper wide width wife wild will win window wine wing wink winner winter wire
wisdom wise wish witness wolf woman wonder wood wool word work world worry worth wrap wreck wrestle
wrist write wrong yard year yellow you young youth zebra zero zone zoo
""".split()

if __name__ == "__main__":
    sys.exit(main())
