"""A log in a database: appending, reading, epochs, signing, proofs."""

from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.database import Database
from strongroom.errors import Damaged, StrongroomError, UsageError
from strongroom.facts import Fact
from strongroom.ledger import Checkpoint, Log, Policy
from strongroom.ledger.note import NoteInvalid, VerifierKey, open_note
from strongroom.ledger.tiles import parse_bundle, tile_width
from strongroom.ledger.tree import leaf_hash, root_of, verify_consistency, verify_inclusion
from tests.support.logs import NOON, ORIGIN, SEED, VKEY, begun, cosigners, facts, fill
from tests.support.verifier import verify

KEY = VerifierKey.parse(VKEY)
BIG = pytest.param([65_537], marks=pytest.mark.long)
OTHER = ORIGIN.replace("cd", "ef")
OTHER_VKEY = str(VerifierKey(OTHER, KEY.kind, KEY.public))


@pytest.fixture(name="database")
def _database(tmp_path: Path) -> Iterator[Database]:
    database = open_sqlite(tmp_path / "log.db", durable=False)
    database.migrate(Log.SCHEMA)
    yield database
    database.close()


def opened(note: bytes) -> Checkpoint:
    return Checkpoint.parse(open_note(note, [KEY]).text)


def test_empty_log_has_the_root_of_nothing(database: Database) -> None:
    log = Log(database)
    assert (log.size(), log.head().root) == (0, root_of([]))
    assert log.facts() == []
    assert log.verify() == Log.Verified(epochs=1, leaves=0, checkpoints=0)


def test_facts_come_back_in_order(database: Database) -> None:
    log = Log(database)
    added = fill(database, log, 3)
    assert log.facts() == added
    assert log.facts("source.removed") == added
    assert log.facts("source.added") == []
    assert list(log.leaves(1, 3)) == [fact.encode() for fact in added[1:]]
    assert log.leaf(0) == added[0].encode()
    assert log.number_of(added[2].id) == 2
    assert log.number_of("0" * 32) is None


def test_same_fact_again_keeps_its_number(database: Database) -> None:
    log = Log(database)
    first, second = fill(database, log, 2)
    with database.transaction() as transaction:
        assert log.append(transaction, second) == 1
        assert log.append_many(transaction, [first, *facts(1), second]) == [0, 2, 1]
    assert log.size() == 3
    log.verify()


def test_id_that_is_taken_by_other_bytes_is_refused(database: Database) -> None:
    log = Log(database)
    (first,) = fill(database, log, 1)
    with (
        pytest.raises(Log.Refused, match="recorded with other bytes: as leaf 0"),
        database.transaction() as transaction,
    ):
        log.append(transaction, replace(first, subject="3" * 32, client="3" * 32))
    assert log.facts() == [first]


def test_fact_and_the_rows_it_speaks_of_stand_or_fall_together(database: Database) -> None:
    log = Log(database)
    with suppress(ZeroDivisionError), database.transaction() as transaction:
        log.append_many(transaction, facts(300))
        raise ZeroDivisionError
    assert log.size() == 0
    assert log.verify().leaves == 0


@pytest.mark.parametrize("steps", [[255, 1, 1], [256], [257], [100, 200, 300], [1] * 3, BIG])
def test_tree_is_that_of_the_leaves(database: Database, steps: list[int]) -> None:
    log = Log(database)
    hashes: list[bytes] = []
    for count in steps:
        hashes += [leaf_hash(fact.encode()) for fact in fill(database, log, count)]
        assert log.head().size == len(hashes)
        assert log.head().root == root_of(hashes)
        assert log.root(len(hashes)) == root_of(hashes)
    assert log.verify().leaves == len(hashes)
    for level in range(3):
        for number in range(2):
            width = tile_width(level, number, len(hashes))
            if width:
                start, step = number * 256, 256**level
                below = [
                    root_of(hashes[at * step : (at + 1) * step])
                    for at in range(start, start + width)
                ]
                assert log.tile(level, number, width) == b"".join(below)


def test_bundle_holds_the_leaves_of_its_tile(database: Database) -> None:
    log = Log(database)
    added = [fact.encode() for fact in fill(database, log, 258)]
    assert parse_bundle(log.bundle(0), 256) == added[:256]
    assert parse_bundle(log.bundle(1, 2), 2) == added[256:]


def test_proofs_verify_in_every_tree_of_the_log(database: Database) -> None:
    log = Log(database)
    hashes = [leaf_hash(fact.encode()) for fact in fill(database, log, 300)]
    for size in (1, 2, 7, 255, 256, 257, 300):
        root = root_of(hashes[:size])
        for number in {0, size // 2, size - 1}:
            proof = log.inclusion(number, size)
            verify_inclusion(hashes[number], number, size, proof, root)
        for old in {0, 1, size // 2, size}:
            proof = log.consistency(old, size)
            verify_consistency(old, size, proof, root_of(hashes[:old]), root)
    with pytest.raises(Log.Refused, match="no tree of 301 leaves"):
        log.inclusion(0, 301)


def test_unsigned_log_has_no_origin(database: Database) -> None:
    log = Log(database)
    assert log.epoch() == Log.Epoch(1, None, None, None, None)
    with pytest.raises(Log.Refused, match="no key yet"):
        log.sign(SEED, NOON)


def test_signature_is_over_the_tree(database: Database) -> None:
    log = begun(database, 300)
    note = log.sign(SEED, NOON)
    assert opened(note) == Checkpoint(ORIGIN, 300, log.root(300))
    signed = log.checkpoint()
    assert signed is not None
    assert signed == Log.Signed(300, note, (), NOON, None, placed=False)


def test_unchanged_log_is_not_signed_twice(database: Database) -> None:
    log = begun(database, 3)
    note = log.sign(SEED, NOON)
    (witness,) = cosigners(1)
    log.cosigned(witness.sign(note, 1_795_000_000), [witness.key])
    again = log.sign(SEED, NOON + timedelta(days=1))
    assert again == witness.sign(note, 1_795_000_000)
    assert log.verify().checkpoints == 1


def test_each_tree_that_is_signed_begins_with_the_last(database: Database) -> None:
    log = begun(database)
    sizes = []
    for count in (0, 1, 254, 1, 1, 300):
        fill(database, log, count)
        sizes.append(opened(log.sign(SEED, NOON)).size)
    assert sizes == [0, 1, 255, 256, 257, 557]
    assert log.verify() == Log.Verified(epochs=1, leaves=557, checkpoints=6)


def test_key_of_another_log_signs_nothing(database: Database) -> None:
    log = begun(database, 1)
    with pytest.raises(Log.Damaged, match="key of this log is another"):
        log.sign(b"\x08" * 32, NOON)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("UPDATE head SET size = 299", "cannot|does not have|another tree|malformed"),
        ("UPDATE head SET root = zeroblob(32)", "another tree"),
        ("UPDATE head SET stack = zeroblob(length(stack))", "another tree"),
        ("UPDATE leaf SET bytes = CAST('{}' AS BLOB) WHERE number = 299", "another tree"),
        ("DELETE FROM leaf WHERE number = 299", "leaves from 256 to 299 are missing"),
        ("UPDATE tile SET root = zeroblob(32)", "another tree"),
        (
            "INSERT INTO leaf SELECT epoch, 300, 'x', at, op, bytes FROM leaf WHERE number = 1",
            "there are more",
        ),
    ],
)
def test_damaged_log_is_not_signed(database: Database, change: str, why: str) -> None:
    log = begun(database, 300)
    with database.transaction() as transaction:
        transaction.run(change)
    with pytest.raises(Log.Damaged, match=why):
        log.sign(SEED, NOON)
    assert log.checkpoint() is None
    with pytest.raises(Damaged):
        log.verify()


def test_shorter_tree_is_not_signed(database: Database, tmp_path: Path) -> None:
    log = begun(database, 3)
    log.sign(SEED, NOON)
    with open_scratch(tmp_path / "other.db", 2) as other, database.transaction() as transaction:
        head = Log(other).head()
        transaction.run("DELETE FROM leaf")
        for number, leaf in enumerate(Log(other).leaves(0, 2)):
            fact = Fact.parse(leaf)
            transaction.run(
                "INSERT INTO leaf (epoch, number, id, at, op, bytes) VALUES (1, ?, ?, '', ?, ?)",
                (number, fact.id, fact.op, leaf),
            )
        transaction.run("UPDATE head SET size = 2, root = ?, stack = ?", (head.root, head.stack))
    with pytest.raises(Log.Damaged, match="shorter than it was when it was signed"):
        log.sign(SEED, NOON)


def test_other_tree_is_not_signed(database: Database) -> None:
    log = begun(database, 300)
    log.sign(SEED, NOON)
    with database.transaction() as transaction:
        transaction.run("DELETE FROM leaf")
        transaction.run("DELETE FROM tile")
        transaction.run("UPDATE head SET size = 0, root = ?, stack = x''", (root_of([]),))
    fill(database, log, 301)
    with pytest.raises(Log.Damaged, match="another than it was when it was signed"):
        log.sign(SEED, NOON)


def test_cosignatures_are_gathered(database: Database) -> None:
    log = begun(database, 3)
    note = log.sign(SEED, NOON)
    first, second, stranger = cosigners(3)
    log.cosigned(first.sign(note, 1_795_000_000), [first.key])
    log.cosigned(stranger.sign(second.sign(note, 1_795_000_009), 9), [first.key, second.key])
    kept = log.checkpoint(cosigned=True)
    assert kept is not None
    assert kept.witnesses == (first.key, second.key)
    assert kept.cosigned_at is not None
    assert kept.cosigned_at.timestamp() == 1_795_000_009
    assert len(open_note(kept.note, [KEY, first.key, second.key, stranger.key]).signatures) == 3
    log.cosigned(first.sign(note, 1_795_000_100), [first.key])
    renewed = log.checkpoint()
    assert renewed is not None
    assert renewed.cosigned_at is not None
    assert renewed.cosigned_at.timestamp() == 1_795_000_100
    log.verify()


def test_cosignature_that_a_witness_did_not_make_is_refused(database: Database) -> None:
    log = begun(database, 3)
    note = log.sign(SEED, NOON)
    (witness,) = cosigners(1)
    forged = replace(witness, seed=b"\x09" * 32)
    wrong = witness.sign(note, 1_795_000_000).replace(
        witness.sign(note, 1_795_000_000).splitlines()[-1][-20:], b"A" * 19 + b"="
    )
    with pytest.raises(NoteInvalid):
        log.cosigned(wrong, [witness.key])
    log.cosigned(forged.sign(note, 1_795_000_000), [witness.key])
    kept = log.checkpoint()
    assert kept is not None
    assert kept.note == note


def test_checkpoint_that_was_not_signed_here_is_not_kept(
    database: Database, tmp_path: Path
) -> None:
    log = begun(database, 3)
    log.sign(SEED, NOON)
    with open_scratch(tmp_path / "fork.db", 0) as fork:
        forged = begun(fork, 3).sign(SEED, NOON)
    with pytest.raises(Log.Damaged, match="not one of ours"):
        log.cosigned(forged, [])


def test_new_epoch_follows_and_the_old_one_rests(database: Database) -> None:
    log = begun(database, 3)
    last = log.sign(SEED, NOON)
    log.begin_epoch(OTHER, OTHER_VKEY, NOON, previous=last)
    assert log.epoch() == Log.Epoch(2, OTHER, OTHER_VKEY, NOON, last)
    assert log.size() == 0
    added = fill(database, log, 2)
    assert log.facts() == added
    old, new = log.epochs()
    assert (old.size(), new.size()) == (3, 2)
    assert old.checkpoint() is not None
    assert len(old.facts()) == 3
    with pytest.raises(Log.Refused, match="takes no leaves"), database.transaction() as again:
        old.append_many(again, facts(1))
    with pytest.raises(Log.Refused, match="not signed"):
        old.sign(SEED, NOON)
    log.sign(SEED, NOON)
    assert log.verify() == Log.Verified(epochs=2, leaves=5, checkpoints=2)


def test_fact_of_an_earlier_epoch_is_not_recorded_again(database: Database) -> None:
    log = begun(database)
    added = fill(database, log, 1)
    log.begin_epoch(OTHER, OTHER_VKEY, NOON)
    with pytest.raises(Log.Refused, match="earlier epoch"), database.transaction() as transaction:
        log.append_many(transaction, added)


def test_found_leaves_are_adopted_only_as_the_signed_tree(
    database: Database, tmp_path: Path
) -> None:
    (witness,) = cosigners(1)
    with open_scratch(tmp_path / "lost.db", 0) as lost:
        old = begun(lost, 300)
        note = witness.sign(old.sign(SEED, NOON), 1_795_000_000)
        found = old.facts()
    log = Log(database)
    log.begin_epoch(ORIGIN, VKEY, NOON)
    with pytest.raises(Log.Damaged, match="do not make the signed tree"):
        log.adopt(found[:-1], note, [witness.key], NOON)
    assert log.size() == 0
    fill_with(database, log, found[:7])
    log.adopt(found[7:], note, [witness.key], NOON)
    kept = log.checkpoint(cosigned=True)
    assert kept is not None
    assert kept.note == note
    assert log.facts() == found
    assert log.verify() == Log.Verified(epochs=1, leaves=300, checkpoints=1)


def fill_with(database: Database, log: Log, added: list[Fact]) -> None:
    with database.transaction() as transaction:
        log.append_many(transaction, added)


@contextmanager
def open_scratch(path: Path, count: int) -> Iterator[Database]:
    """Open a second database with a log of so many leaves."""
    with closing(open_sqlite(path, durable=False)) as database:
        database.migrate(Log.SCHEMA)
        fill(database, Log(database), count)
        yield database


@pytest.mark.parametrize("count", [0, 1, 256, 300])
def test_exported_log_is_judged_by_code_that_is_not_ours(
    database: Database, tmp_path: Path, count: int
) -> None:
    log = begun(database, count)
    with pytest.raises(Log.Refused, match="no signed checkpoint"):
        log.export(tmp_path / "site")
    log.sign(SEED, NOON)
    fill(database, log, 5)
    assert log.export(tmp_path / "site").size == count
    policy = tmp_path / "policy"
    policy.write_bytes(Policy.of([KEY], {}, 0).encode())
    assert verify("log", tmp_path / "site", "--policy", policy, "--strict") == 0
    with pytest.raises(UsageError, match="is not empty"):
        log.export(tmp_path / "site")
    with pytest.raises(StrongroomError, match="cannot be written"):
        log.export(policy / "site")
