"""Verify Strongroom's logs, proofs and evidence, without Strongroom and without trusting it.

One file, written from `docs/formats/ledger-v1.md` and C2SP's pages alone and sharing no code with
the package. It needs Python 3.11 and `cryptography`. Whom to trust comes from you, in a policy
(C2SP tlog-policy) that you got by another way than what is verified: keys that come with it would
prove nothing.

    python strongroom_verify.py log DIR --policy FILE            every leaf of an exported log
    python strongroom_verify.py bundle FILE.zip --policy FILE    chosen facts, with their proofs
    python strongroom_verify.py proof FILE --leaf FILE --policy FILE
    python strongroom_verify.py checkpoint FILE --policy FILE
    python strongroom_verify.py consistency OLD NEW --policy FILE [--proof FILE]

OLD and NEW are checkpoints or folders of exported logs. Exit codes: 0 valid and witnessed, 2 the
question is wrong, 10 valid but too few witnesses cosigned, 20 stale, 30 two views of one log that
cannot both be true, 40 invalid. The first line says it in words.
"""

import argparse
import base64
import binascii
import hashlib
import json
import re
import struct
import sys
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

NOTE_BYTES_MAX = 256 << 10
POLICY_BYTES_MAX = 256 << 10
PROOF_BYTES_MAX = 512 << 10
EXTRA_BYTES_MAX = 64 << 10
BUNDLE_BYTES_MAX = 256 * (2 + 65_535)
LEAF_BYTES_MAX = 65_535
SIGNATURES_MAX = 100
MEMBERS_MAX = 256
SIZE_MAX = (1 << 63) - 1
FACTS_MAX = 100_000
TEXT_BYTES_MAX = 256 << 20
LOG_KEY, WITNESS_KEY = 1, 4
PROOF_HEADER = "c2sp.org/tlog-proof@v1"
COMMITMENT = b"strongroom/ledger-v1/commitment"
EMPTY_ROOT = hashlib.sha256(b"").digest()
NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
MEMBER = re.compile(r"leaves/(0|[1-9][0-9]{0,18})\.(json|tlog-proof)", re.ASCII)
TEXTS = {"README.txt", "index.txt", "ocsf.jsonl"}
"""What a bundle has for people and other tools; nothing of it is verified or proves anything."""
OK, UNWITNESSED, STALE, SPLIT, INVALID = 0, 10, 20, 30, 40
WORDS = {
    OK: "VALID",
    UNWITNESSED: "VALID BUT UNWITNESSED",
    STALE: "STALE",
    SPLIT: "SPLIT VIEW",
    INVALID: "INVALID",
}


class Failed(Exception):
    """What is shown is not what it should be; `code` is the exit code."""

    def __init__(self, why: str, code: int = INVALID, notes: Sequence[bytes] = ()) -> None:
        super().__init__(why)
        self.code = code
        self.notes = notes


class WrongQuestion(Exception):
    """The policy or the arguments cannot be used."""


# -- keys, policies, notes


@dataclass(frozen=True)
class Key:
    """A public key under its name."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """The first four bytes of the hash that names it in a signature line."""
        typed = bytes([self.kind]) + self.public
        return hashlib.sha256(self.name.encode() + b"\n" + typed).digest()[:4]


@dataclass
class Policy:
    """Whom the person who verifies trusts."""

    logs: list[Key] = field(default_factory=list)
    witnesses: dict[str, Key] = field(default_factory=dict)
    groups: dict[str, tuple[int, list[str]]] = field(default_factory=dict)
    quorum: str | None = None

    def met(self, name: str, cosigned: dict[str, int]) -> bool:
        """Tell whether a witness or enough of a group have cosigned."""
        if name == "none" or name in cosigned:
            return True
        needed, members = self.groups.get(name, (1, []))
        return sum(self.met(one, cosigned) for one in members) >= needed


@dataclass
class Checkpoint:
    """A log's origin, size and root as a trusted key of it signed them, and who cosigned."""

    origin: str
    size: int
    root: bytes
    note: bytes
    cosigned: dict[str, int]
    witnessed: bool
    strangers: int


def exact_base64(text: str) -> bytes:
    """Decode base64 in its one form; anything else gives nothing."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return data if base64.b64encode(data).decode() == text else b""


def read_key(text: str, kind: int) -> Key:
    """Read a vkey: name, id and key must belong together."""
    name, _, rest = text.partition("+")
    told, _, encoded = rest.partition("+")
    typed = exact_base64(encoded)
    if not is_name(name) or len(typed) != 33 or typed[0] != kind:
        raise WrongQuestion(f"the policy has a key that cannot be read: {text[:60]!r}")
    key = Key(name, kind, typed[1:])
    if key.id.hex() != told:
        raise WrongQuestion(f"the policy has a key whose id is of another: {text[:60]!r}")
    return key


def is_name(text: str) -> bool:
    """Tell whether a key can have this name: 1 to 255 bytes of UTF-8, no spaces, no `+`."""
    try:
        length = len(text.encode())
    except UnicodeEncodeError:
        return False
    return 1 <= length <= 255 and not any(one.isspace() or one < " " or one == "+" for one in text)


def policy_lines(path: Path) -> Iterator[list[str]]:
    """Yield the words of each line that says something."""
    data = read_file(path, POLICY_BYTES_MAX, WrongQuestion)
    if any(one < 0x20 and one not in b"\t\n" for one in data) or b"\x7f" in data:
        raise WrongQuestion("the policy holds control characters")
    for line in data.decode("utf-8", "surrogateescape").split("\n"):
        words = [word for word in re.split("[ \t]+", line) if word]
        if words and not words[0].startswith("#"):
            yield words


def read_policy(path: Path) -> Policy:
    """Read C2SP's tlog-policy; a line that cannot be understood is refused."""
    policy, keys = Policy(), set[bytes]()
    grouped = set[str]()
    for words in policy_lines(path):
        match words:
            case ["log", vkey] | ["log", vkey, _]:
                policy.logs.append(read_key(vkey, LOG_KEY))
                keys.add(policy.logs[-1].public)
            case ["witness", name, vkey] | ["witness", name, vkey, _]:
                fresh(policy, name)
                policy.witnesses[name] = read_key(vkey, WITNESS_KEY)
                keys.add(policy.witnesses[name].public)
            case ["group", name, needed, *members] if members:
                fresh(policy, name)
                policy.groups[name] = read_group(policy, needed, members, grouped)
            case ["quorum", name] if policy.quorum is None and defined(policy, name):
                policy.quorum = name
            case _:
                line = " ".join(words)[:80]
                raise WrongQuestion(f"the policy has a line that is none: {line!r}")
        if len(policy.groups) > MEMBERS_MAX or len(keys) > MEMBERS_MAX:
            raise WrongQuestion(f"the policy has more than {MEMBERS_MAX} keys or groups")
    if len(keys) != len(policy.logs) + len(policy.witnesses):
        raise WrongQuestion("the policy has one public key twice")
    if not policy.logs or policy.quorum is None:
        raise WrongQuestion("the policy needs a line `log` and a line `quorum`")
    return policy


def defined(policy: Policy, name: str) -> bool:
    """Tell whether a name was given to a witness or a group."""
    return name == "none" or name in policy.witnesses or name in policy.groups


def fresh(policy: Policy, name: str) -> None:
    """Refuse a name that is taken."""
    if defined(policy, name):
        raise WrongQuestion(f"the policy has the name {name[:60]!r} twice")


def read_group(
    policy: Policy, needed: str, members: list[str], grouped: set[str]
) -> tuple[int, list[str]]:
    """Read how many of which members; each belongs to one group at most."""
    for name in members:
        if name == "none" or not defined(policy, name) or name in grouped:
            raise WrongQuestion(f"the policy has {name[:60]!r} in a group it cannot be in")
        grouped.add(name)
    words = {"all": len(members), "any": 1}
    number = int(needed) if re.fullmatch("[0-9]{1,3}", needed, re.ASCII) else 0
    count = words.get(needed, number)
    if not 1 <= count <= len(members):
        raise WrongQuestion(f"the policy has a group that needs {needed[:20]!r} of {len(members)}")
    return count, members


def split_note(note: bytes) -> tuple[bytes, list[tuple[str, bytes, bytes]]]:
    """Return a note's text and its lines: name, key id, signature. Nothing of it is trusted yet."""
    end = note.rfind(b"\n\n")
    if len(note) > NOTE_BYTES_MAX or end < 0 or not note.endswith(b"\n") or end + 2 == len(note):
        raise Failed("the checkpoint is not a signed note")
    try:
        text = note.decode("utf-8")
    except UnicodeDecodeError as err:
        raise Failed("the checkpoint is not UTF-8") from err
    if any(sign < " " and sign != "\n" for sign in text):
        raise Failed("the checkpoint holds control characters")
    lines = note[end + 2 : -1].decode().split("\n")
    if len(lines) > SIGNATURES_MAX:
        raise Failed(f"the checkpoint has more than {SIGNATURES_MAX} signatures")
    found = []
    for line in lines:
        words = line.split(" ")
        data = exact_base64(words[2]) if len(words) == 3 and words[0] == "\u2014" else b""
        if len(data) <= 4 or not is_name(words[1]):
            raise Failed("the checkpoint has a line that is no signature")
        found.append((words[1], data[:4], data[4:]))
    return note[: end + 1], found


def check_signature(key: Key, text: bytes, value: bytes) -> int:
    """Verify one signature; return a witness's time, of a log nothing."""
    seconds, message, signature = 0, text, value
    if key.kind == WITNESS_KEY:
        seconds, signature = int.from_bytes(value[:8], "big"), value[8:]
        message = b"cosignature/v1\ntime %d\n%b" % (seconds, text)
    try:
        Ed25519PublicKey.from_public_bytes(key.public).verify(signature, message)
    except (InvalidSignature, ValueError) as err:
        raise Failed(f"the signature of {shown(key.name)} is wrong") from err
    return seconds


def read_checkpoint(note: bytes, policy: Policy) -> Checkpoint:
    """Verify a checkpoint under the policy; that too few cosigned it is in the answer."""
    text, lines = split_note(note)
    parts = text[:-1].decode().split("\n")
    root = exact_base64(parts[2]) if len(parts) >= 3 else b""
    if len(root) != 32 or not all(parts) or not NUMBER.fullmatch(parts[1]):
        raise Failed("the text that was signed is not a checkpoint")
    origin, size = parts[0], int(parts[1])
    logs = {(key.name, key.id): key for key in policy.logs}
    witnesses = {(key.name, key.id): (name, key) for name, key in policy.witnesses.items()}
    signed, strangers, cosigned = False, 0, dict[str, int]()
    for name, key_id, value in lines:
        if (name, key_id) in logs:
            check_signature(logs[name, key_id], text, value)
            signed = signed or name == origin
        elif (name, key_id) in witnesses:
            known, key = witnesses[name, key_id]
            cosigned[known] = max(cosigned.get(known, 0), check_signature(key, text, value))
        else:
            strangers += 1
    if not signed:
        raise Failed("no log of the policy signed this checkpoint")
    if size > SIZE_MAX or (size == 0 and root != EMPTY_ROOT):
        raise Failed("the checkpoint has a size that no log has")
    met = policy.met(policy.quorum or "", cosigned)
    return Checkpoint(origin, size, root, note, cosigned, met, strangers)


# -- trees


def leaf_hash(entry: bytes) -> bytes:
    """Hash a leaf as RFC 6962 does."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash two nodes as RFC 6962 does."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_root(hashes: Sequence[bytes]) -> bytes:
    """Return the root over hashes of leaves, or of full subtrees of one size."""
    if not hashes:
        return EMPTY_ROOT
    sha256, row, rest = hashlib.sha256, list(hashes), list[bytes]()
    while len(row) > 1:
        if len(row) & 1:
            rest.append(row.pop())
        pairs = zip(row[::2], row[1::2], strict=True)
        row = [sha256(b"\x01" + left + right).digest() for left, right in pairs]
    return fold([*row, *reversed(rest)])


def fold(roots: Sequence[bytes]) -> bytes:
    """Return the root above full subtrees, the greatest first."""
    root = roots[-1]
    for left in reversed(roots[:-1]):
        root = node_hash(left, root)
    return root


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """Return the root that a proof of inclusion leads to (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        raise Failed(f"a log of {size} leaves has no leaf {index}")
    at, last, root = index, size - 1, leaf
    for beside in proof:
        if last == 0:
            raise Failed(f"the proof of leaf {index} is too long")
        if at & 1 or at == last:
            root = node_hash(beside, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node_hash(root, beside)
        at, last = at >> 1, last >> 1
    if last:
        raise Failed(f"the proof of leaf {index} is too short")
    return root


def check_consistency(old: Checkpoint, new: Checkpoint, proof: Sequence[bytes]) -> None:
    """Verify a proof that one tree begins with another (RFC 9162, 2.1.4.2)."""
    # The tree of a power of two is the first node itself; before the empty one there is nothing.
    alone = old.size & (old.size - 1) == 0
    hashes = [old.root, *proof] if alone else list(proof)
    if not hashes or (old.size == 0 and proof):
        raise Failed("the proof of consistency has the wrong length")
    if old.size == 0:
        return
    at, last = old.size - 1, new.size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    first = second = hashes[0]
    for beside in hashes[1:]:
        if last == 0:
            raise Failed("the proof of consistency is too long")
        if at & 1 or at == last:
            first, second = node_hash(beside, first), node_hash(beside, second)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            second = node_hash(second, beside)
        at, last = at >> 1, last >> 1
    if last or first != old.root or second != new.root:
        raise Failed("the proof of consistency does not lead from one root to the other")


# -- a log in a folder


def number_path(number: int) -> str:
    """Write a tile's number as a path: groups of three digits, `x` before all but the last."""
    groups = [f"{number % 1000:03}"]
    while number := number // 1000:
        groups.append(f"x{number % 1000:03}")
    return "/".join(reversed(groups))


def tile_path(folder: Path, kind: object, number: int, width: int) -> Path:
    """Return where a tile or a bundle of entries lies."""
    partial = f".p/{width}" if width < 256 else ""
    return folder / f"tile/{kind}/{number_path(number)}{partial}"


def entry_hashes(folder: Path, number: int, width: int) -> list[bytes]:
    """Hash the entries of one bundle and compare them with their tile."""
    data = read_file(tile_path(folder, "entries", number, width), BUNDLE_BYTES_MAX)
    hashes, at, sha256, length = [], 0, hashlib.sha256, struct.Struct(">H").unpack_from
    try:
        for _ in range(width):
            end = at + 2 + length(data, at)[0]
            hashes.append(sha256(b"\x00" + data[at + 2 : end]).digest())
            at = end
    except struct.error as err:
        raise Failed(f"bundle {number} is cut short") from err
    if at != len(data):
        raise Failed(f"bundle {number} does not hold {width} entries and nothing else")
    check_tile(folder, 0, number, hashes)
    return hashes


def check_tile(folder: Path, level: int, number: int, hashes: Sequence[bytes]) -> None:
    """Compare a tile with the hashes that it must have."""
    data = read_file(tile_path(folder, level, number, len(hashes)), 256 * 32)
    if data != b"".join(hashes):
        wrong = [at for at, one in enumerate(hashes) if data[at * 32 : at * 32 + 32] != one]
        where = number * 256 + (wrong[0] if wrong else len(hashes))
        what = "leaf" if level == 0 else "hash"
        raise Failed(f"tile {number} of level {level} is not that of its entries: {what} {where}")


def roots_of_log(folder: Path, size: int, wanted: int) -> tuple[bytes, bytes]:
    """Read every leaf and tile; return the root over the first `wanted` leaves and that of all."""
    rows: list[list[bytes]] = [[]]
    full: list[bytes] = []
    first = EMPTY_ROOT
    hashes: list[bytes] = []
    for number in range(-(-size // 256)):
        hashes = entry_hashes(folder, number, min(256, size - number * 256))
        if number * 256 < wanted <= number * 256 + 256:
            first = joined(full, hashes[: wanted - number * 256])
        if len(hashes) == 256:
            full.append(tree_root(hashes))
            fill(folder, rows, full[-1], number)
    for level, row in enumerate(rows, 1):
        if row:
            check_tile(folder, level, (size >> 8 * level) // 256, row)
    return first, joined(full, hashes if size % 256 else [])


def joined(full: Sequence[bytes], rest: Sequence[bytes]) -> bytes:
    """Return the root over full tiles and the leaves after them."""
    if not rest:
        return tree_root(full)
    if len(rest) == 256:
        return tree_root([*full, tree_root(rest)])
    # The leaves after the last full tile are a right part of their own at every size of the left.
    subtrees, start = [], 0
    for bit in range(len(full).bit_length() - 1, -1, -1):
        if len(full) >> bit & 1:
            subtrees.append(tree_root(full[start : start + (1 << bit)]))
            start += 1 << bit
    return fold([*subtrees, tree_root(rest)])


def fill(folder: Path, rows: list[list[bytes]], root: bytes, number: int) -> None:
    """Note the root of a full tile a level higher, and compare the tiles that it fills."""
    for level, row in enumerate(rows, 1):
        row.append(root)
        if len(row) < 256:
            return
        number //= 256
        check_tile(folder, level, number, row)
        root = tree_root(row)
        row.clear()
    rows.append([root])


# -- what is asked


@dataclass
class Answer:
    """What is told: a sentence, a checkpoint, and lines below."""

    words: str
    checkpoint: Checkpoint
    lines: list[str] = field(default_factory=list)


def ask_checkpoint(options: argparse.Namespace, policy: Policy) -> Answer:
    """Verify a signed checkpoint alone."""
    found = read_checkpoint(read_file(options.file, NOTE_BYTES_MAX), policy)
    return Answer(f"the checkpoint is of a log of {found.size:,} leaves", found)


def ask_log(options: argparse.Namespace, policy: Policy) -> Answer:
    """Verify every leaf and every tile of an exported log."""
    found = whole_log(options.folder, policy)[0]
    return Answer(f"all {found.size:,} leaves and their tiles are those that were signed", found)


def whole_log(folder: Path, policy: Policy, wanted: int = 0) -> tuple[Checkpoint, bytes]:
    """Verify a folder; return its checkpoint and the root over its first leaves."""
    found = read_checkpoint(read_file(folder / "checkpoint", NOTE_BYTES_MAX), policy)
    first, root = roots_of_log(folder, found.size, min(wanted, found.size))
    if root != found.root:
        raise Failed("the leaves do not make the tree that was signed")
    return found, first


def ask_proof(options: argparse.Namespace, policy: Policy) -> Answer:
    """Verify that one leaf is in a log."""
    leaf = read_file(options.leaf, LEAF_BYTES_MAX)
    index, found = check_proof(read_file(options.file, PROOF_BYTES_MAX), leaf, policy)
    return Answer(f"the leaf is number {index} of {found.size:,}", found)


def check_proof(data: bytes, leaf: bytes, policy: Policy) -> tuple[int, Checkpoint]:
    """Read C2SP's tlog-proof and verify that it leads from the leaf to the signed root."""
    head, _, note = data.partition(b"\n\n")
    lines = head.decode("ascii", "replace").split("\n")
    if lines.pop(0) != PROOF_HEADER:
        raise Failed("the proof does not begin as one")
    if lines and lines[0].startswith("extra "):
        extra = exact_base64(lines.pop(0).removeprefix("extra "))
        if not 1 <= len(extra) <= EXTRA_BYTES_MAX:
            raise Failed("the proof has extra bytes that cannot be read")
    word, _, index = lines.pop(0).partition(" ") if lines else ("", "", "")
    hashes = [exact_base64(line) for line in lines]
    if (
        word != "index"
        or not NUMBER.fullmatch(index)
        or len(hashes) > 63
        or any(len(one) != 32 for one in hashes)
    ):
        raise Failed("the proof is malformed")
    found = read_checkpoint(note, policy)
    if root_from_inclusion(leaf_hash(leaf), int(index), found.size, hashes) != found.root:
        raise Failed(f"the proof does not show leaf {index} to be in the log")
    return int(index), found


def ask_consistency(options: argparse.Namespace, policy: Policy) -> Answer:
    """Verify that one checkpoint goes on from another."""
    old = read_checkpoint(read_file(note_in(options.old), NOTE_BYTES_MAX), policy)
    new = read_checkpoint(read_file(note_in(options.new), NOTE_BYTES_MAX), policy)
    if old.origin != new.origin:
        raise WrongQuestion("these are checkpoints of two different logs")
    turned = new.size < old.size
    small, large, folder = (new, old, options.old) if turned else (old, new, options.new)
    if small.size == large.size:
        if small.root != large.root:
            raise split_view(small, large)
    elif options.proof is not None:
        hashes = [exact_base64(line) for line in read_lines(options.proof)]
        if len(hashes) > 63 or any(len(one) != 32 for one in hashes):
            raise Failed("the proof of consistency is malformed")
        check_consistency(small, large, hashes)
    elif folder.is_dir():
        if whole_log(folder, policy, small.size)[1] != small.root:
            raise split_view(small, large)
    else:
        raise WrongQuestion("give the longer log as its exported folder, or a --proof")
    if turned:
        raise Failed(
            f"the newer one has {new.size:,} leaves, {old.size:,} were shown before", STALE
        )
    return Answer(f"the log of {new.size:,} leaves begins with that of {old.size:,}", new)


def split_view(one: Checkpoint, other: Checkpoint) -> Failed:
    """Return the failure that shows both notes: together they convict who signed them."""
    why = f"the log of {other.size:,} leaves does not begin with that of {one.size:,}"
    return Failed(why, SPLIT, (one.note, other.note))


def note_in(path: Path) -> Path:
    """Return the checkpoint's file, of an exported log the one in its folder."""
    return path / "checkpoint" if path.is_dir() else path


# -- evidence bundles


def ask_bundle(options: argparse.Namespace, policy: Policy) -> Answer:
    """Verify each fact of a bundle, and what is disclosed of it."""
    try:
        with zipfile.ZipFile(options.file) as archive:
            files = read_archive(archive)
    except (OSError, zipfile.BadZipFile, zlib.error, ValueError, RuntimeError, EOFError) as err:
        raise Failed(f"the bundle cannot be read: {err}") from err
    disclosed = read_disclosures(files.get("disclosures.jsonl", b""))
    checkpoint: Checkpoint | None = None
    numbers = {int(member[1]) for name in files if (member := MEMBER.fullmatch(name))}
    lines = []
    for number in sorted(numbers):
        leaf = files.get(f"leaves/{number}.json")
        proof = files.get(f"leaves/{number}.tlog-proof")
        if leaf is None or proof is None:
            raise Failed(f"leaf {number} comes without its proof, or a proof without its leaf")
        index, found = check_proof(proof, leaf, policy)
        if index != number or (checkpoint and checkpoint.note != found.note):
            raise Failed(f"the proof of leaf {number} is of another leaf or checkpoint")
        checkpoint = found
        lines += told(number, leaf, disclosed)
    if checkpoint is None or files.get("checkpoint") != checkpoint.note:
        raise Failed("the bundle has no facts, or its checkpoint is not that of its proofs")
    if disclosed:
        raise Failed(f"{len(disclosed)} private values are of no fact in this bundle")
    words = "the fact is" if len(numbers) == 1 else f"all {len(numbers)} facts are"
    return Answer(f"{words} in the log", checkpoint, lines)


def read_archive(archive: zipfile.ZipFile) -> dict[str, bytes]:
    """Read the members that a bundle may have; anything else is refused."""
    files: dict[str, bytes] = {}
    members = archive.infolist()
    if len(members) > 2 * FACTS_MAX + 8 or sum(one.file_size for one in members) > TEXT_BYTES_MAX:
        raise Failed("the bundle is larger than any is made")
    for one in members:
        known = MEMBER.fullmatch(one.filename) or one.filename in TEXTS | {
            "checkpoint",
            "disclosures.jsonl",
        }
        packed = one.compress_type in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
        if not known or not packed or one.filename in files:
            raise Failed(f"the bundle has a file that none has: {shown(one.filename)}")
        with archive.open(one) as stream:
            data = stream.read(one.file_size + 1)
        if len(data) != one.file_size:
            raise Failed(f"{shown(one.filename)} has another size than it says")
        files[one.filename] = data
    return files


def read_disclosures(data: bytes) -> dict[tuple[str, str], tuple[bytes, str]]:
    """Read what opens commitments: salt and value, by fact and field."""
    found: dict[tuple[str, str], tuple[bytes, str]] = {}
    for line in data.splitlines():
        one = read_json(line, "a private value")
        try:
            key = (str(one["fact"]), str(one["field"]))
            value = (bytes.fromhex(one["salt"]), one["value"])
        except (KeyError, TypeError, ValueError) as err:
            raise Failed("a private value is malformed") from err
        if set(one) != {"fact", "field", "salt", "value"} or key in found:
            raise Failed("a private value is malformed, or comes twice")
        found[key] = value
    return found


def told(
    number: int, leaf: bytes, disclosed: dict[tuple[str, str], tuple[bytes, str]]
) -> list[str]:
    """Return what a fact says, and check and take what is disclosed of it."""
    fact = read_json(leaf, f"leaf {number}")
    try:
        who = fact["who"]
        lines = [
            f"leaf {number}: {fact['at']} {fact['op']} {fact['phase']} {fact['out']}",
            f"  by {who['kind']} {who['id']}, subject {fact.get('subject') or '-'}",
            f"  {json.dumps(fact['body'], sort_keys=True)}",
        ]
        commitments = dict(fact.get("sd", {}))
        fact_id = bytes.fromhex(fact["id"])
    except (KeyError, TypeError, ValueError) as err:
        raise Failed(f"leaf {number} is no fact") from err
    for name, commitment in sorted(commitments.items()):
        opened = disclosed.pop((fact["id"], name), None)
        if opened is None:
            lines.append(f"  {name}: not disclosed, or erased")
            continue
        salt, value = opened
        parts = (COMMITMENT, fact_id, name.encode(), salt, str(value).encode())
        framed = b"".join(len(part).to_bytes(4, "little") + part for part in parts)
        if len(salt) != 16 or hashlib.sha256(framed).hexdigest() != commitment:
            raise Failed(f"the value shown for {shown(name)} of leaf {number} is not the fact's")
        lines.append(f"  {name}: {value}")
    return [shown(line) for line in lines]


# -- reading and telling


def read_file(path: Path, bytes_max: int, failure: Callable[[str], Exception] = Failed) -> bytes:
    """Read a file that is not larger than it may be."""
    try:
        with path.open("rb") as stream:
            data = stream.read(bytes_max + 1)
    except OSError as err:
        raise failure(f"{path} cannot be read: {err.strerror}") from err
    if len(data) > bytes_max:
        raise failure(f"{path} has more than {bytes_max} bytes")
    return data


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a text that are not empty."""
    for line in read_file(path, PROOF_BYTES_MAX).decode("ascii", "replace").split("\n"):
        if line:
            yield line


def read_json(data: bytes, what: str) -> dict[str, Any]:
    """Read one JSON object that has no key twice."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({name for name, _ in pairs}) != len(pairs):
            raise ValueError("a key comes twice")
        return dict(pairs)

    try:
        found = json.loads(data.decode("utf-8"), object_pairs_hook=once)
        # Halves of letters can be escaped in JSON, and are no text.
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError) as err:
        raise Failed(f"{what} is not JSON") from err
    if not isinstance(found, dict):
        raise Failed(f"{what} is not a JSON object")
    return found


def shown(text: str) -> str:
    """Return a text from outside as a terminal may show it."""
    return "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in text)


def at(seconds: int) -> str:
    """Write a time as people read it."""
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S Z}"
    except (OverflowError, ValueError, OSError):
        return f"{seconds} seconds after 1970"


def judge(answer: Answer, options: argparse.Namespace) -> tuple[int, str]:
    """Return the exit code and the sentence for something that is valid in itself."""
    found = answer.checkpoint
    if options.strict and found.strangers:
        raise Failed(f"{found.strangers} signatures are of nobody in the policy")
    if not found.witnessed:
        return UNWITNESSED, f"{answer.words}; too few witnesses cosigned it"
    if options.max_age is not None:
        newest = max(found.cosigned.values(), default=0)
        if newest < time.time() - options.max_age * 3600:  # noqa: TID251 - a script asks the clock
            return STALE, f"{answer.words}; the last witness saw it {at(newest)}"
    return OK, f"{answer.words}, and enough witnesses cosigned it"


def tell(code: int, words: str, answer: Answer | None, notes: Sequence[bytes] = ()) -> int:
    """Print the verdict first, then what it rests on."""
    print(f"{WORDS[code]}: {shown(words)}.")
    if answer is not None:
        found = answer.checkpoint
        print(f"  log      {shown(found.origin)}")
        print(f"  leaves   {found.size}")
        print(f"  root     {found.root.hex()}")
        for name, seconds in sorted(found.cosigned.items()):
            print(f"  witness  {shown(name)}, {at(seconds)}")
        if found.strangers:
            print(f"  passed over: {found.strangers} signatures of nobody in the policy")
        for line in answer.lines:
            print(line)
    for note in notes:
        print()
        print(shown(note.decode("utf-8", "replace").replace("\n", "\r")).replace("\\u000d", "\n"))
    return code


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").split("\n")[0], epilog="Exit codes: 0, 2, 10, 20, 30, 40."
    )
    asked = parser.add_subparsers(dest="asked", required=True)
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--policy", type=Path, required=True, help="whom you trust (tlog-policy)")
    shared.add_argument("--max-age", type=float, metavar="HOURS", help="older is stale")
    shared.add_argument(
        "--strict", action="store_true", help="refuse signatures of nobody in the policy"
    )

    def add(name: str, ask: Callable[[argparse.Namespace, Policy], Answer], words: str) -> Any:
        one = asked.add_parser(name, parents=[shared], help=words)
        one.set_defaults(ask=ask)
        return one

    add("log", ask_log, "every leaf of an exported log").add_argument("folder", type=Path)
    add("bundle", ask_bundle, "an evidence bundle").add_argument("file", type=Path)
    add("checkpoint", ask_checkpoint, "a checkpoint").add_argument("file", type=Path)
    proof = add("proof", ask_proof, "that a leaf is in a log")
    proof.add_argument("file", type=Path)
    proof.add_argument("--leaf", type=Path, required=True, help="the leaf's bytes")
    consistency = add("consistency", ask_consistency, "that one checkpoint goes on from another")
    consistency.add_argument("old", type=Path)
    consistency.add_argument("new", type=Path)
    consistency.add_argument("--proof", type=Path, help="hashes in base64, one a line")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer one question; return the exit code."""
    options = read_options(arguments)
    answer: Answer | None = None
    try:
        answer = options.ask(options, read_policy(options.policy))
        code, words = judge(answer, options)
    except WrongQuestion as err:
        print(f"strongroom_verify: {shown(str(err))}", file=sys.stderr)
        return 2
    except Failed as err:
        return tell(err.code, str(err), answer, err.notes)
    return tell(code, words, answer)


if __name__ == "__main__":
    sys.exit(main())
