"""A custodian that is a server of its own is stolen, and another server takes its seat."""

import json
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.crypto.certificates import read_leaf
from strongroom.operations.set_up import InstallPlan, set_up
from tests.journeys.test_custodians_elsewhere import Custodians, custodians, done, places
from tests.support import served_custodian
from tests.support.first_home import make_database
from tests.support.transcript import at_home

pytestmark = pytest.mark.loopback

ENROL = ("custodian", "enrol")


def begin(folder: Path, three: Custodians, hours: int = 0) -> None:
    """Make a home as `init` does, whose custodians wait so long with what is dangerous."""
    app = App()
    urls = {name: (folder / name).as_uri() for name in ("one", "two")}
    plan = InstallPlan(
        app.new_install(),
        "ann",
        3,
        2,
        urls,
        elsewhere=three.invited(),
        delay=timedelta(hours=hours),
    )
    tools, registry = app.make_home(folder / "home", plan.install)
    set_up(tools, registry, plan)
    registry.close()
    make_database(folder / "app.db")
    done(0, "client", "add", "acme", "--source", "app.db")
    done(0, "backup", "acme")


def newcomer(folder: Path, running: ExitStack) -> str:
    """Make another custodian that waits; return how a command names it."""
    made = served_custodian.make(folder / "dora")
    port, _ = running.enter_context(served_custodian.served(folder / "dora"))
    (folder / "code").write_text(made.code)
    return f"dora=https://127.0.0.1:{port}"


def test_another_server_takes_the_seat_of_a_stolen_one(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three, ExitStack() as running:
        begin(tmp_path, three)
        stolen = places(tmp_path / "home")[2]
        three.stop("berta")
        who = newcomer(tmp_path, running)
        given = (*ENROL, who, "--replaces", "berta", "--join-code", "code")
        shown = json.loads(done(0, "--json", *given).out)
        assert (shown["index"], shown["replaces"], shown["kits"]) == (2, "berta", [])
        assert (shown["roster_version"], shown["seated"], shown["problems"]) == (2, True, [])
        listed = done(0, "custodian", "list").out
        assert listed.count("answers") == 3
        assert "dora" in listed
        assert "berta" not in listed
        with App().open(tmp_path / "home") as deployment:
            denied = [f for f in deployment.registry.facts() if f.op == "network.denied"]
        assert [fact.subject for fact in denied] == [f"{read_leaf(stolen).serial:032x}"]
        make_database(tmp_path / "other.db")
        done(0, "source", "add", "acme", "other.db")
        backup = json.loads(done(0, "--json", "backup", "acme").out)
        assert (backup["state"], backup["receipts"], backup["receipts_of"]) == ("good", 3, 3)
        done(0, "restore", "acme", "--to", "back")
        done(0, "vault", "check", "acme")
        done(0, "ledger", "verify")
        done(0, "ledger", "reconcile")
        # The same command again finds it in its seat.
        again = json.loads(done(0, "--json", *given).out)
        assert (again["roster_version"], again["seated"]) == (2, True)
        told = plain(done(0, "status").out)
        assert "what was kept before that is opened by the others alone" in told


def test_it_waits_its_day_and_backups_go_on(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three, ExitStack() as running:
        begin(tmp_path, three, hours=24)
        three.stop("berta")
        who = newcomer(tmp_path, running)
        given = (*ENROL, who, "--replaces", "berta")
        # Nobody is joined whom nobody invited, or who sits already.
        (tmp_path / "wrong").write_text(three.codes["anna"])
        done(4, *given, "--join-code", "wrong")
        done(2, *ENROL, who, "--replaces", "nobody", "--join-code", "code")
        taken = f"dora=https://127.0.0.1:{three.ports['anna']}"
        refused = done(2, *ENROL, taken, "--replaces", "berta", "--join-code", "code")
        assert "a custodian is at" in refused.err
        assert "dora has no URL" in done(2, *ENROL, "dora", "--replaces", "berta").err
        with App().open(tmp_path / "home") as deployment:
            assert deployment.registry.rosters.newcomers() == {}
        waits = done(5, *given, "--join-code", "code")
        assert "any approver may refuse it until" in waits.err
        # It is joined, so its code is asked for no more.
        assert "any approver may refuse it until" in done(5, *given).err
        assert "dora waits for the seat of berta" in plain(done(0, "status").out)
        backup = json.loads(done(0, "--json", "backup", "acme").out)
        assert (backup["state"], backup["receipts"]) == ("good", 2)
        other = done(2, *ENROL, "emil=https://127.0.0.1:9", "--replaces", "berta").err
        assert "dora is to take that seat already" in other


def plain(text: str) -> str:
    """Return a text without the ends of its lines."""
    return " ".join(text.split())
