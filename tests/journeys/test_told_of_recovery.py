"""Custodians are told of a recovery before one of them answers it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from strongroom.crypto.envelope import Envelope
from strongroom.errors import Refused
from strongroom.operations.deployment import Deployment
from strongroom.operations.reconcile import reconcile
from strongroom.operations.recover import RecoveryPlan, read_kits
from strongroom.operations.restore import RestoreRequest, restore
from strongroom.quorum import Acts
from tests.journeys.world import NORMAL, World, make_world, refused, silent
from tests.support.stand_in import StandIn


class Deaf(StandIn):
    """Is told of nothing."""

    def hear(self, request: Acts.Request, approvals: Sequence[Envelope]) -> Envelope:
        raise Refused(f"{self.card()} does not hear of {request.procedure}")


@pytest.fixture
def recovered(tmp_path: Path) -> World:
    """A home that was rebuilt from its kits, with one good snapshot."""
    world = make_world(tmp_path / "world")
    assert world.back_up().problems == []
    world.lose_home()
    named = {name: f"file://{path}" for name, path in world.locations.items()}
    kits = read_kits("\n".join(world.kits))
    world.app.recover(world.home, RecoveryPlan(named, kits, key_file=world.keys / "again.key"))
    return world


def journalled(deployment: Deployment, op: str) -> list[int]:
    """Return how many facts of an op each custodian has in its journal."""
    journals = [custodian.journal(0) for custodian in deployment.embedded()]
    return [sum(one.op == op for one in journal) for journal in journals]


def test_a_recovery_is_answered_once_a_quorum_was_told(recovered: World) -> None:
    request = RestoreRequest("latest", recovered.root / "out")
    with recovered.open() as deployment:
        # Just rebuilt, they knew no log that another one could take the place of.
        assert journalled(deployment, "recovery.heard") == [0, 0, 0]
        assert journalled(deployment, "share.released") == [1, 1, 0]
        client, custodians = deployment.registry.client(NORMAL), dict(deployment.custodians)
        deaf = {index: Deaf(custodians[index]) for index in (2, 3)}
        others = replace(deployment, custodians={**custodians, **deaf})
        err = refused(lambda: restore(others, client, request, silent))
        assert isinstance(err, Acts.Unheard)
        assert err.exit_code == 4
        assert "1 of 2 custodians needed were told of the recovery" in str(err)
        assert "custodian 3 (custodian-3) does not hear of recovery" in str(err)
        assert journalled(deployment, "recovery.heard") == [1, 0, 0]
        assert journalled(deployment, "share.released")[:2] == [1, 1]
        assert restore(deployment, client, request, silent).good
        assert journalled(deployment, "recovery.heard") == [2, 1, 1]
        assert sum(journalled(deployment, "share.released")[:2]) > 2
        # Each was announced here, so nobody prepared it elsewhere.
        assert [one.text for one in reconcile(deployment).findings] == []
