"""The vault as a whole: what goes in comes out, and only what is good is built upon."""

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.errors import Damaged, UsageError
from strongroom.locations import Copies, LocationUnavailable
from strongroom.placement import FullCopies
from strongroom.vault import Entry, SessionKeys, Vault, WorkerKeys
from strongroom.vault.index import Index
from strongroom.vault.live import count_live
from tests.support.misbehaving_location import Fault, MisbehavingLocation
from tests.support.vault_fixtures import (
    BLOB,
    RANDOM,
    TEXT,
    ListSource,
    ListTarget,
    TestVault,
    bring_back,
    objects_of,
    source_id,
    source_name,
    structure,
    tree,
)


def content(source: ListSource) -> dict[bytes, bytes]:
    return {path: data for path, data in source.files.items() if data is not None}


def alive(vault: TestVault) -> dict[int, bool]:
    numbers = range(1, 200)
    return {n: ok for n, ok in Index(vault.database).usable(numbers).items() if ok}


PIECES = st.tuples(st.integers(0, 1 << 20), st.integers(0, 90_000)).map(
    lambda cut: BLOB[cut[0] : cut[0] + cut[1]]
)


NAMES = st.binary(min_size=1, max_size=6).filter(
    lambda name: b"/" not in name and b"\x00" not in name and name not in (b".", b"..")
)


@pytest.mark.parametrize("vault_class", ["normal", "high"])
@settings(max_examples=15)
@given(
    rounds=st.lists(st.dictionaries(NAMES, PIECES, max_size=6), min_size=1, max_size=3),
    profile=st.sampled_from(["pages-4096", "cdc-16k", "cdc-1m"]),
    block=st.sampled_from([1000, 1 << 20]),
)
def test_every_snapshot_restores_equal(
    vault_class: str, rounds: list[dict[bytes, bytes]], profile: str, block: int
) -> None:
    vault = TestVault(vault_class)
    written = []
    for files in rounds:
        source = ListSource(dict(files), profile=profile, block_bytes=block)
        written.append(vault.write({"s": source}))
    fresh = vault.open(open_sqlite(None))
    for one in written:
        vault.learn(one, fresh)
    for files, one in zip(rounds, written, strict=True):
        for used in (vault.vault, fresh):
            target = vault.restore(one, "s", used)
            assert target.files == files
            assert target.published == ListSource(dict(files)).facts()
            assert not target.abandoned


def test_entries_keep_what_they_are() -> None:
    others = [
        Entry(b"", "directory", 0, 0o755, -5, 1, 2),
        Entry(b"d", "directory", 0, 0o700, 1, 1000, 1000),
        Entry(b"d/\xff\n", "symlink", 0, 0o777, 1, 1, 1, b"../x"),
        Entry(b"fifo", "special", 0, 0o600, 1, 1, 1),
        Entry(b"lost", "unreadable"),
    ]
    source = ListSource({b"d/f": TEXT, b"d/gone": None}, others)
    vault = TestVault()
    written = vault.write({"s": source})
    target = vault.restore(written, "s")
    assert target.entries[:5] == others
    assert target.entries[5] == Entry(b"d/f", "file", len(TEXT), 0o644, 5, 1, 2)
    assert target.entries[6].kind == "unreadable"
    outcome = written.outcomes["s"]
    (record,) = structure(vault, written).sources
    assert record.skipped == 3
    assert [path for path, _ in outcome.unreadable] == [b"lost", b"d/gone"]


def test_a_hard_link_to_an_unreadable_file_is_unreadable_too() -> None:
    class Linked(ListSource):
        def entries(self):  # type: ignore[no-untyped-def]  # the base says it
            yield from super().entries()
            yield Entry(b"link", "hardlink", link=b"gone")

    vault = TestVault()
    target = vault.restore(vault.write({"s": Linked({b"gone": None})}), "s")
    assert [one.kind for one in target.entries] == ["unreadable", "unreadable"]


def test_unchanged_files_are_not_read_again() -> None:
    vault = TestVault()
    vault.write({"s": tree(a=BLOB, b=TEXT)})
    second = tree(a=BLOB, b=TEXT + b"more")
    written = vault.write({"s": second})
    assert second.reads == [b"b"]
    assert written.outcomes["s"].read_bytes == len(TEXT) + 4
    assert written.outcomes["s"].plain_bytes == len(BLOB) + len(TEXT) + 4
    assert vault.restore(written, "s").files == content(second)
    third = ListSource(dict(second.files), fingerprints=False)
    vault.write({"s": third})
    assert third.reads == [b"a", b"b"]


def test_names_of_files_are_not_in_the_index() -> None:
    vault = TestVault()
    vault.write({"s": ListSource({b"a-very-secret-name": TEXT})})
    with vault.database.reading() as db:
        for (table,) in db.rows("SELECT name FROM sqlite_master WHERE type = 'table'"):
            assert b"secret" not in repr(db.rows(f"SELECT * FROM {table}")).encode()


def test_dedup_within_a_session_across_sources_and_snapshots() -> None:
    vault = TestVault()
    first = vault.write({"one": tree(a=BLOB, b=BLOB), "two": tree(c=BLOB)})
    assert first.outcomes["one"].new_bytes < 1.01 * len(BLOB)
    assert first.outcomes["two"].new_bytes < 1000
    second = vault.write({"three": tree(d=BLOB)})
    assert second.outcomes["three"].new_bytes < 1000
    assert set(first.sessions) & set(second.sessions)
    assert vault.restore(second, "three").files == {b"d": BLOB}


def test_class_high_shares_nothing_between_sessions() -> None:
    vault = TestVault("high")
    first = vault.write({"one": tree(a=BLOB, b=BLOB), "two": tree(c=BLOB)})
    assert first.outcomes["one"].new_bytes < 1.01 * len(BLOB)
    assert first.outcomes["two"].new_bytes >= len(BLOB)
    second = tree(a=BLOB, b=BLOB)
    written = vault.write({"one": second})
    assert second.reads == [b"a", b"b"]
    assert len(written.sessions) == 1
    assert not set(first.sessions) & set(written.sessions)


def test_a_pending_snapshot_is_not_used_for_dedup() -> None:
    vault = TestVault()
    pending = vault.write({"s": tree(a=BLOB)}, good=False)
    again = tree(a=BLOB)
    second = vault.write({"s": again})
    assert again.reads == [b"a"]
    assert second.outcomes["s"].new_bytes >= len(BLOB)
    assert not set(pending.sessions) & set(second.sessions)
    vault.learn(pending)
    third = tree(a=BLOB)
    assert vault.write({"s": third}).outcomes["s"].new_bytes == 0
    assert vault.restore(pending, "s").files == {b"a": BLOB}


def test_a_failed_source_leaves_nothing_for_dedup_and_the_others_go_on() -> None:
    vault = TestVault()
    broken = tree(a=BLOB, b=TEXT)
    broken.fail_after = 1
    written = vault.write({"bad": broken, "good": tree(c=TEXT, d=BLOB)})
    assert written.outcomes["good"].new_bytes >= len(BLOB) + len(TEXT)
    parsed = structure(vault, written)
    assert [one.name for one in parsed.sources] == ["good"]
    assert [(one.name, one.reason) for one in parsed.carried] == [("bad", "the source broke off")]
    assert vault.restore(written, "good").files == {b"c": TEXT, b"d": BLOB}
    fresh = vault.open(open_sqlite(None))
    vault.learn(written, fresh)
    assert vault.restore(written, "good", fresh).files == {b"c": TEXT, b"d": BLOB}
    assert fresh.check([Vault.Checked(1, written.index_hash, parsed)], read=True).findings == ()


def test_an_attempt_without_end_is_swept() -> None:
    vault = TestVault()
    with vault.vault.write(lambda _: None) as writer:
        writer.add(source_name("s"), tree(a=BLOB), vault.deal())
        writer.flush()
    source = tree(a=BLOB)
    written = vault.write({"s": source})
    assert written.outcomes["s"].new_bytes >= len(BLOB)
    report = vault.vault.check([Vault.Checked(1, written.index_hash, structure(vault, written))])
    assert report.findings == ()
    assert {location for location, _ in report.orphans} == {"a", "b"}


def test_a_sequence_number_used_again_sweeps_the_attempt_before() -> None:
    vault = TestVault()
    vault.write({"s": tree(a=BLOB)}, good=False)
    vault.sequence = 0
    written = vault.write({"s": tree(a=TEXT)})
    assert vault.restore(written, "s").files == {b"a": TEXT}


def test_a_thin_segment_is_not_used_and_its_chunks_are_stored_again() -> None:
    vault = TestVault()
    vault.write({"s": ListSource({b"f": BLOB[: 1 << 20]}, profile="pages-65536")})
    mostly_new = BLOB[: 3 << 16] + RANDOM.randbytes(2 << 20)
    second = vault.write({"s": ListSource({b"f": mostly_new}, profile="pages-65536")})
    # Three of eight chunks of the first segment live on: referred to once, and thin from now on.
    third = vault.write({"s": ListSource({b"f": mostly_new + b"!"}, profile="pages-65536")})
    assert 3 << 16 <= third.outcomes["s"].new_bytes < 4 << 16
    assert len(second.sessions) == 2
    assert vault.restore(third, "s").files == {b"f": mostly_new + b"!"}


def test_a_cached_file_in_a_thin_segment_is_read_again() -> None:
    vault = TestVault()
    files = {bytes([97 + n]): BLOB[n << 16 : (n + 1) << 16] for n in range(6)}
    vault.write({"s": ListSource(dict(files))})
    vault.write({"s": ListSource({b"a": files[b"a"]})})
    third = ListSource({b"a": files[b"a"]})
    vault.write({"s": third})
    assert third.reads == [b"a"]


def test_learning_from_locations_equals_learning_from_memory() -> None:
    vault = TestVault()
    written = [
        vault.write({"s": tree(a=BLOB, b=TEXT)}),
        vault.write({"s": tree(a=BLOB[: 3 << 20], b=TEXT), "t": tree(c=TEXT[:99])}),
    ]
    database = open_sqlite(None)
    fresh = vault.open(database)
    for one in written * 2:
        vault.learn(one, fresh)
    queries = (
        "SELECT id, session, offset, stored_bytes, lengths, live_bytes FROM segment ORDER BY id",
        "SELECT c.id, s.id, place FROM chunk c JOIN segment s ON s.number = segment ORDER BY 1",
        "SELECT id, bytes FROM pack ORDER BY id",
        "SELECT writer, sequence, state, index_hash, snapshot FROM attempt ORDER BY sequence",
        "SELECT id, sequence, entries FROM source ORDER BY id",
    )
    with vault.database.reading() as left, database.reading() as right:
        for query in queries:
            assert left.rows(query) == right.rows(query), query
    writer = vault.worker.writer_id
    assert fresh.knows(written[1].hash, writer, 2)
    assert not fresh.knows(written[1].hash, writer, 1)
    assert not fresh.knows("0" * 64, writer, 2)
    assert fresh.tally() == vault.vault.tally() == {writer: (2, 3)}


def test_nothing_is_learnt_of_a_snapshot_of_which_a_pack_cannot_be_asked_for() -> None:
    vault = TestVault()
    written = vault.write({"s": tree(a=BLOB), "t": tree(b=RANDOM.randbytes(24 << 20))})
    last = sorted(objects_of(vault, "packs"))[-1]

    def silent(method: str, key: str, number: int) -> Fault | None:
        return Fault.FAIL_BEFORE if (method, key) == ("get", last) else None

    places = {name: MisbehavingLocation(one, silent) for name, one in vault.locations.items()}
    database = open_sqlite(None)
    with Copies(places) as copies:
        placement = FullCopies(copies)
        fresh = Vault(vault.place, placement, database, vault.worker, vault.token)
        with pytest.raises(LocationUnavailable):
            vault.learn(written, fresh)
    with database.reading() as db:
        for table in ("attempt", "pack", "segment", "chunk"):
            assert db.rows(f"SELECT count(*) FROM {table}") == [(0,)]


def test_another_writers_segments_are_learnt_for_reading_only() -> None:
    vault = TestVault()
    written = vault.write({"s": tree(a=TEXT)})
    other = WorkerKeys(b"\x08" * 32, vault.worker.structure, b"\x09" * 32)
    rebuilt = Vault(vault.place, FullCopies(vault.copies), open_sqlite(None), other, vault.token)
    vault.learn(written, rebuilt)
    assert vault.restore(written, "s", rebuilt).files == {b"a": TEXT}
    with rebuilt.write(lambda _: None) as writer:
        outcome = writer.add(source_name("s"), tree(a=TEXT), vault.deal())
    assert outcome.new_bytes >= len(TEXT)
    report = rebuilt.read_data(structure(vault, written), vault.worker.writer_public, vault.keys)
    assert "another writer" in report.not_recomputed


def test_structure_without_restoring() -> None:
    vault = TestVault()
    written = vault.write({"s": tree(a=TEXT)})
    parsed = structure(vault, written)
    assert parsed.source(source_id("s")).plain_bytes == len(TEXT)
    assert parsed.client.name == "Ann"
    with pytest.raises(UsageError):
        parsed.source("0" * 32)
    with pytest.raises(Damaged, match="no key of session"):
        bring_back(vault.vault, parsed, source_id("s"), {}, ListTarget())


def test_wrong_keys_of_a_class_are_refused() -> None:
    vault = TestVault("high")
    with vault.vault.write(lambda _: None) as writer, pytest.raises(UsageError):
        writer.add(source_name("s"), tree(a=b"x"), SessionKeys("1" * 32, b"k" * 32, None))


def test_a_missing_session_key_is_named() -> None:
    vault = TestVault()
    first = vault.write({"s": tree(a=BLOB)})
    second = vault.write({"s": tree(a=BLOB, b=b"new")})
    held = {one: vault.keys[one] for one in second.sessions if one not in first.sessions}
    target = ListTarget()
    with pytest.raises(Damaged):
        bring_back(vault.vault, structure(vault, second), source_id("s"), held, target)
    assert target.abandoned
    assert target.published is None


def test_gone_files_leave_the_cache_in_time() -> None:
    vault = TestVault()
    many = {b"%d" % n: b"%d" % n for n in range(1200)}
    vault.write({"s": ListSource(dict(many))})
    few = {b"0": b"0"}
    vault.write({"s": ListSource(dict(few))})
    vault.write({"s": ListSource(dict(few))})
    with vault.database.reading() as db:
        assert db.rows("SELECT count(*) FROM file") == [(1,)]


def test_many_sources_share_a_pack() -> None:
    vault = TestVault()
    written = vault.write({f"s{n}": tree(a=b"%d" % n * 50) for n in range(20)})
    assert len(objects_of(vault, "packs")) == 1
    assert len(written.sessions) == 20
    assert vault.restore(written, "s7").files == {b"a": b"7" * 50}


def test_live_bytes_count_overlaps_once() -> None:
    vault = TestVault()
    half = BLOB[: 6 << 16]
    vault.write({"s": ListSource({b"f": half}, profile="pages-65536")})
    vault.write(
        {"s": ListSource({b"f": half[: 1 << 17], b"g": half[: 1 << 17]}, profile="pages-65536")}
    )
    with vault.database.reading() as db:
        rows = db.rows("SELECT live_bytes, lengths FROM segment WHERE stream = 1")
    lengths = [sum(struct.unpack(f"<{len(one) // 4}I", one)) for _, one in rows]
    assert lengths == [6 << 16]
    assert [live for live, _ in rows] == [1 << 17]
    assert alive(vault) != {}


def test_counting_what_changed_counts_as_counting_everything_does() -> None:
    vault = TestVault()
    for day in range(1, 8):
        rows = [RANDOM.randbytes(1 << 16) if n % day == 0 else b"%d" % n * 9999 for n in range(20)]
        sources = {"s": ListSource({b"f": b"".join(rows)}, profile="pages-65536")}
        if day % 3:
            sources["t"] = ListSource({b"g": b"".join(rows[day:])}, profile="pages-65536")
        vault.write(sources)
    live = "SELECT number, live_bytes FROM segment ORDER BY number"
    with vault.database.transaction() as db:
        counted = db.rows(live)
        assert len({bool(alive) for _, alive in counted}) == 2, "some live and some do not"
        db.run("UPDATE segment SET live_bytes = 0")
        count_live(db, {number for number, _ in counted})
        assert db.rows(live) == counted


def test_reading_far_apart_and_again_stays_within_its_bound() -> None:
    """More segments in turn than are held: each is let go, fetched again, and right."""
    vault = TestVault()
    rows = [RANDOM.randbytes(1 << 16) for _ in range(700)]
    order = [n for step in range(3) for n in range(step, 700, 9)]
    vault.write({"s": ListSource({b"f": b"".join(rows)}, profile="pages-65536")})
    data = b"".join(rows[n] for n in order * 2)
    written = vault.write(
        {
            "s": ListSource({b"f": b"".join(rows)}, profile="pages-65536"),
            "t": ListSource({b"g": data}, profile="pages-65536"),
        }
    )
    assert written.outcomes["t"].new_bytes < 5000
    assert vault.restore(written, "t").files == {b"g": data}


def test_progress_and_totals() -> None:
    vault = TestVault()
    seen = []
    with vault.vault.write(lambda one: seen.append((one.done_bytes, one.expected_bytes))) as writer:
        writer.add(source_name("s"), tree(a=BLOB * 2), vault.deal())
        vault.finish(writer, {})
        assert seen[-1] == (len(BLOB) * 2, len(BLOB) * 2)
        assert len(seen) > 1
        assert writer.read_bytes == len(BLOB) * 2
        assert writer.sent_bytes == 2 * writer.stored_bytes > 2 * len(BLOB)


def test_a_target_may_leave_the_bytes_of_an_entry() -> None:
    class Picky(ListTarget):
        def write(self, entry: Entry, blocks: Iterator[bytes]) -> None:
            if entry.path == b"b":
                super().write(entry, blocks)

    vault = TestVault()
    written = vault.write({"s": tree(a=BLOB, b=TEXT)})
    target = Picky()
    bring_back(vault.vault, structure(vault, written), source_id("s"), vault.keys, target)
    assert target.files == {b"b": TEXT}
