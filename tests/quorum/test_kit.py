"""Recovery kits: the words, the sealed key table, and a custodian rebuilt from both."""

from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.crypto import signing
from strongroom.crypto.sealing import seal
from strongroom.database import Database
from strongroom.errors import Damaged, Refused, StrongroomError, UsageError
from strongroom.ids import ClientId, CustodianId, InstallId, VaultId, WriterId
from strongroom.quorum import LocalCustodian, SnapshotHeader
from strongroom.quorum.key_table import ClientEntry, IdentityEntry, newest, read_table
from strongroom.quorum.kit import ENTRY_KIND, MAGIC, EntryPlace, Kit
from strongroom.quorum.rules import Past
from tests.quorum.ordering import Orders, newcomer
from tests.quorum.world import KEK, World, resigned, seeded

PLACE = EntryPlace(InstallId("1" * 32), CustodianId("2" * 32), "identity-00000001")


@pytest.fixture
def empty() -> Iterator[Database]:
    database = open_sqlite(None)
    yield database
    database.close()


@given(st.binary(min_size=32, max_size=32))
def test_words_round_trip(secret: bytes) -> None:
    words = Kit(secret).words
    assert len(words) == 24
    assert Kit.from_words("  " + "\n".join(words).upper() + " ") == Kit(secret)


def test_words_of_bip_39() -> None:
    """The vectors of BIP-39 for 256 bits of zeros and of ones."""
    assert Kit(bytes(32)).words == ("abandon",) * 23 + ("art",)
    assert Kit(b"\xff" * 32).words == ("zoo",) * 23 + ("vote",)
    with pytest.raises(ValueError, match="32 bytes"):
        Kit(bytes(31))


def test_a_wrong_word_is_named_by_its_place_and_never_repeated() -> None:
    words = list(Kit(bytes(range(32))).words)
    with pytest.raises(UsageError, match="23 were given"):
        Kit.from_words(" ".join(words[1:]))
    wrong = [*words]
    wrong[6] = "zzsecretzz"
    with pytest.raises(UsageError, match="word 7 is not in the list") as caught:
        Kit.from_words(" ".join(wrong))
    assert "zzsecretzz" not in repr(caught.value) + str(caught.value) + caught.value.hint
    wrong[2] = "yysecretyy"
    with pytest.raises(UsageError, match="words 3, 7 are not in the list"):
        Kit.from_words(" ".join(wrong))
    swapped = [words[1], words[0], *words[2:]]
    with pytest.raises(UsageError, match="the checksum fails") as caught:
        Kit.from_words(" ".join(swapped))
    assert not any(f"{word} " in str(caught.value) for word in words if len(word) > 5)
    assert bytes(range(32)).hex() not in repr(Kit(bytes(range(32))))


def test_confirming_wipes_the_words(world: World) -> None:
    custodian = world.custodians[0]
    assert not custodian.kit_confirmed
    assert custodian.kit() == Kit(world.kit_secrets[0])
    words = custodian.kit().words
    for wrong in ({3: words[2]}, {}, {0: words[0], 1: words[0]}, {24: words[23], 25: "x"}):
        with pytest.raises(UsageError, match="two of its words"):
            custodian.confirm_kit(wrong)
    for wrong in ({3: words[3], 9: words[8]}, {3: words[2], 9: ""}, {3: "x", 9: "é" * 99}):
        with pytest.raises(UsageError, match="not those at positions 3, 9"):
            custodian.confirm_kit(wrong)
    assert not custodian.kit_confirmed
    custodian.confirm_kit({3: words[2].upper() + " ", 17: words[16]})
    confirmed: bool = custodian.kit_confirmed
    assert confirmed
    with pytest.raises(Refused, match="cannot be shown again"):
        custodian.confirm_kit({3: words[2], 17: words[16]})
    again = LocalCustodian.open(world.databases[0], KEK, world.clock, world.token)
    assert again.kit_confirmed
    with world.databases[0].reading() as transaction:
        assert transaction.rows("SELECT kit_secret_sealed FROM custodian") == [(None,)]


def test_entries_are_the_same_bytes_each_time_and_hold_no_secret(world: World) -> None:
    custodian = world.custodians[0]
    entries = custodian.kit_entries()
    assert entries == custodian.kit_entries()
    assert {path for path, _ in entries} == {
        f"{world.install}/kits/{custodian.card().id}/{name}"
        for name in ("identity-00000001", f"{world.client}-00000001")
    }
    for name, other in (("identity", world.client), (world.client, "identity")):
        (part,) = custodian.kit_entries(name)
        assert part in entries
        assert other not in part[0]
    for _, data in entries:
        assert data.startswith(b"SRKIT\x01")
        assert custodian._own.seed not in data
    # A certificate made anew or a roster adopted again adds nothing.
    custodian.enrol(world.client, world.vault, "normal", world.writer)
    custodian.adopt_roster(world.roster_envelope)
    assert custodian.kit_entries() == entries


def _all_entries(world: World) -> list[tuple[str, bytes]]:
    return [entry for custodian in world.custodians for entry in custodian.kit_entries()]


def _restored(world: World, database: Database, at: int = 0) -> LocalCustodian:
    kit = Kit.from_words(" ".join(Kit(world.kit_secrets[at]).words))
    return LocalCustodian.restore(
        database, KEK[::-1], _all_entries(world), kit, world.clock, world.token
    )


def test_a_custodian_comes_back_from_its_kit(world: World, empty: Database) -> None:
    statement, dealt = world.backed_up()
    kit = Kit(world.kit_secrets[1])
    card = world.custodians[1].card()
    found = LocalCustodian.identify(kit, _all_entries(world))
    assert found == (card.id, card.index, world.roster.id, {})
    restored = _restored(world, empty, 1)
    original = world.custodians[1]
    assert restored.card() == original.card()
    assert restored.kit_entries() == original.kit_entries()
    assert restored.kit_confirmed
    assert restored.pins() == original.pins()
    assert restored.adopt_roster(world.roster_envelope) == world.roster
    restored.adopt_policy(world.policy_envelope)
    opening = world.opening(statement)
    world.server.ledger.cosign([restored])
    for custodian in (restored, world.custodians[2]):
        opening.take(custodian.card(), custodian.release(opening.request))
    assert [inner for inner, _ in opening.complete().values()] == [dealt[0].inner]
    assert restored.kit_entries() == original.kit_entries()
    certificate = original.enrol(world.client, world.vault, "normal", world.writer)
    assert restored.enrol(world.client, world.vault, "normal", world.writer) == certificate
    with pytest.raises(StrongroomError, match="holds a custodian already"):
        _restored(world, empty, 1)


def test_the_highest_serial_counts(world: World, empty: Database) -> None:
    old = SnapshotHeader.writer_id(world.writer)
    new = signing.public_key(world.token(32))
    world.custodians[0].succeed(world.client, new, {old: 4})
    orders = Orders(world)
    second, request = orders.seat(newcomer(world))
    world.custodians[0].obey(orders.waited(request, second))
    restored = _restored(world, empty)
    assert [(one.key, one.revoked_after) for one in restored.pins()[0].writers] == [
        (world.writer, 4),
        (new, None),
    ]
    with pytest.raises(Refused, match="its kit names another roster"):
        restored.adopt_roster(world.roster_envelope)
    assert restored.adopt_roster(second).version == 2
    assert not any("identity-00000003" in path for path, _ in restored.kit_entries())


def test_a_forged_entry_is_named(world: World, empty: Database) -> None:
    entries = _all_entries(world)
    kit = Kit(world.kit_secrets[0])
    own = next(path for path, _ in world.custodians[0].kit_entries() if world.client in path)
    altered = [
        (path, data[:-1] + bytes([data[-1] ^ 1]) if path == own else data) for path, data in entries
    ]
    unreadable = LocalCustodian.identify(kit, altered)[3]
    assert list(unreadable) == [world.client]
    assert f"the kit entry {own} does not open" in str(unreadable[world.client])
    cut = [(path, data[:10] if path == own else data) for path, data in entries]
    unreadable = LocalCustodian.identify(kit, cut)[3]
    assert f"the kit entry {own} is not one" in str(unreadable[world.client])
    assert LocalCustodian.identify(kit, entries + entries)[3] == {}
    LocalCustodian.restore(empty, KEK, entries + entries, kit, world.clock, world.token)


def test_one_entry_that_nobody_reads_keeps_no_other_from_coming_back(
    world: World, empty: Database
) -> None:
    """It opens under the kit, so its custodian wrote it; what is in it is no entry's inside."""
    entries, kit = _all_entries(world), Kit(world.kit_secrets[0])
    own = EntryPlace.parse(next(path for path, _ in entries if path.endswith("identity-00000001")))
    bad = replace(own, name=f"{'e' * 32}-00000001")
    entries.append((bad.path, bad.seal(kit.key(own.install), {"writers": []}, world.token)))
    identified = LocalCustodian.identify(kit, entries)
    assert list(identified[3]) == ["e" * 32]
    restored = LocalCustodian.restore(empty, KEK, entries, kit, world.clock, world.token)
    assert restored.pins() == world.custodians[0].pins()
    refused = [(path, data) for path, data in entries if "identity" not in path]
    with pytest.raises(Damaged, match="open no custodian's key table"):
        LocalCustodian.identify(kit, refused)


POISONED: dict[str, Past] = {
    "a number that no reader takes": Past.of(0, "0" * 64, [(b"\x01" * 32, -1)]),
    "a number that is in no JSON": Past.of(0, "0" * 64, [(b"\x01" * 32, 1 << 53)]),
    "a writer twice": Past.of(0, "0" * 64, [(b"\x01" * 32, 1)] * 2),
    "the writer of now as a former one": Past.of(0, "0" * 64, [(b"\x99" * 32, 1)]),
    "a key of another length": Past.of(0, "0" * 64, [(b"\x01" * 31, 1)]),
}


@pytest.mark.parametrize("past", POISONED.values(), ids=POISONED)
def test_no_server_poisons_the_table_that_a_kit_brings_back(world: World, past: Past) -> None:
    """One client with an entry that nobody reads would stop every recovery of its custodian."""
    custodian = newcomer(world)
    custodian.adopt_roster(Orders(world).seat(custodian)[0])
    entries = custodian.kit_entries()
    with pytest.raises(StrongroomError) as caught:
        custodian.enrol(ClientId("e" * 32), VaultId("f" * 32), "normal", b"\x99" * 32, past)
    assert caught.value.code in {"refused", "usage"}
    assert (custodian.pins(), custodian.kit_entries()) == ([], entries)


@pytest.mark.parametrize("planted", ["altered", "moved", "cut", "named oddly"])
def test_a_planted_entry_beside_a_good_one_is_passed_over(
    world: World, empty: Database, planted: str
) -> None:
    """Also one under a higher serial: an entry is bound to its name, so the highest that opens."""
    entries = _all_entries(world)
    own = next(path for path, _ in world.custodians[0].kit_entries() if world.client in path)
    data = dict(entries)[own]
    extra = {
        "altered": (own, data[:-1] + bytes([data[-1] ^ 1])),
        "moved": (own[:-1] + "7", data),
        "cut": (own, data[:10]),
        "named oddly": (own.rpartition("/")[0] + "/identity-zzz", b"x"),
    }[planted]
    for together in ([*entries, extra], [extra, *entries]):
        database = open_sqlite(None)
        restored = LocalCustodian.restore(
            database, KEK, together, Kit(world.kit_secrets[0]), world.clock, world.token
        )
        assert restored.pins() == world.custodians[0].pins()
        assert dict(restored.kit_entries()) == dict(world.custodians[0].kit_entries())
        database.close()


def test_writers_are_agreed_and_adopted_by_a_custodian_that_was_away(
    world: World, empty: Database
) -> None:
    old = SnapshotHeader.writer_id(world.writer)
    new = signing.public_key(world.token(32))
    statement, keys, _ = world.snapshot()
    receipts = [custodian.ingest(statement, keys) for custodian in world.custodians]
    world.custodians[0].succeed(world.client, new, {old: 1})
    away = _restored(world, empty, 2)
    pins = [world.custodians[0].pins()[0], away.pins()[0]]
    for order in (pins, pins[::-1]):
        assert LocalCustodian.Pin.agreed(order) == pins[0].writers
    agreed = LocalCustodian.Pin.agreed(pins)
    entries = away.kit_entries()
    for _ in range(2):
        away.adopt_writers(world.client, agreed)
    pin = away.pin(world.client)
    assert pin is not None
    assert pin.writers == agreed
    assert pin.serial == 1
    assert away.kit_entries() == entries
    away.adopt_roster(world.roster_envelope)
    away.resume([receipts[2]])
    with pytest.raises(Refused, match="refuses to revoke writer"):
        away.adopt_writers(world.client, (agreed[0]._replace(revoked_after=0), agreed[1]))
    with pytest.raises(UsageError, match="not among them"):
        away.adopt_writers(world.client, agreed[1:])
    third = signing.public_key(world.token(32))
    away.succeed(world.client, third, {SnapshotHeader.writer_id(new): 0})
    assert [one.key for one in away.pins()[0].writers] == [world.writer, new, third]
    with pytest.raises(Damaged, match="contradict each other"):
        LocalCustodian.Pin.agreed([pins[0], replace(pins[1], vault_class="high")])


def test_words_of_nobody(world: World, empty: Database) -> None:
    kit = Kit(bytes(32))
    with pytest.raises(Damaged, match="the words open no custodian's key table"):
        LocalCustodian.restore(empty, KEK, _all_entries(world), kit, world.clock, world.token)


@pytest.mark.parametrize(
    "path", ["x", "a/kits/b/c", f"{'1' * 32}/keys/{'2' * 32}/x", f"{'1' * 32}/kits/{'2' * 32}/"]
)
def test_paths_that_are_not_those_of_entries(path: str) -> None:
    with pytest.raises(Damaged, match="is not the path of a kit entry"):
        EntryPlace.parse(path)


def test_the_newest_is_found_in_any_order() -> None:
    places = [replace(PLACE, name=f"identity-{serial:08d}") for serial in (2, 10, 1)]
    assert newest(places) == {"identity": (10, places[1])}


def test_names_that_no_custodian_gives() -> None:
    for name in ("identity-1", "identity-00000000", "other-00000001"):
        with pytest.raises(Damaged, match="a name that no custodian gives"):
            newest([replace(PLACE, name=name)])


def test_entries_of_a_strange_inside(world: World) -> None:
    token, key = seeded("inside"), bytes(32)
    with pytest.raises(Damaged, match="the field 'format' is missing"):
        IdentityEntry.parse(PLACE.open(key, PLACE.seal(key, {}, token)), PLACE)
    sealed = PLACE.seal(key, {}, token)
    assert PLACE.open(key, sealed) == {}
    twice = [(PLACE, PLACE.seal(key, _identity_fields(), token)) for _ in range(2)]
    with pytest.raises(Damaged, match="exists twice"):
        read_table(twice, key)
    pin = world.custodians[0].pins()[0]
    place = replace(PLACE, name=f"{pin.client}-00000002")
    fields = ClientEntry(pin, bytes(32)).to_json(PLACE.install, PLACE.custodian)
    with pytest.raises(Damaged, match="its name is not that of its client and serial"):
        ClientEntry.parse(fields, place)
    right = replace(PLACE, name=f"{pin.client}-00000001")
    with pytest.raises(Damaged, match="a key table has no identity entry"):
        read_table([(right, right.seal(key, fields, token))], key)
    for wrong in (-1, True, "1"):
        fields["writers"] = [{"key": "0" * 64, "revoked_after": wrong}]
        with pytest.raises(Damaged, match="revoked_after must be"):
            ClientEntry.parse(fields, right)


def _identity_fields() -> dict[str, object]:
    return {
        "format": "share-v1",
        "install": PLACE.install,
        "custodian": PLACE.custodian,
        "index": 1,
        "name": "one",
        "roster": "0" * 64,
        "seed": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "created_at": "2026-01-01T00:00:00.000000Z",
    }


def test_an_entry_that_is_not_json() -> None:

    salt = bytes(16)
    sealed = seal(bytes(32), ENTRY_KIND, salt, PLACE._context(), b"{")
    with pytest.raises(Damaged, match="cannot be read"):
        PLACE.open(bytes(32), MAGIC + salt + sealed)


def test_receipts_bring_a_rebuilt_custodian_to_where_it_stood(
    world: World, empty: Database
) -> None:
    statement, keys, _ = world.snapshot()
    receipts = [custodian.ingest(statement, keys) for custodian in world.custodians]
    restored = _restored(world, empty)
    restored.adopt_roster(world.roster_envelope)
    restored.resume([receipts[0], receipts[0]])
    assert restored.standing(world.vault).hash == statement.hash.hex()
    later, later_keys, _ = world.snapshot()
    restored.ingest(later, later_keys)
    with pytest.raises(Damaged, match="carries a wrong signature"):
        restored.resume([receipts[1]])
    seed = world.custodians[0]._own.seed
    elsewhere = resigned(receipts[0], seed, "receipt", {"install": "a" * 32})
    with pytest.raises(Damaged, match="is not one of"):
        restored.resume([elsewhere])
    stranger = resigned(receipts[0], seed, "receipt", {"writer": WriterId("a" * 32)})
    with pytest.raises(Refused, match="is not pinned"):
        restored.resume([stranger])
