"""What is to be deleted is never built upon again, and what is deleted is forgotten."""

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.vault.index import Index
from tests.support.vault_fixtures import BLOB, TEXT, ListSource, TestVault, objects_of, tree

TOMB = "7" * 64
FILES = {b"a": BLOB, b"b": TEXT}


def stored() -> tuple[TestVault, frozenset[int], list[str]]:
    """Return a vault with one good snapshot, its usable segments, and its packs."""
    vault = TestVault()
    vault.write({"s": ListSource({b"f": BLOB[:200_000]})})
    usable = Index(vault.database).usable(range(1, 200))
    numbers = frozenset(number for number, ok in usable.items() if ok)
    assert numbers
    return vault, numbers, list(vault.vault.forgetting.pack_index())


def test_what_is_retired_is_never_used_for_dedup_again() -> None:
    vault, numbers, packs = stored()
    for _ in range(2):
        vault.vault.forgetting.retire((TOMB,), packs, ())
        assert not any(Index(vault.database).usable(numbers).values())
        assert vault.vault.forgetting.retired_by() == {TOMB}
    again = vault.write({"s": ListSource({b"f": BLOB[:200_000]})})
    # The very same bytes are stored anew, and the new copy stands on nothing that goes.
    assert again.outcomes["s"].new_bytes >= 200_000
    assert set(vault.vault.forgetting.pack_index()) > set(packs)


def test_the_sessions_that_go_are_retired_wherever_their_segments_lie() -> None:
    vault, numbers, _ = stored()
    vault.vault.forgetting.retire((TOMB,), (), vault.vault.forgetting.sessions())
    assert not any(Index(vault.database).usable(numbers).values())


def test_what_is_deleted_is_forgotten() -> None:
    vault, numbers, packs = stored()
    index = Index(vault.database)
    assert not index.is_empty()
    for _ in range(2):
        vault.vault.forgetting.drop(packs, ())
        assert index.is_empty()
        assert not any(index.usable(numbers).values())
        assert vault.vault.forgetting.pack_index() == {}


def source() -> ListSource:
    return tree(a=BLOB, b=TEXT)


def lose_packs(vault: TestVault) -> list[str]:
    """Delete every pack at every location; return their ids."""
    packs = objects_of(vault, "packs")
    for location in vault.locations.values():
        for key in packs:
            del location.objects[key]
    return [key.rpartition("/")[2] for key in packs]


def test_a_retired_pack_is_still_read_and_its_data_stored_anew_once() -> None:
    vault = TestVault()
    first = vault.write({"s": source()})
    assert vault.write({"s": source()}).outcomes["s"].new_bytes == 0
    packs = [key.rpartition("/")[2] for key in objects_of(vault, "packs")]
    vault.vault.forgetting.retire(packs, packs)
    assert vault.vault.forgetting.retired_by() == frozenset(packs)
    assert vault.restore(first, "s").files == FILES
    again = source()
    anew = vault.write({"s": again})
    assert again.reads == [b"a", b"b"], "files that are remembered in it are read again"
    assert anew.outcomes["s"].new_bytes == first.outcomes["s"].new_bytes
    for location in vault.locations.values():
        for key in [key for key in location.objects if key.endswith(tuple(packs))]:
            del location.objects[key]
    assert vault.restore(anew, "s").files == FILES
    later = vault.write({"s": source()})
    assert later.outcomes["s"].new_bytes == 0
    assert vault.restore(later, "s").files == FILES


def test_a_pack_that_cannot_be_had_is_learnt_for_reading_only() -> None:
    vault = TestVault()
    first = vault.write({"s": source()})
    lose_packs(vault)
    vault.vault = vault.open(open_sqlite(None))
    vault.learn(first)
    anew = vault.write({"s": source()})
    assert anew.outcomes["s"].new_bytes == first.outcomes["s"].new_bytes
    assert vault.restore(anew, "s").files == FILES
