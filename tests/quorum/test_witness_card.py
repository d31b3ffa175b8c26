"""The witness at a custodian's side: one key for good, certified, and nobody else's."""

from contextlib import closing

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.crypto.envelope import sign_envelope
from strongroom.errors import Damaged
from strongroom.quorum import LocalCustodian
from strongroom.quorum.kit import Kit
from tests.quorum.world import KEK, World


def test_a_witness_keeps_its_key_over_restarts(world: World) -> None:
    card = world.custodians[0].witness_card()
    again = LocalCustodian.open(world.databases[0], KEK, world.clock, world.token)
    assert again.witness_card().encode() == card.encode()
    assert again.witness.key == world.custodians[0].witness.key
    assert world.roster.check_witness(card).key == again.witness.key


def test_every_custodian_has_a_witness_key_of_its_own(world: World) -> None:
    keys = {custodian.witness.key.public for custodian in world.custodians}
    identities = {custodian.card().identity for custodian in world.custodians}
    assert len(keys) == len(world.custodians)
    assert not keys & identities


def test_a_custodian_from_its_kit_has_another_witness_key(world: World) -> None:
    """What it had seen is not in the kit, so it must not vouch for it under the old key."""
    entries = world.custodians[0].kit_entries()
    with closing(open_sqlite(None)) as database:
        rebuilt = LocalCustodian.restore(
            database, KEK, entries, Kit(world.kit_secrets[0]), world.clock, world.token
        )
        assert rebuilt.witness.key != world.custodians[0].witness.key
        card = world.roster.check_witness(rebuilt.witness_card())
        assert card.key == rebuilt.witness.key


def test_a_card_signed_by_another_custodian_is_refused(world: World) -> None:
    card = world.custodians[0].witness_card()
    fields = card.statement.fields("witness-card")
    forged = sign_envelope(world.custodians[1]._own.seed, "witness-card", fields)
    with pytest.raises(Damaged, match="wrong signature"):
        world.roster.check_witness(forged)
    borrowed = sign_envelope(world.custodians[1]._own.seed, "witness-card", {**fields, "index": 2})
    with pytest.raises(Damaged, match="names another custodian"):
        world.roster.check_witness(borrowed)


def test_a_witness_key_lies_sealed(world: World) -> None:
    world.custodians[0].witness_card()
    with world.databases[0].reading() as reading:
        (sealed,) = reading.row("SELECT seed_sealed FROM witness") or ()
    assert world.custodians[0].witness._seed not in sealed
