"""Something else lies where what a session was dealt anew with should."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from secrets import token_bytes

import pytest

from strongroom.crypto.envelope import decode_envelope, sign_envelope
from strongroom.crypto.sealing import SALT_BYTES, seal
from strongroom.operations.look_at_custodians import find_member
from strongroom.operations.rotate import drop_former, rotate
from strongroom.quorum import Dealing, dealing
from strongroom.quorum.shares import draw_secret
from tests.journeys.test_enrolled_custodian import enrol, lose
from tests.journeys.test_redealt_sessions import redealt
from tests.journeys.test_rescue import rescued
from tests.journeys.world import (
    HIGH,
    NORMAL,
    LiveState,
    World,
    fresh_copy,
    keep_template,
    make_world,
)

Writing = Callable[[Path, bytes], None]


@pytest.fixture(scope="module", name="template")
def _template(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, str]:
    """Two clients that were dealt anew to a newcomer, and the words of its kit."""
    made = make_world(tmp_path_factory.mktemp("install") / "world", clients=(NORMAL, HIGH))
    for client in (NORMAL, HIGH):
        made.back_up(client)
    lose(made, 3)
    _, words = enrol(made)
    redealt(made)
    keep_template(made)
    return made, words


@pytest.fixture(name="world")
def _world(template: tuple[World, str]) -> World:
    return fresh_copy(template[0])


def plant(world: World, client: str, version: int) -> None:
    """Put at the first location what a thief makes who has all that the server has.

    It is signed by the writer, dealt to the custodians, and what they open gives a key.
    """
    with world.open() as deployment:
        found = deployment.registry.client(client)
        keys = deployment.worker_keys(found)
        with deployment.tools.history(found.id) as history:
            certificates = history.client_keys()
        publics = [
            deployment.rosters.check_client_key(
                decode_envelope(certificates[member.index], "a certificate")
            ).public
            for member in deployment.roster.members
        ]
    vault = world.vault_folder("loc1", client)
    for path in (vault / "keys").iterdir():
        first = Dealing.parse(decode_envelope(path.read_bytes(), "keys").statement)
        label = replace(first.label, roster_id="ab" * 32)
        secrets = [draw_secret(token_bytes) for _ in first.parts]
        parts = [
            dealing._deal_one(label, number, secret, publics, token_bytes)
            for number, secret in enumerate(secrets, 1)
        ]
        inner, salt = dealing._content_key(first.label, 1, secrets[0]), token_bytes(SALT_BYTES)
        place = dealing._place(label)
        body = salt + seal(inner, dealing.STRUCTURE_KIND, salt, place, keys.structure)
        fields = {**dealing._header(label, parts), "redealt": first.first.to_json()}
        planted = vault / "redealt" / f"{version:08}" / path.name
        planted.parent.mkdir(exist_ok=True)
        planted.unlink(missing_ok=True)
        planted.write_bytes(sign_envelope(keys.writer_seed, "keys", fields, body).encode())


def opened(world: World, client: str, *kits: str) -> LiveState:
    path = world.root / "kits"
    path.write_text("\n".join(kits), "utf-8")
    return rescued(world, client, "--kits", str(path))


@pytest.mark.parametrize("client", [NORMAL, HIGH])
def test_what_a_writer_alone_dealt_anew_stops_no_rescue(
    world: World, template: tuple[World, str], client: str
) -> None:
    words, wanted = template[1], world.restore(client)
    plant(world, client, 99)
    assert opened(world, client, *world.kits[:2]) == wanted
    assert opened(world, client, world.kits[0], words) == wanted
    # In the very place of what custodians have signed for, which another location has.
    plant(world, client, 2)
    assert opened(world, client, world.kits[0], words) == wanted


@pytest.mark.parametrize("client", [NORMAL, HIGH])
def test_what_lost_its_receipts_is_opened_where_nothing_else_can_be(
    world: World, template: tuple[World, str], client: str
) -> None:
    words, wanted = template[1], world.restore(client)
    for place in world.locations:
        for path in world.vault_folder(place, client).glob("redeal-receipts/*/*/*"):
            path.unlink()
    plant(world, client, 99)
    assert opened(world, client, world.kits[0], words) == wanted


def test_no_former_key_goes_that_is_needed_where_what_was_dealt_anew_is_damaged(
    world: World,
) -> None:
    """What was dealt first is whole and needs it, and is all that is left."""
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        member = find_member(deployment, "custodian-1")
        assert rotate(deployment, client, member).former == 1
    for place in world.locations:
        for path in world.vault_folder(place, NORMAL).glob("redealt/*/*"):
            path.unlink()
            path.write_bytes(b"damaged")
    with world.open() as deployment:
        key = drop_former(deployment, client, member)
    assert (key.former, key.dropped) == (1, 0)
    assert len(key.notes) == 2
    assert all("/redealt/00000002/" in note for note in key.notes)
    # The newcomer has no share of it: custodian-1 is needed.
    assert world.restore() == world.state()
