"""Custodians elsewhere, a team that approves: what a stolen one held is dealt anew over TLS."""

import json
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from secrets import token_bytes

import pytest

from strongroom.app import App
from strongroom.crypto import signing
from strongroom.operations.policies import Team
from strongroom.operations.requesting import take
from strongroom.operations.set_up import InstallPlan, set_up
from strongroom.quorum import Acts
from tests.journeys.test_custodians_elsewhere import Custodians, custodians, done
from tests.journeys.test_enrolled_elsewhere import newcomer
from tests.support.first_home import make_database
from tests.support.transcript import at_home

pytestmark = pytest.mark.loopback
APPROVERS = [token_bytes(32) for _ in range(2)]


def begin(folder: Path, three: Custodians) -> None:
    """Make a home whose team waits for no time, and back one client up twice."""
    app = App()
    plan = InstallPlan(
        app.new_install(),
        "ann",
        3,
        2,
        {name: (folder / name).as_uri() for name in ("one", "two")},
        elsewhere=three.invited(),
        delay=timedelta(),
        team=Team(tuple(signing.public_key(seed) for seed in APPROVERS), 1),
    )
    tools, registry = app.make_home(folder / "home", plan.install)
    set_up(tools, registry, plan)
    registry.close()
    make_database(folder / "app.db")
    (folder / "notes").write_text("Buy locks.", encoding="utf-8")
    done(0, "client", "add", "acme", "--source", "app.db")
    done(0, "backup", "acme")
    done(0, "source", "add", "acme", "notes")
    done(0, "backup", "acme")


def approve(folder: Path) -> str:
    """Approve what was asked for last, on somebody's own machine; return its id."""
    with App().open(folder / "home") as deployment:
        asked = deployment.desk.find("latest").request
        take(deployment, Acts.Approval.sign(APPROVERS[1], asked, "approve", asked.not_before))
        return asked.request


def test_a_team_has_dealt_anew_what_a_stolen_custodian_held(tmp_path: Path) -> None:
    with at_home(tmp_path), custodians(tmp_path) as three, ExitStack() as running:
        begin(tmp_path, three)
        three.stop("berta")
        who = newcomer(tmp_path, running)
        done(5, "custodian", "enrol", who, "--replaces", "berta", "--join-code", "code")
        approve(tmp_path)
        done(0, "custodian", "enrol", who, "--replaces", "berta")
        redeal = ("custodian", "redeal", "berta")
        asked = done(5, *redeal)
        assert "custodian-redeal waits for approval" in asked.err
        shown = plain(done(0, "procedure", "show", "latest").out)
        assert "this process opens every key of every client meanwhile, one at a time" in shown
        assert "with what berta held and what 1 of the others of that time hold" in shown
        request = approve(tmp_path)
        # Who could open it is away: nothing is done, and the same request goes on later.
        three.stop("clara")
        missed = done(3, *redeal)
        assert "0 sessions were dealt anew" in missed.err
        assert "client acme: 3 sessions open as before" in missed.err
        three.start("clara")
        assert "3 sessions dealt anew to roster version 2; 0 " in done(0, *redeal).out
        with App().open(tmp_path / "home") as deployment:
            client = deployment.registry.client("acme")
            with deployment.tools.history(client.id) as history:
                told = history.facts("session.redealt")
            sessions = sorted(fact.subject for fact in told)
            assert len(set(sessions)) == 3
            for fact in told:
                assert (fact.body["request"], fact.body["version"]) == (request, 2)
                assert fact.body["signed"] == [1, 2, 3]
            journals = [one.journal(0) for one in deployment.custodians.values()]
        for op, by in (("share.reopened", (1, 3)), ("share.reheld", (1, 2, 3))):
            for index, journal in enumerate(journals, 1):
                named = {one.subject for one in journal if one.op == op}
                assert sorted(named) == (sessions if index in by else [])
        assert "has its seat since" not in done(0, "status").out
        done(0, "ledger", "reconcile")
        # The newcomer opens it with any other.
        three.stop("clara")
        done(5, "restore", "acme", "--to", "back")
        approve(tmp_path)
        done(0, "restore", "acme", "--to", "back")
        assert (tmp_path / "back" / "notes").exists()
        done(5, *redeal)
        approve(tmp_path)
        again = json.loads(done(0, "--json", *redeal).out)
        assert again == {
            "custodian": "berta",
            "version": 2,
            "sessions": 0,
            "already": 3,
            "notes": [],
        }


def plain(text: str) -> str:
    """Return a text without the ends of its lines."""
    return " ".join(text.split())
