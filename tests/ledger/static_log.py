"""A log as static files, made and judged by the pure functions alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from strongroom.crypto import signing
from strongroom.errors import Damaged
from strongroom.ledger import Checkpoint, Policy
from strongroom.ledger.cosignature import cosign, witness_key
from strongroom.ledger.note import LOG_KEY, VerifierKey, sign
from strongroom.ledger.tiles import WIDTH, encode_bundle, entries_path, parse_bundle, tiles_of
from strongroom.ledger.tree import leaf_hash, root_of

ORIGIN = f"{'25' * 16}.ledger.invalid/{'9f' * 16}"
LOG_SEED = b"\x0f" * 32
WITNESS_SEEDS = {name: bytes([at]) * 32 for at, name in enumerate(("anna", "ben", "cleo"), 1)}
AT_SECONDS = 1_767_323_045


@dataclass(frozen=True, slots=True)
class StaticLog:
    """The files of a log by path, and the keys that signed its checkpoint."""

    files: Mapping[str, bytes]
    log: VerifierKey
    witnesses: Mapping[str, VerifierKey]

    @property
    def policy(self) -> Policy:
        """Return the policy that all of its witnesses must have cosigned."""
        return Policy.of([self.log], self.witnesses, len(self.witnesses))

    def write(self, folder: Path) -> Path:
        """Write every file below a folder, and the keys beside it; return the file of the keys."""
        for path, data in self.files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(data)
        keys = folder.with_name(f"{folder.name}.keys")
        lines = [f"{key}\n" for key in (self.log, *self.witnesses.values())]
        keys.write_text("".join(lines), encoding="utf-8")
        return keys


def rows_of(entries: Sequence[bytes]) -> list[list[bytes]]:
    """Return the hashes of every level of tiles: of leaves, then of full tiles."""
    rows = [[leaf_hash(entry) for entry in entries]]
    while len(rows[-1]) >= WIDTH:
        below = rows[-1]
        rows.append(
            [root_of(below[at : at + WIDTH]) for at in range(0, len(below) - WIDTH + 1, WIDTH)]
        )
    return rows


def files_of(entries: Sequence[bytes]) -> dict[str, bytes]:
    """Return every tile and bundle of a log that holds these entries, by path."""
    return _files(entries, rows_of(entries))


def _files(entries: Sequence[bytes], rows: Sequence[Sequence[bytes]]) -> dict[str, bytes]:
    files = {}
    for place in tiles_of(len(entries)):
        start = place.number * WIDTH
        if place.level is None:
            data = encode_bundle(entries[start : start + place.width])
        else:
            data = b"".join(rows[place.level][start : start + place.width])
        files[place.path] = data
    return files


def static_log(entries: Sequence[bytes]) -> StaticLog:
    """Return a log of these entries, signed and cosigned by three witnesses."""
    root = root_of([leaf_hash(entry) for entry in entries])
    text = Checkpoint(ORIGIN, len(entries), root).encode()
    note = sign(text, ORIGIN, LOG_SEED)
    witnesses = {}
    for at, (name, seed) in enumerate(WITNESS_SEEDS.items()):
        note += cosign(text, AT_SECONDS + at, f"{name}.example", seed)
        witnesses[name] = witness_key(f"{name}.example", seed)
    log = VerifierKey(ORIGIN, LOG_KEY, signing.public_key(LOG_SEED))
    return StaticLog({**files_of(entries), "checkpoint": note}, log, witnesses)


def judge(files: Mapping[str, bytes], policy: Policy) -> Checkpoint:
    """Return the checkpoint of a static log after comparing every byte with what the entries give.

    Raises Damaged (or a child) for any other log.
    """
    verdict = policy.check(files["checkpoint"])
    size = verdict.checkpoint.size
    if not verdict.quorum_met:
        raise Damaged("a checkpoint is not witnessed", f"{len(verdict.cosigned)} cosigned")
    entries: list[bytes] = []
    for start in range(0, size, WIDTH):
        width = min(WIDTH, size - start)
        entries += parse_bundle(files[entries_path(start // WIDTH, width)], width)
    rows = rows_of(entries)
    if {**_files(entries, rows), "checkpoint": files["checkpoint"]} != files:
        raise Damaged("a tile is wrong", "the entries give another one")
    if root_of(rows[0]) != verdict.checkpoint.root:
        raise Damaged("a checkpoint is wrong", "the entries give another root")
    return verdict.checkpoint
