"""Signing a log's tree, and keeping what was signed together with its cosignatures.

A checkpoint is written before it leaves the house, and the next one must begin with its tree. The
keys of the witnesses stand beside a cosigned checkpoint, so that each byte of it can be checked
here; whether these witnesses are to be trusted is for a policy from outside to say.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from strongroom.clock import format_instant, parse_instant
from strongroom.crypto.signing import public_key
from strongroom.database import Row, Transaction
from strongroom.errors import Damaged
from strongroom.ledger.checkpoint import Checkpoint
from strongroom.ledger.log_rows import Head, LogDamaged, LogRefused, range_at, read_head
from strongroom.ledger.note import Signature, VerifierKey, open_note, sign, split_note


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed checkpoint with the cosignatures it has, and whether the locations hold it."""

    size: int
    note: bytes
    witnesses: tuple[VerifierKey, ...]
    signed_at: datetime
    cosigned_at: datetime | None
    placed: bool


def sign_head(transaction: Transaction, seed: bytes, now: datetime) -> bytes:
    """Sign the current tree and return the note; of an unchanged tree the one that is stored."""
    head = read_head(transaction)
    key = own_key(transaction, head.epoch)
    if key.public != public_key(seed):
        raise LogDamaged("the key of this log is another", f"it does not belong to {key.name}")
    check_head(transaction, head)
    last = last_signed(transaction, head.epoch)
    if last is not None:
        checkpoint = opened(last, key)
        check_begins_with(transaction, head, checkpoint)
        if checkpoint.size == head.size:
            return last.note
    note = sign(Checkpoint(key.name, head.size, head.root).encode(), key.name, seed)
    insert(transaction, head, note, now)
    return note


def check_head(transaction: Transaction, head: Head) -> None:
    """Raise LogDamaged unless tiles and leaves make the tree that the head speaks of."""
    found = range_at(transaction, head.epoch, head.size)
    if found.stack != head.range().stack or found.root() != head.root:
        raise LogDamaged(
            "the head of the log is damaged",
            f"its {head.size} leaves make another tree than it says",
        )
    last = transaction.row("SELECT max(number) FROM leaf WHERE epoch = ?", (head.epoch,))
    if last is not None and last[0] is not None and last[0] >= head.size:
        raise LogDamaged(
            "the head of the log is damaged", f"it says {head.size} leaves and there are more"
        )


def check_begins_with(transaction: Transaction, head: Head, signed: Checkpoint) -> None:
    """Raise LogDamaged unless the log begins with a tree that was signed."""
    if signed.size > head.size:
        raise LogDamaged(
            "the log is shorter than it was when it was signed",
            f"{head.size} leaves are left of {signed.size}",
        )
    if range_at(transaction, head.epoch, signed.size).root() != signed.root:
        raise LogDamaged(
            "the log is another than it was when it was signed",
            f"its first {signed.size} leaves make another tree",
        )


def own_key(transaction: Transaction, epoch: int) -> VerifierKey:
    """Return the key that signs an epoch; raise LogRefused where it has none yet."""
    row = transaction.row("SELECT origin, vkey FROM epoch WHERE number = ?", (epoch,))
    if row is None or row[1] is None:
        raise LogRefused("the log has no key yet", f"epoch {epoch} was not begun")
    key = VerifierKey.parse(row[1])
    if key.name != row[0]:
        raise LogDamaged("the key of the log is damaged", f"it is of {key.name}, not {row[0]}")
    return key


def insert(transaction: Transaction, head: Head, note: bytes, now: datetime) -> None:
    """Write a checkpoint that was just signed or found."""
    transaction.run(
        "INSERT OR IGNORE INTO checkpoint (epoch, size, note, witnesses, signed_at, placed) "
        "VALUES (?, ?, ?, '', ?, 0)",
        (head.epoch, head.size, note, format_instant(now)),
    )


def keep_cosigned(
    transaction: Transaction, epoch: int, note: bytes, witnesses: Sequence[VerifierKey]
) -> None:
    """Add the cosignatures that these witnesses made, on a note, to the checkpoint we hold.

    Those of others are left out. Raises LogDamaged for a checkpoint that was not signed here, and
    NoteInvalid for a cosignature that one of these witnesses did not make.
    """
    text = split_note(note).text
    size = Checkpoint.parse(text).size
    stored = signed_at(transaction, epoch, size)
    if stored is None or split_note(stored.note).text != text:
        raise LogDamaged("a cosigned checkpoint is not one of ours", f"its size is {size}")
    known = {(key.name, key.id): key for key in (*stored.witnesses, *witnesses)}
    own = own_key(transaction, epoch)
    lines: dict[tuple[str, bytes], Signature] = {}
    for one in (stored.note, note):
        for line in open_note(one, [own, *known.values()]).signatures:
            held = lines.setdefault((line.name, line.key_id), line)
            if held.seconds < line.seconds:
                lines[line.name, line.key_id] = line
    keys = [key for name, key in known.items() if name in lines]
    merged = text + b"\n" + b"".join(line.line for line in lines.values())
    transaction.run(
        "UPDATE checkpoint SET note = ?, witnesses = ?, cosigned_at = ? "
        "WHERE epoch = ? AND size = ?",
        (merged, "\n".join(map(str, keys)), _cosigned_at(lines.values(), keys), epoch, size),
    )


def opened(signed: Signed, own: VerifierKey) -> Checkpoint:
    """Return a stored checkpoint after checking each byte of it; raise LogDamaged otherwise."""
    culprit = f"the checkpoint of {signed.size} leaves is damaged"
    try:
        found = open_note(signed.note, [own, *signed.witnesses])
        checkpoint = Checkpoint.parse(found.text)
    except Damaged as err:
        raise LogDamaged(culprit, str(err)) from err
    wanted = [(key.name, key.id) for key in (own, *signed.witnesses)]
    lines = split_note(signed.note).signatures
    if sorted((line.name, line.key_id) for line in lines) != sorted(wanted):
        raise LogDamaged(culprit, "it is not signed by the log and the witnesses beside it")
    at = signed.cosigned_at and format_instant(signed.cosigned_at)
    if _cosigned_at(lines, signed.witnesses) != at:
        raise LogDamaged(culprit, "its witnesses signed at another time")
    if (checkpoint.origin, checkpoint.size) != (own.name, signed.size):
        raise LogDamaged(culprit, f"it is of {checkpoint.origin} and {checkpoint.size} leaves")
    return checkpoint


def signed_at(transaction: Transaction, epoch: int, size: int) -> Signed | None:
    """Return the checkpoint of an epoch at this size, where one was signed."""
    row = transaction.row(f"{_SELECT} WHERE epoch = ? AND size = ?", (epoch, size))
    return None if row is None else _signed(row)


def last_signed(
    transaction: Transaction, epoch: int, *, cosigned: bool = False, placed: bool = False
) -> Signed | None:
    """Return the newest checkpoint of an epoch, of those cosigned or placed where asked."""
    row = transaction.row(
        f"{_SELECT} WHERE epoch = ? AND (cosigned_at IS NOT NULL OR NOT ?) AND placed >= ? "
        "ORDER BY size DESC LIMIT 1",
        (epoch, cosigned, placed),
    )
    return None if row is None else _signed(row)


_SELECT = "SELECT size, note, witnesses, signed_at, cosigned_at, placed FROM checkpoint"


def signed_in(transaction: Transaction, epoch: int) -> list[Signed]:
    """Return every checkpoint of an epoch, smallest first."""
    rows = transaction.rows(f"{_SELECT} WHERE epoch = ? ORDER BY size", (epoch,))
    return [_signed(row) for row in rows]


def _signed(row: Row) -> Signed:
    size, note, witnesses, signed_at, cosigned_at, placed = row
    try:
        return Signed(
            size,
            note,
            tuple(_parse_keys(witnesses)),
            parse_instant(signed_at),
            parse_instant(cosigned_at) if cosigned_at else None,
            bool(placed),
        )
    except Damaged as err:
        raise LogDamaged(f"the checkpoint of {size} leaves is damaged", str(err)) from err


def _parse_keys(text: str) -> list[VerifierKey]:
    return [VerifierKey.parse(line) for line in text.split("\n") if line]


def _cosigned_at(lines: Iterable[Signature], witnesses: Iterable[VerifierKey]) -> str | None:
    """Return the time of the last cosignature, as its witness gave it."""
    names = {(key.name, key.id) for key in witnesses}
    times = [line.seconds for line in lines if (line.name, line.key_id) in names]
    if not times:
        return None
    try:
        return format_instant(datetime.fromtimestamp(max(times), UTC))
    except (OverflowError, ValueError, OSError) as err:
        raise LogDamaged("a witness signed a time that no clock has", str(max(times))) from err
