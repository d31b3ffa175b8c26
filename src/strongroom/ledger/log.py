"""One log: leaves that are appended in the caller's transaction, and signed afterwards.

Appending needs no key, so every change of the home can carry its fact. Signing reads the tree
anew from tiles and leaves and compares it with the head and with the last signed checkpoint: a file
in which anything was altered is not signed, and neither is a shorter or another tree. What a
stranger gets is the static layout of C2SP's tlog-tiles. Normative page: docs/formats/ledger-v1.md.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, TypeAlias

from strongroom.clock import format_instant, parse_instant
from strongroom.database import Database, Transaction
from strongroom.facts import Fact, read_facts
from strongroom.ledger import log_checkpoints as checkpoints
from strongroom.ledger import log_rows, site_check, stretch
from strongroom.ledger.checkpoint import Checkpoint
from strongroom.ledger.evidence import FACTS_MAX, Evidence
from strongroom.ledger.log_epochs import Past, begin_after, put_before
from strongroom.ledger.log_rows import LogBehind, LogDamaged, LogForked, LogRefused
from strongroom.ledger.log_site import write_site
from strongroom.ledger.log_stretches import (
    STRETCH_SCHEMA,
    Cut,
    Stretches,
    Waiting,
    give_up,
    note_placed,
    reached,
)
from strongroom.ledger.log_verify import Verified, verify
from strongroom.ledger.note import VerifierKey, open_note, split_note
from strongroom.ledger.proof import Proof
from strongroom.ledger.tiles import WIDTH, encode_bundle, tiles_of
from strongroom.ledger.tree import (
    EMPTY_ROOT,
    CompactRange,
    Read,
    consistency_proof,
    inclusion_proof,
    leaf_hash,
)

_LEAVES_AT_ONCE = 1024

Seen = Callable[[str, int], Iterable[tuple[str, Checkpoint]]]
"""Return who saw which newest checkpoint of a log, by its origin."""


class Log:
    """The log in one database; with `epoch`, a view of an epoch that takes no more leaves."""

    SCHEMA = (*log_rows.SCHEMA, *STRETCH_SCHEMA)
    Damaged: TypeAlias = LogDamaged
    Refused: TypeAlias = LogRefused
    Behind: TypeAlias = LogBehind
    Forked: TypeAlias = LogForked
    Head: TypeAlias = log_rows.Head
    Seen: TypeAlias = Seen
    Signed: TypeAlias = checkpoints.Signed
    Verified: TypeAlias = Verified
    Evidence: TypeAlias = Evidence
    Past: TypeAlias = Past
    Cut: TypeAlias = Cut
    Waiting: TypeAlias = Waiting
    stretch: ClassVar = stretch
    site: ClassVar = site_check
    leaf_hash = staticmethod(leaf_hash)

    @dataclass(frozen=True, slots=True)
    class Epoch:
        """A part of the log under one origin and key; both are None until it is signed.

        `previous` is the last cosigned checkpoint of the epoch that this one follows, where there
        is one.
        """

        number: int
        origin: str | None
        vkey: str | None
        begun_at: datetime | None
        previous: bytes | None

    def __init__(self, database: Database, epoch: int | None = None) -> None:
        self._database = database
        self._epoch = epoch
        self.stretches = Stretches(database)
        """What of the log the locations have."""
        self._seen: Seen | None = None

    # -- appending

    def append(self, transaction: Transaction, fact: log_rows.Recordable) -> int:
        """Append the fact and return its number; the same fact again keeps its number.

        Durable when the caller's transaction has ended. Raises LogRefused for an id that is taken
        by other bytes.
        """
        return self.append_many(transaction, (fact,))[0]

    def append_many(
        self, transaction: Transaction, facts: Iterable[log_rows.Recordable]
    ) -> list[int]:
        """Append facts in order, as `append` does each, and return their numbers.

        Raises LogBehind where this is the first time since `watch` and more, or else, was seen.
        """
        self._check_watched(transaction)
        return self._append(transaction, facts)

    def watch(self, seen: Seen) -> None:
        """Compare the log with what was seen of it before it takes or signs its next leaf."""
        self._seen = seen

    # -- reading

    def head(self) -> log_rows.Head:
        """Return where the log stands."""
        with self._database.reading() as reading:
            return log_rows.read_head(reading, self._epoch)

    def size(self) -> int:
        """Return how many leaves there are."""
        return self.head().size

    def leaf(self, number: int) -> bytes:
        """Return one leaf's bytes."""
        return next(self.leaves(number, number + 1))

    def leaves(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the leaves from `start` up to, not including, `stop`, a few rows at a time."""
        for first in range(start, stop, _LEAVES_AT_ONCE):
            with self._database.reading() as reading:
                head = log_rows.read_head(reading, self._epoch)
                wanted = range(first, min(first + _LEAVES_AT_ONCE, stop))
                page = log_rows.read_leaves(reading, head.epoch, wanted)
            yield from page

    def number_of(self, fact_id: str) -> int | None:
        """Return the number of the leaf with this fact, or None."""
        with self._database.reading() as reading:
            head = log_rows.read_head(reading, self._epoch)
            row = reading.row(
                "SELECT number FROM leaf WHERE id = ? AND epoch = ?", (fact_id, head.epoch)
            )
        return None if row is None else int(row[0])

    def ids(self, prefix: str) -> list[str]:
        """Return the first two ids of facts that begin so."""
        with self._database.reading() as reading:
            head = log_rows.read_head(reading, self._epoch)
            # No digit of an id sorts after the tilde.
            rows = reading.rows(
                "SELECT id FROM leaf WHERE id BETWEEN ? AND ? AND epoch = ? ORDER BY id LIMIT 2",
                (prefix, f"{prefix}~", head.epoch),
            )
        return [str(found) for (found,) in rows]

    def facts(self, op: str | None = None) -> list[Fact]:
        """Return the facts in order, of one operation where given."""
        with self._database.reading() as reading:
            rows = reading.rows(
                "SELECT bytes FROM leaf WHERE epoch = ? AND (? IS NULL OR op = ?) ORDER BY number",
                (log_rows.read_head(reading, self._epoch).epoch, op, op),
            )
        return [Fact.parse(data) for (data,) in rows]

    def take_over_plain_facts(self) -> None:
        """Make what is left in the plain table of facts the first leaves, in order."""
        with self._database.reading() as reading:
            if reading.row("SELECT 1 FROM fact LIMIT 1") is None:
                return
        with self._database.transaction() as transaction:
            self.append_many(transaction, read_facts(transaction))
            transaction.run("DELETE FROM fact")

    # -- epochs

    def epoch(self) -> Epoch:
        """Return the epoch that this log is in, or views."""
        with self._database.reading() as reading:
            return _read_epoch(reading, log_rows.read_head(reading, self._epoch).epoch)

    def epochs(self) -> list["Log"]:
        """Return a view of every epoch, oldest first."""
        with self._database.reading() as reading:
            rows = reading.rows("SELECT number FROM epoch ORDER BY number")
        return [Log(self._database, number) for (number,) in rows]

    def begin_epoch(
        self, origin: str, vkey: str, now: datetime, previous: bytes | None = None
    ) -> None:
        """Begin an epoch: the nameless one that appending began, or else a new one after the last.

        The old one takes no more leaves and is never signed again; one that has this origin and key
        already goes on. `previous` is the last cosigned checkpoint of what this one follows.
        """
        VerifierKey.parse(vkey)
        with self._database.transaction() as transaction:
            head = log_rows.read_head(transaction)
            number = head.epoch
            current = _read_epoch(transaction, number)
            if current.origin == origin and current.vkey == vkey:
                return
            if current.origin is not None:
                number += 1
                transaction.run("INSERT INTO epoch (number) VALUES (?)", (number,))
                transaction.run(
                    "INSERT INTO head (epoch, size, root, stack) VALUES (?, 0, ?, x'')",
                    (number, EMPTY_ROOT),
                )
            transaction.run(
                "UPDATE epoch SET origin = ?, vkey = ?, begun_at = ?, "
                "previous = coalesce(?, previous) WHERE number = ?",
                (origin, vkey, format_instant(now), previous, number),
            )

    def adopt(
        self, leaves: Iterable[Fact], note: bytes, witnesses: Sequence[VerifierKey], now: datetime
    ) -> None:
        """Append leaves that the locations have, with the checkpoint that ends with them.

        Nothing is kept unless our leaves and these make exactly the tree of the checkpoint, which
        the log's own key has signed.
        """
        with self._database.transaction() as transaction:
            self._append(transaction, leaves)
            head = log_rows.read_head(transaction)
            key = checkpoints.own_key(transaction, head.epoch)
            found = Checkpoint.parse(open_note(note, [key]).text)
            if found != Checkpoint(key.name, head.size, head.root):
                raise LogDamaged(
                    "leaves that were found do not make the signed tree",
                    f"with them there are {head.size}, and {found.size} were signed",
                )
            checkpoints.insert(transaction, head, note, now)
            checkpoints.keep_cosigned(transaction, head.epoch, note, witnesses)
            give_up(transaction, head.epoch)
            note_placed(transaction, head.epoch, 0, head.size)

    def begin_after(self, pasts: Sequence[Past], first: Fact, now: datetime) -> None:
        """Put earlier epochs that were found in the place of this one, and begin a new one.

        It begins with `first`, which tells of it; then come those of our leaves that are in no
        past. It has no origin until it is signed. Raises LogDamaged for a past whose leaves are
        not exactly those of its checkpoint.
        """
        self._check_newest()
        with self._database.transaction() as transaction:
            begin_after(transaction, pasts, first, now)

    def put_before(self, pasts: Sequence[Past], now: datetime) -> None:
        """Put earlier epochs that were found before this one, which goes on under its name.

        Raises LogDamaged for a past whose leaves are not exactly those of its checkpoint.
        """
        self._check_newest()
        with self._database.transaction() as transaction:
            put_before(transaction, pasts, now)

    # -- signing

    def sign(self, seed: bytes, now: datetime) -> bytes:
        """Sign the tree as it is and return the note; of an unchanged tree the stored one.

        Raises LogBehind as `append_many` does. Raises LogDamaged, and signs nothing, unless the
        tiles and leaves make the tree of the head and begin with the tree that was signed last.
        """
        self._check_newest()
        with self._database.transaction() as transaction:
            self._check_watched(transaction)
            return checkpoints.sign_head(transaction, seed, now)

    def cosigned(self, note: bytes, witnesses: Sequence[VerifierKey]) -> None:
        """Keep the cosignatures of these witnesses that stand on a checkpoint of this log.

        Raises LogDamaged when it was not signed here, NoteInvalid when a cosignature is wrong.
        """
        with self._database.transaction() as transaction:
            head = log_rows.read_head(transaction, self._epoch)
            checkpoints.keep_cosigned(transaction, head.epoch, note, witnesses)

    def checkpoint(self, *, cosigned: bool = False, placed: bool = False) -> Signed | None:
        """Return the newest checkpoint, of those that are cosigned or placed where asked."""
        with self._database.reading() as reading:
            epoch = log_rows.read_head(reading, self._epoch).epoch
            return checkpoints.last_signed(reading, epoch, cosigned=cosigned, placed=placed)

    def check_seen(self, seen: Checkpoint, by: str) -> None:
        """Raise LogBehind unless this log begins with a tree that somebody saw of it.

        Raises LogForked where it is another tree. `by` names who saw it.
        """
        with self._database.reading() as reading:
            _check_seen(reading, log_rows.read_head(reading, self._epoch), seen, by)

    # -- proofs

    def root(self, size: int) -> bytes:
        """Return the root over the first leaves, computed from tiles and leaves."""
        with self._database.reading() as reading:
            return CompactRange.of(self._reader(reading, size), size).root()

    def inclusion(self, number: int, size: int) -> list[bytes]:
        """Return the proof that a leaf is in the tree of this size."""
        with self._database.reading() as reading:
            return inclusion_proof(self._reader(reading, size), number, size)

    def consistency(self, old: int, new: int) -> list[bytes]:
        """Return the proof that the tree of one size begins with that of a smaller one."""
        with self._database.reading() as reading:
            return consistency_proof(self._reader(reading, new), old, new)

    def tile(self, level: int, number: int, width: int = WIDTH) -> bytes:
        """Return the first hashes of a tile of tlog-tiles."""
        with self._database.reading() as reading:
            epoch = log_rows.read_head(reading, self._epoch).epoch
            return log_rows.read_tile(reading, epoch, level, number, width)

    def bundle(self, number: int, width: int = WIDTH) -> bytes:
        """Return the first entries of a bundle of tlog-tiles."""
        return encode_bundle(self.leaves(number * WIDTH, number * WIDTH + width))

    def evidence(self, fact_ids: Iterable[str]) -> Evidence:
        """Gather these facts with their proofs under the newest cosigned checkpoint.

        Under the newest that is signed, where none is cosigned yet. Raises LogRefused for a fact
        that this log does not have or has not signed.
        """
        signed = self.checkpoint(cosigned=True) or self.checkpoint()
        size = 0 if signed is None else signed.size
        leaves, proofs = {}, {}
        for fact_id in fact_ids:
            number = self.number_of(fact_id)
            if signed is None or number is None or number >= size:
                raise LogRefused(
                    f"there is no proof of the fact {fact_id}",
                    "this log does not have it"
                    if number is None
                    else f"it is leaf {number}, and {size} leaves are signed",
                )
            leaves[number] = self.leaf(number)
            proofs[number] = Proof(number, tuple(self.inclusion(number, size)), signed.note)
        if signed is None or not 1 <= len(leaves) <= FACTS_MAX:
            raise LogRefused(
                f"a bundle of {len(leaves)} facts cannot be made", f"1 to {FACTS_MAX} fit into one"
            )
        return Evidence(signed.note, leaves, proofs)

    # -- looking at all of it

    def verify(self) -> Verified:
        """Compare every byte of leaves, tiles, heads and checkpoints; raise LogDamaged."""
        with self._database.reading() as reading:
            return verify(reading)

    def export(self, folder: Path) -> Checkpoint:
        """Write the log up to its newest checkpoint as a static site of C2SP's tlog-tiles.

        The folder is made, or must be empty. Raises LogRefused where nothing was signed yet.
        """
        signed = self.checkpoint()
        if signed is None:
            raise LogRefused("there is no signed checkpoint of this log yet")
        checkpoint = Checkpoint.parse(split_note(signed.note).text)
        files = (
            (
                place.path,
                self.bundle(place.number, place.width)
                if place.level is None
                else self.tile(place.level, place.number, place.width),
            )
            for place in tiles_of(signed.size)
        )
        write_site(folder, signed.note, files)
        return checkpoint

    def _check_watched(self, transaction: Transaction) -> None:
        if self._seen is None:
            return
        head = log_rows.read_head(transaction)
        origin = _read_epoch(transaction, head.epoch).origin
        if origin is None:
            # Nobody can be asked for a log without a name; it gets one before it is signed.
            return
        for by, seen in self._seen(origin, reached(transaction, head.epoch)):
            _check_seen(transaction, head, seen, by)
        self._seen = None

    def _append(self, transaction: Transaction, facts: Iterable[log_rows.Recordable]) -> list[int]:
        self._check_newest()
        return log_rows.add(transaction, map(log_rows.leaf_of, facts))

    def _check_newest(self) -> None:
        if self._epoch is not None:
            raise LogRefused(
                "an earlier epoch of a log takes no leaves and is not signed",
                f"epoch {self._epoch}",
            )

    def _reader(self, reading: Transaction, size: int) -> Read:
        head = log_rows.read_head(reading, self._epoch)
        if not 0 <= size <= head.size:
            raise LogRefused(f"the log has no tree of {size} leaves", f"it has {head.size}")
        return log_rows.reader(reading, head.epoch, size)


def _read_epoch(transaction: Transaction, number: int) -> Log.Epoch:
    row = transaction.row(
        "SELECT number, origin, vkey, begun_at, previous FROM epoch WHERE number = ?", (number,)
    )
    if row is None:
        raise LogDamaged("the epoch of the log is missing", str(number))
    begun_at = row[3] and parse_instant(row[3])
    return Log.Epoch(row[0], row[1], row[2], begun_at, row[4])


def _check_seen(transaction: Transaction, head: log_rows.Head, seen: Checkpoint, by: str) -> None:
    if seen.size > head.size:
        raise LogBehind(
            "the log is behind what was seen of it",
            f"{by} saw {seen.size} leaves, and there are {head.size}",
        )
    # What was signed here was computed from the leaves then; only another size is computed now.
    signed = checkpoints.signed_at(transaction, head.epoch, seen.size)
    if signed is not None and Checkpoint.parse(split_note(signed.note).text).root == seen.root:
        return
    if log_rows.range_at(transaction, head.epoch, seen.size).root() != seen.root:
        raise LogForked(
            "the log is another than the one that was seen",
            f"{by} saw another tree of {seen.size} leaves",
        )
