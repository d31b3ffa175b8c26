"""Damage is refused where it is met, and named by looking for it."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.errors import Damaged, StrongroomError, UsageError
from strongroom.locations import Copies
from strongroom.placement import FullCopies
from strongroom.vault import Vault
from strongroom.vault.codec import Zstandard
from strongroom.vault.pack import PackBuilder, StreamType
from strongroom.vault.structure import Structure
from tests.support.misbehaving_location import Fault, MisbehavingLocation, always
from tests.support.vault_fixtures import (
    BLOB,
    TEXT,
    ListTarget,
    TestVault,
    bring_back,
    flip,
    objects_of,
    structure,
    tree,
)

SMALL = TestVault()


SMALL_WRITTEN = SMALL.write({"s": tree(a=b"hello")})


@pytest.mark.parametrize("part", ["packs", "index"])
@settings(max_examples=40)
@given(at=st.floats(0, 0.9999))
def test_any_altered_object_is_damaged_or_harmless(part: str, at: float) -> None:
    """A flip is refused, or lies where nobody reads and `check --read` names it."""
    vault = TestVault()
    written = vault.write({"s": tree(a=TEXT)})
    (key,) = objects_of(vault, part)
    flip(vault, key, int(at * len(vault.locations["a"].objects[key])))
    fresh = vault.open(open_sqlite(None))
    try:
        vault.learn(written, fresh)
        target = vault.restore(written, "s", fresh)
    except Damaged:
        pass
    else:
        assert target.files == {b"a": TEXT}
    report = vault.vault.check(
        [Vault.Checked(1, written.index_hash, structure(vault, written))], read=True
    )
    assert {(one.kind, one.location) for one in report.findings} == {
        ("damaged", "a"),
        ("damaged", "b"),
    }


@given(at=st.floats(0, 0.9999))
def test_any_altered_body_is_damaged(at: float) -> None:
    vault = SMALL
    body = bytearray(SMALL_WRITTEN.body)
    body[int(at * len(body))] ^= 1
    altered = replace(SMALL_WRITTEN, body=bytes(body))
    with pytest.raises((Damaged, UsageError)):
        vault.restore(altered, "s")


def test_a_body_opens_only_under_its_writer_and_sequence() -> None:
    for public, sequence in ((b"\x01" * 32, 1), (SMALL.worker.writer_public, 2)):
        with pytest.raises(Damaged):
            SMALL.vault.structure(SMALL_WRITTEN.body, public, sequence)


def test_an_index_object_of_another_sequence_is_refused() -> None:
    fresh = SMALL.open(open_sqlite(None))
    other = SMALL.vault._fetch_index
    with pytest.raises(Damaged):
        list(other(SMALL.worker.writer_public, 2, bytes.fromhex(SMALL_WRITTEN.index_hash)))
    with pytest.raises(StrongroomError):
        fresh.learn("x", SMALL_WRITTEN.body, SMALL.worker.writer_public, 1, "00" * 32)


def test_a_snapshot_without_its_index_is_named() -> None:
    vault = TestVault()
    vault.write({"s": tree(a=BLOB)})
    second = vault.write({"s": tree(a=BLOB)})
    fresh = vault.open(open_sqlite(None))
    with pytest.raises(Damaged, match="no known index"):
        vault.learn(second, fresh)
    report = fresh.check([Vault.Checked(2, second.index_hash, structure(vault, second))])
    assert [one.kind for one in report.findings] == ["unknown"]


def test_segments_damaged_at_different_locations_are_still_read() -> None:
    vault = TestVault()
    written = vault.write({"s": tree(a=BLOB)})
    (key,) = objects_of(vault, "packs")
    flip(vault, key, 1000, "a")
    flip(vault, key, 2 << 20, "b")
    assert vault.restore(written, "s").files == {b"a": BLOB}


def test_check_names_what_is_missing_short_or_gone() -> None:
    vault = TestVault()
    written = [vault.write({"s": tree(a=BLOB)}), vault.write({"s": tree(a=BLOB, b=TEXT)})]
    checked = [
        Vault.Checked(one.sequence, one.index_hash, structure(vault, one)) for one in written
    ]
    assert vault.vault.check(checked).findings == ()
    first, second = objects_of(vault, "packs")
    del vault.locations["a"].objects[first]
    vault.locations["b"].objects[second] += b"x"
    findings = vault.vault.check(checked).findings
    assert [(one.kind, one.location, one.object, one.hit) for one in findings] == [
        ("missing", "a", first, (0, 1)),
        ("damaged", "b", second, (1,)),
    ]


def test_read_data_recomputes_every_chunk_id() -> None:
    vault = TestVault()
    written = vault.write({"s": tree(a=BLOB, b=TEXT)})
    public = vault.worker.writer_public
    report = vault.vault.read_data(structure(vault, written), public, vault.keys)
    assert report.findings == ()
    assert report.not_recomputed == ""
    assert report.bytes == written.outcomes["s"].new_bytes
    (key,) = objects_of(vault, "packs")
    flip(vault, key, 1000)
    findings = vault.vault.read_data(structure(vault, written), public, vault.keys).findings
    assert len(findings) == 1
    high = TestVault("high")
    written = high.write({"s": tree(a=TEXT)})
    report = high.vault.read_data(structure(high, written), public, high.keys)
    assert "class high" in report.not_recomputed


def test_dedup_poisoning() -> None:
    """A pack whose trailer claims ids that its chunks do not have is found by reading."""
    vault = TestVault()
    written = vault.write({"s": tree(a=TEXT)})
    (key,) = objects_of(vault, "packs")
    pack = key.rpartition("/")[2]
    builder = PackBuilder()
    segments = vault.vault._trailer(pack)
    data = vault.locations["a"].objects[key]
    for one in segments:
        lied = tuple((bytes(32), length) for _, length in one.chunks)
        sealed = data[one.offset : one.offset + one.stored_bytes]
        builder.add(one.id, one.session, one.stream, sealed, lied)
    forged = builder.close(
        vault.worker.structure, vault.place.vault_bytes, vault.token, Zstandard()
    )
    for location in vault.locations.values():
        location.objects[key] = forged.data
    report = vault.vault.read_data(
        structure(vault, written), vault.worker.writer_public, vault.keys
    )
    assert len(report.findings) == len(segments)


def test_root_lies_are_refused() -> None:
    """The root names the recipe; a recipe of another digest or count is not published."""
    vault = TestVault()
    written = vault.write({"s": tree(a=b"hello")})
    parsed = structure(vault, written)
    source = parsed.sources[0]
    for lie in (
        replace_source(parsed, data=()),
        replace_source(parsed, recipe=()),
        replace_source(parsed, data=source.data * 2),
        replace_source(parsed, recipe=source.recipe * 2),
        replace_source(parsed, data=(source.data[0], 7, 1)),
    ):
        target = ListTarget()
        with pytest.raises(Damaged):
            bring_back(vault.vault, lie, source.id, vault.keys, target)
        assert target.abandoned
        assert target.published is None


def replace_source(parsed: Structure, **changes: tuple[int, ...]) -> Structure:
    source = parsed.sources[0]
    fields = {name: getattr(source, name) for name in source.__struct_fields__} | changes
    return replace(parsed, sources=(type(source)(**fields),))


def test_a_location_that_cannot_be_listed_is_told_and_the_others_are_checked() -> None:
    vault = TestVault()
    written = vault.write({"s": tree(a=TEXT)})
    checked = [Vault.Checked(1, written.index_hash, structure(vault, written))]
    for method, kind in (("list", "unknown"), ("get", "unknown")):
        bad = MisbehavingLocation(vault.locations["a"], always(method, Fault.FAIL_BEFORE))
        copies = Copies({"a": bad, "b": vault.locations["b"]})
        used = Vault(vault.place, FullCopies(copies), vault.database, vault.worker, vault.token)
        findings = used.check(checked, read=True).findings
        assert {(one.kind, one.location) for one in findings} == {(kind, "a")}


def test_a_lost_pack_is_named_by_reading_and_by_restoring() -> None:
    vault = TestVault()
    written = vault.write({"s": tree(a=TEXT)})
    (key,) = objects_of(vault, "packs")
    for location in vault.locations.values():
        del location.objects[key]
    report = vault.vault.read_data(
        structure(vault, written), vault.worker.writer_public, vault.keys
    )
    assert report.findings
    assert report.segments == 0
    with pytest.raises(StrongroomError):
        vault.restore(written, "s")
    assert vault.last_target.abandoned


def test_an_index_object_that_names_segments_a_pack_has_not_is_damaged() -> None:
    vault = TestVault()
    written = vault.write({"s": tree(a=TEXT)})
    (key,) = objects_of(vault, "packs")
    builder = PackBuilder()
    builder.add(b"other" + bytes(11), b"s" * 16, StreamType.DATA, b"x", [(b"c" * 32, 1)])
    forged = builder.close(
        vault.worker.structure, vault.place.vault_bytes, vault.token, Zstandard()
    )
    for location in vault.locations.values():
        location.objects[key] = forged.data
    with pytest.raises(Damaged, match="does not hold"):
        vault.learn(written, vault.open(open_sqlite(None)))


def test_another_index_object_of_the_same_sequence_is_refused() -> None:
    """An interrupted attempt leaves an honest, signed index object of the same number."""
    vault = TestVault()
    vault.write({"s": tree(a=BLOB)}, good=False)
    (other,) = objects_of(vault, "index")
    vault.sequence = 0
    written = vault.write({"s": tree(a=TEXT)})
    for location in vault.locations.values():
        named = vault.place.index_key(bytes.fromhex(written.index_hash))
        location.objects[named] = location.objects[other]
    with pytest.raises(Damaged, match="no good copy"):
        vault.learn(written, vault.open(open_sqlite(None)))
