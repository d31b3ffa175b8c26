"""A share that is not what was dealt: at the locations, or in a custodian's mouth."""

import base64
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from strongroom.crypto.envelope import Envelope, decode_envelope, sign_envelope
from strongroom.crypto.scalars import from_int
from strongroom.errors import Damaged, Refused
from strongroom.operations.deployment import Deployment
from strongroom.quorum import Custodian, LocalCustodian, SnapshotHeader
from strongroom.quorum.opening import SharesAltered, TooFewShares
from strongroom.quorum.release import Release, ReleaseRequest
from tests.journeys.world import (
    HIGH,
    NORMAL,
    World,
    change_live_data,
    fresh_copy,
    keep_template,
    make_world,
    refused,
    restored_state,
)
from tests.support.stand_in import StandIn


class LyingCustodian(StandIn):
    """Answers as the custodian it wraps, signed by it, but with shares that were never dealt."""

    def __init__(self, honest: LocalCustodian, identity_seed: bytes, share: bytes) -> None:
        super().__init__(honest)
        self._identity_seed = identity_seed
        self._share = share
        self.asked = 0

    def release(self, request: ReleaseRequest) -> Envelope:
        self.asked += 1
        answer = Release.parse(self._honest.release(request), self.card())
        header = SnapshotHeader.read(request.snapshot)
        dealings = 2 if header.vault_class == "high" else 1
        wrong = [self._share] * (len(header.sessions) * dealings)
        return answer.sign(self._identity_seed, request.recipient, wrong)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two good snapshots of each client; the live data is that of the second."""
    made = make_world(tmp_path_factory.mktemp("install") / "world")
    for number in (0, 1):
        if number:
            change_live_data(made, number)
        for client in (NORMAL, HIGH):
            assert made.back_up(client).problems == []
    keep_template(made)
    return made


@pytest.fixture
def world(template: World) -> World:
    return fresh_copy(template)


def with_liars(deployment: Deployment, *indices: int) -> tuple[Deployment, list[LyingCustodian]]:
    """Return the deployment with these custodians lying, and the liars."""
    custodians: dict[int, Custodian] = dict(deployment.custodians)
    liars = []
    for honest in deployment.embedded():
        index = honest.card().index
        if index in indices:
            seed = honest._own.seed  # A liar has its own signing key; this is it.
            liars.append(LyingCustodian(honest, seed, from_int(4711 + index) + bytes(32)))
            custodians[index] = liars[-1]
    return replace(deployment, custodians=custodians), liars


@pytest.mark.parametrize("client", [NORMAL, HIGH])
@pytest.mark.parametrize("liar", [1, 2, 3])
def test_one_lying_custodian_is_outvoted(world: World, client: str, liar: int) -> None:
    with world.open() as opened:
        deployment, liars = with_liars(opened, liar)
        assert restored_state(deployment, client, world.root / "restored") == world.state()
        assert liars[0].asked == (liar < 3)
        found = deployment.registry.client(client)
        with deployment.tools.history(found.id) as history:
            named = history.facts("keys.opened")[-1].body["altered"]
    # It is on record who lied, although the restore went through without it.
    assert named == ([liar] if liar < 3 else [])


@pytest.mark.parametrize("client", [NORMAL, HIGH])
def test_a_lying_custodian_that_is_needed_is_named(world: World, client: str) -> None:
    world.custodian(3).rename(world.root / "away")
    with world.open() as opened:
        deployment, _ = with_liars(opened, 1)
        found = refused(lambda: restored_state(deployment, client, world.root / "restored"))
    assert isinstance(found, SharesAltered)
    assert found.exit_code == 40
    assert "custodian 1" in found.why
    assert "commitment" in found.why
    assert "custodian 3" in found.why
    assert "custodian 2" not in found.why


def test_two_lying_custodians_are_both_named(world: World) -> None:
    with world.open() as opened:
        deployment, _ = with_liars(opened, 1, 3)
        found = refused(lambda: restored_state(deployment, NORMAL, world.root / "restored"))
    assert isinstance(found, SharesAltered)
    assert "custodian 1" in found.why
    assert "custodian 3" in found.why


def keys_objects(world: World, location: str) -> list[Path]:
    return sorted(world.locations[location].glob("*/vaults/*/keys/*"))


def with_altered_shares(data: bytes, indices: Sequence[int]) -> tuple[dict[str, Any], bytes]:
    """Return header fields in which the sealed shares of these indices have a bit flipped."""
    envelope = decode_envelope(data, "a keys object")
    fields = envelope.statement.fields("keys")
    for dealing in fields["dealings"]:
        for index in indices:
            sealed = bytearray(base64.b64decode(dealing["shares"][index - 1]))
            sealed[-20] ^= 1
            dealing["shares"][index - 1] = base64.b64encode(sealed).decode()
    return fields, envelope.body


@pytest.mark.parametrize("client", [NORMAL, HIGH])
def test_a_sealed_share_altered_at_every_location(world: World, client: str) -> None:
    """Without the writer's key an altered share is an altered object: it is not even opened."""
    for name in world.locations:
        for path in keys_objects(world, name):
            fields, body = with_altered_shares(path.read_bytes(), [1])
            path.write_bytes(sign_envelope(bytes(32), "keys", fields, body).encode())
    found = refused(lambda: world.restore(client))
    assert isinstance(found, Damaged)
    assert "keys object" in str(found)
    assert all(name in str(found) for name in world.locations)


@pytest.mark.parametrize("client", [NORMAL, HIGH])
def test_a_sealed_share_altered_at_one_location_is_passed_over(world: World, client: str) -> None:
    for path in keys_objects(world, "loc2"):
        fields, body = with_altered_shares(path.read_bytes(), [1, 2])
        path.write_bytes(sign_envelope(bytes(32), "keys", fields, body).encode())
    for _ in range(3):  # Whichever location is asked first.
        assert world.restore(client) == world.state()


@pytest.mark.parametrize(("altered", "opens"), [([1], True), ([1, 2], False), ([2, 3], False)])
def test_a_share_altered_by_the_worker_itself(
    world: World, altered: list[int], opens: bool
) -> None:
    """The worker's key signs it, in a session of an earlier snapshot, whose hash no header has."""
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        seed = deployment.worker_keys(client).writer_seed
        with deployment.tools.history(client.id) as history:
            second = history.snapshots()[-1]
        folder = world.vault_folder("loc1", NORMAL).relative_to(world.locations["loc1"])
    place = folder / "snapshots" / second.writer / "00000002"
    record = decode_envelope((world.locations["loc1"] / place).read_bytes(), "a record")
    header = SnapshotHeader.read(record.statement)
    earlier = set(header.sessions) - {session for session, _ in header.fresh}
    assert earlier
    for root in world.locations.values():
        for session in earlier:
            path = root / folder / "keys" / session
            fields, body = with_altered_shares(path.read_bytes(), altered)
            path.write_bytes(sign_envelope(seed, "keys", fields, body).encode())
    if opens:
        assert world.restore() == world.state()
        return
    found = refused(world.restore)
    assert isinstance(found, SharesAltered)
    for index in (1, 2, 3):
        assert (f"custodian {index}" in found.why) == (index in altered)


class RefusingCustodian(LyingCustodian):
    """Witnesses as the custodian it wraps, and gives no share."""

    def release(self, request: ReleaseRequest) -> Envelope:
        raise Refused("it gives nothing away")


def test_too_few_is_not_called_altered(world: World) -> None:
    with world.open() as deployment:
        refusing: dict[int, Custodian] = {
            index: RefusingCustodian(custodian, bytes(32), bytes(32))
            for index, custodian in enumerate(deployment.embedded()[:2], 1)
        }
        others = replace(deployment, custodians={**deployment.custodians, **refusing})
        folder = world.root / "restored"
        assert isinstance(refused(lambda: restored_state(others, NORMAL, folder)), TooFewShares)
