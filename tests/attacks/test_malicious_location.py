"""What locations can do with keys objects, rosters and policies: hide them, and be named for it.

Locations that lie beside an honest one cost nothing: what they show is judged by signature, by hash
and by place. All of them together keep backups from being opened, and put nothing in their place.
"""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.crypto import signing
from strongroom.crypto.envelope import decode_envelope
from strongroom.operations.fill_locations import repair_client
from strongroom.quorum import Acts, Roster
from tests.journeys.world import (
    HIGH,
    NORMAL,
    World,
    change_live_data,
    fresh_copy,
    keep_template,
    make_world,
    refused,
)

STRANGER = bytes([83]) * 32
KINDS = {"keys": "*/vaults/*/keys/*", "roster": "*/roster/*", "policy": "*/policy/*"}


@pytest.fixture(name="template", scope="module")
def _template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Two snapshots of one client, one of the other."""
    made = make_world(tmp_path_factory.mktemp("install") / "world")
    assert made.back_up().problems == []
    change_live_data(made, 1)
    assert made.back_up().problems == []
    assert made.back_up(HIGH).problems == []
    keep_template(made)
    return made


@pytest.fixture(name="world")
def _world(template: World) -> World:
    return fresh_copy(template)


def objects(world: World, kind: str, location: str) -> list[Path]:
    found = sorted(world.locations[location].glob(KINDS[kind]))
    assert found
    return found


def alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def replace(path: Path) -> None:
    """Put a good object of its kind there, that is of another place or of another hand."""
    (kind,) = (kind for kind, pattern in KINDS.items() if path.match(pattern))
    path.write_bytes(_FOREIGN[kind](path))


def hide(path: Path) -> None:
    path.unlink()


def another_session(path: Path) -> bytes:
    """Return the keys object of another session, true in every byte."""
    others = sorted(path.parents[3].glob("vaults/*/keys/*"))
    return others[(others.index(path) + 1) % len(others)].read_bytes()


def another_roster(path: Path) -> bytes:
    roster = Roster.parse(decode_envelope(path.read_bytes(), "the roster"), None)
    return Roster.sign(
        STRANGER, roster.install, roster.threshold, roster.members, 1, roster.created_at
    ).encode()


def another_policy(path: Path) -> bytes:
    policy = Acts.Policy.parse(decode_envelope(path.read_bytes(), "the policy"))
    key = signing.public_key(STRANGER)
    rules = Acts.Policy.single_rules()
    draft = Acts.Policy.Draft(policy.install, "single", policy.cosignatures, [key], rules)
    return Acts.Policy.sign(STRANGER, draft, policy.created_at).encode()


_FOREIGN = {"keys": another_session, "roster": another_roster, "policy": another_policy}
Lie = Callable[[Path], None]
LIES: dict[str, Lie] = {"altered": alter, "foreign": replace, "missing": hide}


@pytest.mark.parametrize("kind", KINDS)
def test_locations_that_lie_beside_one_that_does_not(world: World, kind: str) -> None:
    """Two of three lie, each in its way, to the home that is there and to one that is made anew."""
    for location, lie in (("loc1", "altered"), ("loc2", "foreign")):
        for path in objects(world, kind, location):
            LIES[lie](path)
    assert world.restore() == world.state()
    assert world.restore(HIGH) == world.state()
    world.lose_home()
    _, damaged = world.recover(world.kits[:2])
    assert "loc3" not in damaged
    assert world.restore() == world.state()


@pytest.mark.parametrize(
    ("lie", "code"), [("altered", "damaged"), ("foreign", "damaged"), ("missing", "object_missing")]
)
def test_all_locations_lie_about_keys(world: World, lie: str, code: str) -> None:
    for location in world.locations:
        for path in objects(world, "keys", location):
            LIES[lie](path)
    assert refused(world.restore).code == code
    world.lose_home()
    assert refused(lambda: world.recover(world.kits[:2])).code == code


@pytest.mark.parametrize("lie", LIES)
def test_all_locations_lie_about_the_roster(world: World, lie: str) -> None:
    """The home has its own, and the kits name it: nobody else's is taken."""
    for location in world.locations:
        for path in objects(world, "roster", location):
            LIES[lie](path)
    assert world.restore() == world.state()
    world.lose_home()
    found = refused(lambda: world.recover(world.kits[:2]))
    assert found.code == "damaged"
    assert "no location has the roster that the kits name" in str(found)


def test_all_locations_show_another_policy(world: World) -> None:
    """Kits stand above it, and the custodians of a living home have pinned theirs."""
    for location in world.locations:
        for path in objects(world, "policy", location):
            replace(path)
    assert world.restore() == world.state()
    world.lose_home()
    world.recover(world.kits[:2])
    with world.open() as deployment:
        policies = [decode_envelope(one, "a policy") for one, _ in deployment.registry.policies()]
    stranger = signing.public_key(STRANGER)
    assert stranger not in {Acts.Policy.parse(one).signer for one in policies}


def approved_by_a_stranger(before: Acts.Policy, policy: str) -> Acts.PolicyChange:
    """Return what is to show that a policy was approved; a stranger approves it."""
    at = before.created_at
    request = Acts.Request(
        install=before.install,
        request="71" * 16,
        procedure=Acts.Procedure.POLICY_CHANGE,
        params={"policy": policy, "version": 2},
        client=None,
        wanted=None,
        plan=None,
        requester="72" * 16,
        origin=f"{before.install}.ledger.invalid/{'73' * 16}",
        policy=before.id,
        not_before=at,
        expires=at + timedelta(days=1),
        nonce="74" * 16,
    )
    return Acts.PolicyChange(request, (Acts.Approval.sign(STRANGER, request, "approve", at),), ())


def test_what_one_location_plants_is_not_spread(world: World) -> None:
    """Policies of strangers, rightly named by their hash, one of them after the true one."""
    (path,) = objects(world, "policy", "loc1")
    true = Acts.Policy.parse(decode_envelope(path.read_bytes(), "the policy"))
    next_one = Acts.Policy.Draft(
        true.install,
        "single",
        true.cosignatures,
        [signing.public_key(STRANGER)],
        Acts.Policy.single_rules(),
        true,
    )
    following = Acts.Policy.sign(STRANGER, next_one, true.created_at).encode()
    names = []
    for planted in (another_policy(path), following):
        names.append(decode_envelope(planted, "a policy").statement.hash.hex())
        path.with_name(names[-1]).write_bytes(planted)
    # Nor what says that somebody has approved them.
    changes = path.parent.with_name("policy-changes")
    changes.mkdir()
    for name in (*names, true.id):
        (changes / name).write_bytes(approved_by_a_stranger(true, name).encode())

    def mended() -> None:
        with world.open() as deployment:
            repair_client(deployment, deployment.registry.client(NORMAL))
        for location in ("loc2", "loc3"):
            (only,) = objects(world, "policy", location)
            assert only.name == true.id
            assert not only.parent.with_name("policy-changes").exists()

    mended()
    # A home that was recovered has not the policies of before, and knows its own all the same.
    world.lose_home()
    world.recover(world.kits[:2])
    world.back_up()
    mended()
    objects(world, "policy", "loc2")[0].unlink()
    mended()
