"""Custodians in trouble: no wrong release, no lost backup, and it is said who and why.

Each custodian is served over mutual TLS and met through a proxy. Whatever the network, the clock or
the disk of one does, two of three go on; without two, backups are kept as pending and nothing is
opened; when they are back, what is missing is collected.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.clock import SystemClock
from strongroom.errors import StrongroomError
from strongroom.operations.tell_status import tell_status
from tests.faults.proxy import CLEAR, Cut, Parted, Silent, Slow, Trouble
from tests.journeys.world import NORMAL, World, change_live_data, make_world, refused
from tests.support.apart_custodians import Apart, Skewed, apart

TEN_MINUTES = timedelta(minutes=10)
WHO = "custodian 3 (custodian-3): "
UNSIGNED = (
    "custodian 3 (custodian-3) answers and has not signed for the newest good snapshot of "
    f"{NORMAL}; the next backup says why, or collects it"
)


def unsigned(install: Apart) -> list[str]:
    """Return what status warns of who has not signed."""
    with install.open() as deployment:
        return [told for told in tell_status(deployment).warnings if "has not signed" in told]


@pytest.fixture(name="world")
def _world(tmp_path: Path) -> World:
    return make_world(tmp_path / "world", clients=(NORMAL,))


@pytest.fixture(name="install")
def _install(world: World) -> Iterator[Apart]:
    with apart(world) as made:
        yield made


def names(trouble: Trouble) -> str:
    return repr(trouble).replace("after_bytes=", "").replace("seconds=", "")


@pytest.mark.parametrize("trouble", [Silent(), Slow(60), Parted(), Cut(2_500)], ids=names)
def test_one_in_trouble_stops_nothing_and_is_named(install: Apart, trouble: Trouble) -> None:
    world = install.world
    before = install.back_up(NORMAL)
    assert (before.state, before.receipts, before.problems) == ("good", 3, [])
    install.make(trouble, 3)
    change_live_data(world, 1)
    during = install.back_up(NORMAL)
    assert (during.state, during.receipts) == ("good", 2)
    assert during.problems == []
    assert [told for told in during.warnings if WHO in told] == during.warnings != []
    assert install.restore(NORMAL) == world.state()
    install.make(CLEAR)
    assert unsigned(install) == [UNSIGNED]
    after = install.back_up(NORMAL)
    assert (after.state, after.receipts, after.problems) == ("good", 3, [])
    assert unsigned(install) == []


@pytest.mark.parametrize("trouble", [Silent(), Parted()], ids=names)
def test_two_in_trouble_keep_backups_pending_and_open_nothing(
    install: Apart, trouble: Trouble
) -> None:
    world = install.world
    kept = world.state()
    assert install.back_up(NORMAL).state == "good"
    install.make(trouble, 2, 3)
    change_live_data(world, 1)
    during = install.back_up(NORMAL)
    assert (during.state, during.receipts) == ("pending", 1)
    error = refused(lambda: install.restore(NORMAL))
    assert error.why
    install.make(CLEAR)
    assert install.restore(NORMAL) == kept
    after = install.back_up(NORMAL)
    assert (after.state, after.receipts, after.problems) == ("good", 3, [])
    assert install.restore(NORMAL, during.snapshot) == world.state()
    assert install.restore(NORMAL) == world.state()


def test_cut_anywhere_a_backup_counts_and_a_restore_is_right_or_refused(install: Apart) -> None:
    """Within a handshake, between questions, in the middle of a receipt or of a release."""
    world = install.world
    receipts: set[int] = set()
    restored: set[bool] = set()
    for number, after_bytes in enumerate((500, 2_000, 3_500, 20_000)):
        install.make(Cut(after_bytes), 2, 3)
        (world.tree / "fresh").write_bytes(b"%d" % number)
        receipts.add(install.back_up(NORMAL).receipts)
        install.make(CLEAR)
        assert install.back_up(NORMAL).receipts == 3
        install.make(Cut(after_bytes), 2, 3)
        try:
            assert install.restore(NORMAL) == world.state()
            restored.add(True)
        except StrongroomError:
            restored.add(False)
    assert receipts >= {1, 3}
    assert restored == {False, True}


@pytest.mark.parametrize("skew", [TEN_MINUTES, -TEN_MINUTES], ids=["ahead", "behind"])
def test_ten_minutes_of_skew_on_one_custodian(world: World, skew: timedelta) -> None:
    with apart(world, lambda index: Skewed(skew if index == 2 else timedelta())) as install:
        begun = SystemClock().now()
        report = install.back_up(NORMAL)
        assert (report.state, report.receipts, report.problems) == ("good", 3, [])
        assert install.restore(NORMAL) == world.state()
        with install.open() as deployment:
            client = deployment.registry.client(NORMAL)
            with deployment.tools.history(client.id) as history:
                newest = history.newest_good()
        # One clock that is wrong does not move the time by which snapshots are kept.
        assert newest is not None
        assert newest.received_at is not None
        assert begun <= newest.received_at <= SystemClock().now()


def test_full_disk_of_a_custodian(install: Apart) -> None:
    world, full = install.world, install.seats[3].database
    assert install.back_up(NORMAL).receipts == 3
    with full.transaction() as transaction:
        (pages,) = transaction.rows("PRAGMA page_count")[0]
        transaction.rows(f"PRAGMA max_page_count = {pages}")
    for number in range(1, 40):
        (world.tree / "fresh").write_bytes(b"%d" % number)
        during = install.back_up(NORMAL)
        assert during.state == "good"
        if during.receipts == 2:
            break
    else:
        raise AssertionError("forty backups fit into the pages that were there")
    assert "the disk is full" in "; ".join(during.warnings)
    assert unsigned(install) == [UNSIGNED]
    assert install.restore(NORMAL) == world.state()
    with full.transaction() as transaction:
        transaction.rows("PRAGMA max_page_count = 1000000")
    after = install.back_up(NORMAL)
    assert (after.state, after.receipts, after.problems) == ("good", 3, [])
    assert install.restore(NORMAL) == world.state()
