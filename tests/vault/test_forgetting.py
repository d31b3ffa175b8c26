"""What is to be deleted is never built upon again, and what is deleted is forgotten."""

from strongroom.vault.index import Index
from tests.support.vault_fixtures import BLOB, ListSource, TestVault

TOMB = "7" * 64


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
        vault.vault.forgetting.retire(TOMB, packs, ())
        assert not any(Index(vault.database).usable(numbers).values())
        assert vault.vault.forgetting.retired_by() == {TOMB}
    again = vault.write({"s": ListSource({b"f": BLOB[:200_000]})})
    # The very same bytes are stored anew, and the new copy stands on nothing that goes.
    assert again.outcomes["s"].new_bytes >= 200_000
    assert set(vault.vault.forgetting.pack_index()) > set(packs)


def test_the_sessions_that_go_are_retired_wherever_their_segments_lie() -> None:
    vault, numbers, _ = stored()
    vault.vault.forgetting.retire(TOMB, (), vault.vault.forgetting.sessions())
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
