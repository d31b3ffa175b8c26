"""Dealing anew is cut off at whatever it writes, here and at the locations, and goes on."""

from collections.abc import Callable
from pathlib import Path

import pytest

from strongroom.clients.redeals import Redeals
from strongroom.locations import Copies
from strongroom.operations.check_vault import CheckRequest, check_vault
from tests.journeys.test_enrolled_custodian import enrol, lose
from tests.journeys.test_redealt_sessions import firsts, redealt
from tests.journeys.world import NORMAL, World, make_world, silent

Call = Callable[..., None]


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    made = make_world(tmp_path / "world", clients=(NORMAL,))
    made.back_up()
    lose(made, 3)
    enrol(made)
    return made


def cut_off_before(real: Call) -> Call:
    def call(*given: object) -> None:
        raise KeyboardInterrupt

    return call


def cut_off_after(real: Call) -> Call:
    def call(*given: object) -> None:
        real(*given)
        raise KeyboardInterrupt

    return call


def only_what_is_dealt_anew(real: Call, cut_off: Call) -> Call:
    """Cut off where a redealt object or a receipt for one is placed; do all else."""

    def put(copies: Copies, key: str, data: bytes) -> None:
        (cut_off if "/redeal" in key else real)(copies, key, data)

    return put


@pytest.mark.parametrize("cut_off", [cut_off_before, cut_off_after])
def test_it_goes_on_where_a_write_was_cut_off(
    world: World, monkeypatch: pytest.MonkeyPatch, cut_off: Callable[[Call], Call]
) -> None:
    before, first = world.restore(), firsts(world, NORMAL)
    put = only_what_is_dealt_anew(Copies.put, cut_off(Copies.put))
    writes: list[tuple[type, str, Call]] = [
        (Redeals, "begin", cut_off(Redeals.begin)),
        (Copies, "put", put),
        (Redeals, "sign", cut_off(Redeals.sign)),
        (Redeals, "finish", cut_off(Redeals.finish)),
    ]
    for kind, name, cut in writes:
        with monkeypatch.context() as patch:
            patch.setattr(kind, name, cut)
            with pytest.raises(KeyboardInterrupt):
                redealt(world)
    done = redealt(world)
    assert (done.sessions + done.already, done.notes) == (2, [])
    with world.open() as deployment:
        client = deployment.registry.client(NORMAL)
        outcome = check_vault(deployment, client, CheckRequest(), silent)
    assert (outcome.problems, outcome.orphans) == ([], 0)
    lose(world, 2)
    assert world.restore(NORMAL, first) == before
