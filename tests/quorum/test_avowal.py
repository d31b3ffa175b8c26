"""Shares proved again: what a custodian opens when asked, and what its word is checked for."""

import json
from collections.abc import Sequence

import pytest

from strongroom.crypto.envelope import Statement, decode_envelope
from strongroom.errors import Damaged, Refused, UsageError
from strongroom.ids import ClientId, new_id
from strongroom.quorum.avowal import KEYS_MAX, Avowal
from strongroom.quorum.key_table import ClientPin, PinnedWriter
from tests.quorum.world import World, resigned, seeded
from tests.vectors import build_avowal_v1 as vector

CHALLENGE = "5c" * 32


def kept(world: World, sessions: int = 2) -> list[Statement]:
    """Return keys objects that every custodian has receipted."""
    statement, _ = world.backed_up(sessions)
    return list(world.opening(statement).request.keys)


def prove(world: World, keys: Sequence[Statement], index: int = 1) -> Avowal:
    envelope = world.custodians[index - 1].prove(CHALLENGE, keys)
    return world.roster.check_avowal(envelope, CHALLENGE, keys)


def test_a_avowal_is_made_as_it_was_frozen() -> None:
    frozen = json.loads(vector.PATH.read_text(encoding="utf-8"))
    assert vector.build() == frozen
    assert Avowal.read(decode_envelope(bytes.fromhex(frozen["envelope"]), "it")) == vector.AVOWAL


@pytest.mark.parametrize("vault_class", ["normal", "high"])
def test_every_dealing_of_every_session_is_proved(vault_class: str) -> None:
    world = World(vault_class="high" if vault_class == "high" else "normal")
    keys = kept(world)
    for index in (1, 2, 3):
        avowal = prove(world, keys, index)
        assert avowal.index == index
        assert len(avowal.shares) == 2 * (1 + (vault_class == "high"))
    world.close()


def test_what_a_revoked_writer_dealt_is_still_proved(world: World) -> None:
    keys = kept(world)
    revoked = {PinnedWriter(world.writer).id: 1}
    world.custodians[0].succeed(world.client, bytes(range(32)), revoked)
    assert len(prove(world, keys).shares) == 2


def test_nothing_is_written_by_proving(world: World) -> None:
    keys = kept(world)
    before = world.custodians[0].journal(0)
    prove(world, keys)
    assert world.custodians[0].journal(0) == before


# -- named attacks


def test_replayed_avowal(world: World) -> None:
    """An avowal of another time or of other sessions proves nothing."""
    keys = kept(world)
    old = world.custodians[0].prove("ab" * 32, keys)
    with pytest.raises(Damaged, match="the avowal of custodian 1 is an old one"):
        world.roster.check_avowal(old, CHALLENGE, keys)
    some = world.custodians[0].prove(CHALLENGE, keys[:1])
    with pytest.raises(Damaged, match="2 shares were asked for, it tells of 1"):
        world.roster.check_avowal(some, CHALLENGE, keys)
    with pytest.raises(Damaged, match="not about what was asked"):
        world.roster.check_avowal(some, CHALLENGE, keys[1:])


def test_forged_avowal(world: World) -> None:
    """Only the member itself can say what it holds."""
    keys = kept(world)
    good = world.custodians[0].prove(CHALLENGE, keys)
    other = resigned(good, world.custodians[1]._own.seed, "avowal", {})
    with pytest.raises(Damaged, match="wrong signature"):
        world.roster.check_avowal(other, CHALLENGE, keys)
    elsewhere = {"client": new_id(seeded("another"))}
    moved = resigned(good, world.custodians[0]._own.seed, "avowal", elsewhere)
    with pytest.raises(Damaged, match="not about what was asked"):
        world.roster.check_avowal(moved, CHALLENGE, keys)


def test_planted_keys_object(world: World) -> None:
    """A custodian opens nothing that no writer of the client has signed."""
    keys = kept(world)
    planted = resigned(world.deal().keys_object, bytes(32), "keys", {}).statement
    with pytest.raises(Damaged, match="no writer pinned for client"):
        prove(world, [keys[0], planted])


def test_a_seed_that_is_gone_is_found(world: World) -> None:
    keys = kept(world)
    world.lose_seed(2)
    prove(world, keys, 1)
    with pytest.raises(Damaged, match=r"custodian 2 .* does not open"):
        prove(world, keys, 2)


def test_what_cannot_be_asked_is_refused(world: World) -> None:
    keys = kept(world, 1)
    custodian = world.custodians[0]
    with pytest.raises(UsageError, match="0 keys objects cannot be asked for"):
        custodian.prove(CHALLENGE, [])
    with pytest.raises(UsageError, match="65 keys objects"):
        custodian.prove(CHALLENGE, keys * (KEYS_MAX + 1))
    with pytest.raises(Damaged, match="the challenge"):
        custodian.prove("short", keys)
    stranger = world.deal(world.label(client=ClientId("0" * 32))).keys_object.statement
    with pytest.raises(Refused, match="does not know client"):
        custodian.prove(CHALLENGE, [stranger])
    with pytest.raises(Refused, match="another install, client, vault or class"):
        custodian.prove(CHALLENGE, [keys[0], stranger])
    more = world.label(members=9)
    world.client_keys *= 3
    assert isinstance(custodian.pin(world.client), ClientPin)
    assert len(prove(world, [world.deal(more).keys_object.statement]).shares) == 1
