"""Somebody has what a worker keeps: it writes, and it neither opens nor changes what is kept.

No worker is a process of its own yet: its keys lie in the home. A custodian knows the role all the
same, and what that may ask is asked here with a badge as the authority would give it.
"""

import secrets
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from strongroom.adapters.custodians.remote import remote_custodian
from strongroom.clock import SystemClock
from strongroom.crypto import signing
from strongroom.errors import Refused
from strongroom.ids import VaultId
from strongroom.quorum import SnapshotHeader
from strongroom.quorum.wire import AskedCustodian, Wire
from strongroom.transport import Authority, Badge, Link, Peer
from strongroom.transport.peer import Role
from tests.attacks.theft import CLIENT, Install, Thief, code_of, installed, thief_of
from tests.journeys.test_custodians_elsewhere import NAMES
from tests.support.peers import PATIENCE_SECONDS, badge_of, somebody

pytestmark = pytest.mark.loopback
MAY_ASK = {
    "card",
    "ingest",
    "standing",
    "witness-add-checkpoints",
    "witness-card",
    "witness-evidence",
    "witness-latest",
    "witness-monitor",
    "witness-registered",
}
"""What a worker needs to have a snapshot receipted and its log witnessed, and nothing else."""


@pytest.fixture(name="install", scope="module")
def _install(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Install]:
    with installed(tmp_path_factory.mktemp("worker")) as made:
        yield made


@pytest.fixture(name="home", scope="module")
def _home(install: Install) -> Iterator[Thief]:
    """The home, for what a worker has of it: client, keys, snapshots."""
    with thief_of(install.stolen("copy")) as home:
        yield home


@pytest.fixture(name="authority", scope="module")
def _authority(home: Thief) -> Authority:
    secret = home.deployment.tools.secrets.read("authority")
    return Authority.open(home.deployment.install, secret)


def link_of(install: Install, home: Thief, badge: Badge) -> Link:
    """Return a link to the first custodian."""
    member = home.deployment.roster.member(1)
    address = ("127.0.0.1", install.three.ports[NAMES[0]])
    return Link(address, badge, Peer.custodian(member.id), SystemClock(), PATIENCE_SECONDS)


@pytest.fixture(name="link", scope="module")
def _link(install: Install, home: Thief, authority: Authority) -> Iterator[Link]:
    """The way of a worker to the first custodian."""
    with link_of(install, home, badge_of(authority, somebody(Role.WORKER))) as link:
        yield link


@pytest.fixture(name="asked", scope="module")
def _asked(home: Thief, link: Link) -> AskedCustodian:
    return remote_custodian(link, home.deployment.roster.member(1))


def test_a_worker_is_heard_about_what_it_writes_and_nothing_else(link: Link) -> None:
    """A question that is heard is malformed here; one that is not is not even read."""
    heard = set()
    for name in (*Wire.NAMES, "badge", "deny-list"):
        response = link.ask("PUT", f"/v1/{name}", b"x")
        if response.status == 403:
            err = Wire.read_report(response.body, "custodian 1")
            assert isinstance(err, Refused)
            assert (err.code, "only the server may" in str(err)) == ("refused", True)
        else:
            assert response.status == 422
            heard.add(name)
    assert heard == MAY_ASK


def test_a_worker_opens_nothing(home: Thief, asked: AskedCustodian) -> None:
    """Not with a request that the server would be answered, and not by asking for less."""
    opening = home.wish()
    statement, keys = home.snapshot()
    before = home.done()
    for action in (
        partial(asked.release, opening.request),
        partial(asked.prove, "5c" * 32, keys),
        partial(asked.journal, 0),
        partial(asked.kit_entries),
        partial(asked.adopt_policy, home.policy_envelope),
        partial(asked.enrol, home.client.id, home.client.vault, "normal", bytes(32)),
    ):
        assert code_of(action) == "refused"
    assert home.done() == before
    assert asked.standing(home.client.vault).hash == statement.hash.hex()


def test_a_stolen_writers_key_rewrites_nothing(home: Thief, asked: AskedCustodian) -> None:
    """It signs what comes next, as its owner would; what has a receipt stays what it is."""
    seed = home.deployment.worker_keys(home.client).writer_seed
    newest, _ = home.snapshot()
    header = SnapshotHeader.read(newest)
    earlier = SnapshotHeader.read(home.snapshot(0)[0])

    def refused(header: SnapshotHeader, seed: bytes = seed, **changes: Any) -> str:
        forged = replace(header, **changes).sign(seed, b"forged").statement
        return code_of(partial(asked.ingest, forged, []))

    assert refused(header) == "stale"
    assert refused(earlier) == "stale"
    after = replace(header, sequence=header.sequence + 1, previous=newest.hash.hex(), fresh=())
    assert refused(after, previous=header.previous) == "stale"
    assert refused(after, sequence=after.sequence + 1) == "refused"
    assert refused(after, vault=VaultId("ab" * 16)) == "refused"
    assert refused(after, install="ab" * 16) == "refused"
    own = secrets.token_bytes(32)
    writer = SnapshotHeader.writer_id(signing.public_key(own))
    assert refused(after, own, writer=writer) == "refused"
    assert asked.standing(home.client.vault).hash == newest.hash.hex()


def test_what_a_stolen_writers_key_adds_is_found_by_its_owner(
    install: Install, home: Thief, asked: AskedCustodian
) -> None:
    """One snapshot of the thief's, receipted: the true worker's next one meets another history."""
    seed = home.deployment.worker_keys(home.client).writer_seed
    newest, _ = home.snapshot()
    header = SnapshotHeader.read(newest)
    after = replace(header, sequence=header.sequence + 1, previous=newest.hash.hex(), fresh=())
    receipt = asked.ingest(after.sign(seed, b"forged").statement, [])
    home.deployment.roster.check_receipt(receipt)
    done = install.run(f"backup {CLIENT}", code=20)
    assert "older than what custodian 1 has signed for" in done.err
    done = install.run(f"restore {CLIENT} --to back")
    assert (install.folder / "back" / "notes" / "today.txt").read_text("utf-8") == "second"
