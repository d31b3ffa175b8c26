"""The witness: every status of C2SP tlog-witness to the byte, and each attack that it must stop."""

import base64
import hashlib
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.crypto import signing
from strongroom.errors import Refused
from strongroom.ledger.checkpoint import Checkpoint
from strongroom.ledger.note import open_note, sign
from strongroom.ledger.tree import (
    EMPTY_ROOT,
)
from strongroom.ledger.witness import EVIDENCE_MAX, LOGS_MAX, LogKey, Witness
from tests.ledger.seat import (
    LOG_SEED,
    NAME,
    ORIGIN,
    OTHER_SEED,
    SIZE,
    START,
    TEXT,
    WITNESS_SEED,
    Seat,
    Tree,
    log_key,
)


@pytest.fixture
def seat() -> Iterator[Seat]:
    with closing(open_sqlite(None)) as database:
        yield Seat(database)


def lines(*hashes: bytes) -> bytes:
    return b"".join(base64.b64encode(one) + b"\n" for one in hashes)


# -- 200


def test_a_first_checkpoint_is_cosigned_to_the_byte(seat: Seat) -> None:
    seat.register()
    note = seat.tree.note(5)
    status, kind, body = seat.answer(b"old 0\n\n" + note)
    assert (status, kind) == (200, TEXT)
    assert body.startswith("— ".encode() + NAME.encode() + b" ")
    assert body.endswith(b"\n")
    assert body.count(b"\n") == 1
    blob = base64.b64decode(body.split(b" ")[2])
    public = signing.public_key(WITNESS_SEED)
    assert blob[:4] == hashlib.sha256(NAME.encode() + b"\n\x04" + public).digest()[:4]
    assert int.from_bytes(blob[4:12], "big") == int(START.timestamp())
    text = note[: note.rindex(b"\n\n") + 1]
    signed = f"cosignature/v1\ntime {int(START.timestamp())}\n".encode() + text
    signing.verify_plain(public, signed, blob[12:], "the cosignature")
    opened = open_note(note + body, [log_key(), seat.witness.key])
    assert Checkpoint.parse(opened.text) == Checkpoint(ORIGIN, 5, seat.tree.root(5))
    assert len(opened.signatures) == 2


@pytest.mark.parametrize(
    ("old", "new"), [(1, 2), (3, 4), (5, 5), (255, 257), (256, 512), (300, 600)]
)
def test_a_log_that_goes_on_is_cosigned(seat: Seat, old: int, new: int) -> None:
    seat.at(old)
    assert seat.answer(seat.tree.request(old, new))[0] == 200
    assert seat.witness.latest([ORIGIN]) == [Checkpoint(ORIGIN, new, seat.tree.root(new))]


def test_an_empty_log_is_cosigned(seat: Seat) -> None:
    seat.register()
    assert seat.answer(seat.tree.request(0, 0))[0] == 200
    assert seat.witness.latest([ORIGIN]) == [Checkpoint(ORIGIN, 0, EMPTY_ROOT)]
    assert seat.answer(seat.tree.request(0, 3))[0] == 200


def test_the_same_again_has_a_newer_time_and_a_clock_that_goes_back_none(seat: Seat) -> None:
    seat.at(7)
    times = []
    for hours in (1, -2, 3):
        seat.clock.at += timedelta(hours=hours)
        status, _, body = seat.answer(seat.tree.request(7, 7))
        assert status == 200
        times.append(int.from_bytes(base64.b64decode(body.split(b" ")[2])[4:12], "big"))
    first = int((START + timedelta(hours=1)).timestamp())
    assert times == [first, first, first + 3600]


def test_signatures_of_strangers_are_passed_over_and_not_kept(seat: Seat) -> None:
    seat.register()
    note = seat.tree.note(4)
    stranger = sign(note[: note.rindex(b"\n\n") + 1], "stranger", OTHER_SEED)
    line = stranger[stranger.rindex(b"\n\n") + 2 :]
    assert seat.answer(b"old 0\n\n" + note + line)[0] == 200
    kept = seat.witness.monitor(hashlib.sha256(ORIGIN.encode()).hexdigest()).body
    assert b"stranger" not in kept
    assert len(open_note(kept, [log_key(), seat.witness.key]).signatures) == 2


def test_extension_lines_are_cosigned_as_they_are(seat: Seat) -> None:
    seat.register()
    text = Checkpoint(ORIGIN, 2, seat.tree.root(2), ("an extension",)).encode()
    status, _, body = seat.answer(b"old 0\n\n" + sign(text, ORIGIN, LOG_SEED))
    assert status == 200
    opened = open_note(sign(text, ORIGIN, LOG_SEED) + body, [seat.witness.key])
    assert opened.text == text


# -- the monitoring prefix


def test_monitoring_gives_the_newest_note_with_both_signatures(seat: Seat) -> None:
    seat.at(3)
    body = seat.answer(seat.tree.request(3, 9))[2]
    found = seat.witness.monitor(hashlib.sha256(ORIGIN.encode()).hexdigest())
    assert (found.status, found.content_type) == (200, TEXT)
    assert found.body == seat.tree.note(9) + body


@pytest.mark.parametrize("wanted", ["0" * 64, hashlib.sha256(b"other").hexdigest(), "../x", ""])
def test_monitoring_an_unknown_log_is_404(seat: Seat, wanted: str) -> None:
    seat.at(3)
    assert seat.witness.monitor(wanted).status == 404


def test_monitoring_a_log_that_was_never_cosigned_is_404(seat: Seat) -> None:
    seat.register()
    assert seat.witness.monitor(hashlib.sha256(ORIGIN.encode()).hexdigest()).status == 404


# -- 400, 403, 404, 409, 422


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"old\n",
        b"old 1\r\n",
        b"OLD 1\n",
        b"old  1\n",
        b"old 01\n",
        b"old -1\n",
        b"old +1\n",
        b"old 1 \n",
        b"old 9223372036854775808\n",
        b"old 99999999999999999999999\n",
        b"size 1\n",
        b"\n",
        b"old \xd9\xa1\n",
        b"old 1\nnot base64!\n",
        b"old 1\n" + lines(bytes(31)),
        b"old 1\n" + lines(bytes(33)),
        b"old 1\n" + lines(bytes(32))[:-2] + b"\n",
        b"old 1\n " + lines(bytes(32)),
        b"old 1\n" + lines(*[bytes(32)] * 64),
    ],
)
def test_a_malformed_head_is_400(seat: Seat, head: bytes) -> None:
    seat.at(1)
    assert seat.answer(head + b"\n" + seat.tree.note(2))[0] == 400
    assert seat.witness.latest([ORIGIN]) == [Checkpoint(ORIGIN, 1, seat.tree.root(1))]


def test_a_malformed_checkpoint_is_400(seat: Seat) -> None:
    seat.at(1)
    root = base64.b64encode(bytes(32)).decode()
    for text in (
        f"{ORIGIN}\n2\n",
        f"{ORIGIN}\n02\n{root}\n",
        f"{ORIGIN}\n2\n{root[:-2]}\n",
        f"{ORIGIN}\n9223372036854775808\n{root}\n",
    ):
        signed = sign(text.encode(), ORIGIN, LOG_SEED)
        assert seat.answer(b"old 1\n\n" + signed)[0] == 400
    for data in (b"", b"\n\n", b"old 1\n\n", b"old 1\n\nno note\n", seat.tree.request(1, 2) * 5000):
        assert seat.answer(data)[0] == 400


def test_an_old_size_above_the_new_one_is_400(seat: Seat) -> None:
    seat.at(5)
    assert seat.answer(b"old 5\n\n" + seat.tree.note(3))[0] == 400
    assert seat.answer(b"old 9\n\n" + seat.tree.note(3))[0] == 400


def test_an_unknown_origin_is_404(seat: Seat) -> None:
    assert seat.answer(seat.tree.request(0, 1))[0] == 404
    seat.register()
    other = "install.ledger.invalid/log-2"
    assert seat.answer(b"old 0\n\n" + seat.tree.note(1, origin=other))[0] == 404


def test_a_log_that_did_not_sign_is_403(seat: Seat) -> None:
    seat.at(1)
    assert seat.answer(b"old 1\n\n" + seat.tree.note(2, OTHER_SEED))[0] == 403
    note = seat.tree.note(2)
    forged = bytearray(base64.b64decode(note.rsplit(b" ", 1)[1]))
    forged[-1] ^= 1
    line = note.rsplit(b" ", 1)[0] + b" " + base64.b64encode(forged) + b"\n"
    assert seat.answer(b"old 1\n" + lines(*seat.tree.proof(1, 2)) + b"\n" + line)[0] == 403
    # A good line beside it does not help: the note is malformed.
    both = note + line[line.rindex(b"\n\n") + 2 :]
    assert seat.answer(b"old 1\n" + lines(*seat.tree.proof(1, 2)) + b"\n" + both)[0] == 403
    # A cosignature of our own is none of the log's.
    own = seat.answer(seat.tree.request(1, 1))[2]
    text = note[: note.rindex(b"\n\n") + 2]
    assert seat.answer(b"old 1\n\n" + text + own)[0] == 403
    assert seat.witness.evidence() == []


@pytest.mark.parametrize("old", [0, 1, 4, 6])
def test_another_old_size_is_409_with_the_size_that_was_seen(seat: Seat, old: int) -> None:
    seat.at(5)
    assert seat.answer(seat.tree.request(old, 8)) == (409, SIZE, b"5\n")


def test_a_size_that_was_never_seen_is_409_with_zero(seat: Seat) -> None:
    seat.register()
    assert seat.answer(seat.tree.request(3, 8)) == (409, SIZE, b"0\n")


def test_an_empty_log_with_another_root_is_422(seat: Seat) -> None:
    seat.register()
    note = sign(Checkpoint(ORIGIN, 0, bytes(32)).encode(), ORIGIN, LOG_SEED)
    assert seat.answer(b"old 0\n\n" + note)[0] == 422


def test_hashes_from_the_empty_log_are_422(seat: Seat) -> None:
    seat.register()
    assert seat.answer(b"old 0\n" + lines(bytes(32)) + b"\n" + seat.tree.note(2))[0] == 422


def test_hashes_from_a_log_to_itself_are_422(seat: Seat) -> None:
    seat.at(4)
    assert seat.answer(b"old 4\n" + lines(bytes(32)) + b"\n" + seat.tree.note(4))[0] == 422


def test_a_wrong_proof_is_422(seat: Seat) -> None:
    seat.at(5)
    proof = seat.tree.proof(5, 9)
    for wrong in (
        [],
        proof[:-1],
        [*proof, bytes(32)],
        proof[::-1],
        [bytes(32), *proof[1:]],
        seat.tree.proof(4, 9),
    ):
        assert seat.answer(Witness.request(5, wrong, seat.tree.note(9)))[0] == 422
    assert seat.witness.latest([ORIGIN]) == [Checkpoint(ORIGIN, 5, seat.tree.root(5))]
    # The log did nothing wrong: one contradiction is kept, whatever came with it.
    assert [one.fork for one in seat.witness.evidence()] == [False]


# -- named attacks


def test_fork(seat: Seat) -> None:
    """A log shows another history from the same size on; both sides of the fork are kept."""
    seat.at(5)
    newest = seat.witness.monitor(hashlib.sha256(ORIGIN.encode()).hexdigest()).body
    other = Tree("another ").grow(600)
    same_size = b"old 5\n\n" + other.note(5)
    assert seat.answer(same_size)[0] == 422
    longer = Witness.request(5, other.proof(5, 9), other.note(9))
    assert seat.answer(longer)[0] == 422
    # With another old size it is a conflict to the caller, and still evidence.
    assert seat.answer(b"old 4\n\n" + other.note(5)) == (409, SIZE, b"5\n")
    kept = seat.witness.evidence()
    assert [(one.fork, one.request, one.note) for one in kept] == [
        (True, same_size, newest),
        (False, longer, newest),
    ]
    for one in kept:
        assert one.note is not None
        open_note(one.note, [log_key()])
        open_note(one.request.partition(b"\n\n")[2], [log_key()])
    ops = [op for op, _, _ in seat.journal]
    assert ops == ["log.registered", "log.contradicted", "log.contradicted"]
    assert seat.witness.latest([ORIGIN]) == [Checkpoint(ORIGIN, 5, seat.tree.root(5))]


def test_rollback(seat: Seat) -> None:
    """A log that was put back to an older state, and goes on otherwise, gets no cosignature."""
    seat.at(9)
    assert seat.answer(seat.tree.request(5, 5)) == (409, SIZE, b"9\n")
    older = Tree()
    older.hashes = [*seat.tree.hashes[:5], *Tree("again ").grow(20).hashes]
    assert seat.answer(older.request(5, 12)) == (409, SIZE, b"9\n")
    assert seat.answer(older.request(9, 12))[0] == 422
    assert seat.witness.latest([ORIGIN]) == [Checkpoint(ORIGIN, 9, seat.tree.root(9))]


def test_two_writers(seat: Seat) -> None:
    """Two machines with one log's key: the second branch is refused, whoever comes first."""
    seat.at(3)
    first, second = Tree("first "), Tree("second ")
    for tree in (first, second):
        tree.hashes = [*seat.tree.hashes[:3], *tree.grow(20).hashes]
    assert seat.answer(first.request(3, 7))[0] == 200
    assert seat.answer(second.request(3, 8)) == (409, SIZE, b"7\n")
    assert seat.answer(second.request(7, 8))[0] == 422
    assert len(seat.witness.evidence()) == 1


def test_evidence_of_a_fork_has_a_place_that_noise_cannot_fill(seat: Seat) -> None:
    seat.at(5)
    for size in range(6, 6 + EVIDENCE_MAX + 20):
        assert seat.answer(Witness.request(5, [bytes(32)], seat.tree.note(size)))[0] == 422
    assert len(seat.witness.evidence()) == EVIDENCE_MAX
    assert seat.answer(b"old 5\n\n" + Tree("another ").grow(9).note(5))[0] == 422
    assert [one.fork for one in seat.witness.evidence()][-1] is True


def test_a_key_of_a_known_log_is_not_replaced(seat: Seat) -> None:
    seat.register()
    with pytest.raises(Refused, match="known with another key"):
        seat.register(log_key(OTHER_SEED))
    seat.register()
    assert [op for op, _, _ in seat.journal] == ["log.registered"]


def test_keys_that_are_no_logs_key_are_refused(seat: Seat) -> None:
    for origin, key in (
        ("another", log_key()),
        (NAME, seat.witness.key),
        (ORIGIN, log_key(WITNESS_SEED)),
    ):
        with pytest.raises(Refused, match="is not the key of a log"):
            seat.witness.register([LogKey(origin, str(key), "client")])


def test_there_is_a_limit_of_logs(seat: Seat) -> None:
    with seat.database.transaction() as transaction:
        transaction.run(
            "WITH RECURSIVE number (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number LIMIT ?) "
            "INSERT INTO witnessed (origin, origin_hash, vkey, purpose, registered_at) "
            "SELECT n, n, '', 'client', '' FROM number",
            (LOGS_MAX - 1,),
        )
    seat.register()
    with pytest.raises(Refused, match="no more logs"):
        seat.register(log_key(OTHER_SEED, "other"))


def test_requests_together_are_answered_as_if_each_came_alone(seat: Seat) -> None:
    seat.register()
    requests = [
        seat.tree.request(0, 2),
        seat.tree.request(0, 4),
        b"nonsense",
        seat.tree.request(2, 6),
        seat.tree.request(6, 6),
    ]
    answers = seat.witness.add_checkpoints(requests)
    assert [one.status for one in answers] == [200, 409, 400, 200, 200]
    with pytest.raises(Refused, match="too many"):
        seat.witness.add_checkpoints([b""] * 1001)


def test_what_was_answered_is_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "witness.db"
    with closing(open_sqlite(path)) as database:
        seat = Seat(database)
        seat.at(5)
        # As another machine would find it: the files as they are now, nothing closed.
        copy = tmp_path / "copy"
        copy.mkdir()
        for name in ("witness.db", "witness.db-wal"):
            (copy / name).write_bytes((tmp_path / name).read_bytes())
    with closing(open_sqlite(copy / "witness.db")) as database:
        again = Seat(database, make=False)
        assert again.answer(again.tree.request(0, 3)) == (409, SIZE, b"5\n")


def test_concurrent_race_never_cosigns_two_histories(tmp_path: Path) -> None:
    """Two histories and many threads over two connections; one line of checkpoints comes out."""
    path = tmp_path / "witness.db"
    shared = Tree().grow(600)
    branches = []
    for salt in ("left ", "right "):
        tree = Tree(salt)
        tree.hashes = [*shared.hashes[:2], *tree.grow(40).hashes]
        branches.append(tree)
    with closing(open_sqlite(path)) as one, closing(open_sqlite(path)) as two:
        seats = [Seat(one), Seat(two, make=False)]
        seats[0].at(2)
        cosigned: list[Checkpoint] = []
        keep = threading.Lock()

        def push(number: int) -> None:
            seat, tree = seats[number % 2], branches[number // 2 % 2]
            old = 2
            for new in range(3 + number, 42, 3):
                answer = seat.witness.add_checkpoint(tree.request(old, new))
                if answer.status == 409 and int(answer.body) <= new:
                    old = int(answer.body)
                    answer = seat.witness.add_checkpoint(tree.request(old, new))
                if answer.status == 200:
                    old = new
                    with keep:
                        cosigned.append(Checkpoint(ORIGIN, new, tree.root(new)))

        threads = [threading.Thread(target=push, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert cosigned
        check_one_history(cosigned, branches)
        assert seats[0].witness.latest([ORIGIN]) == [max(cosigned, key=lambda found: found.size)]


def check_one_history(cosigned: Sequence[Checkpoint], branches: Sequence[Tree]) -> None:
    """All checkpoints are of one of the branches."""
    assert any(all(tree.root(one.size) == one.root for one in cosigned) for tree in branches)
