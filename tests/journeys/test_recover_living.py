"""The server is lost, its custodians live: another joins them, and a team lets it open keys."""

import hashlib
import json
import secrets
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from strongroom.app import App
from strongroom.clock import SystemClock
from strongroom.crypto import signing
from strongroom.errors import StrongroomError
from strongroom.operations.late_custodians import forget_shown
from strongroom.operations.policies import Team
from strongroom.operations.requesting import take
from strongroom.operations.set_up import InstallPlan, set_up
from strongroom.quorum import Acts
from tests.journeys.test_custodians_elsewhere import NAMES, Custodians, custodians
from tests.support.served_custodian import CUSTODIANS
from tests.support.transcript import at_home, strongroom

pytestmark = pytest.mark.loopback
SEEDS = [secrets.token_bytes(32) for _ in range(3)]


@dataclass(frozen=True, slots=True)
class Install:
    """A team's home with one client, and three custodians elsewhere."""

    folder: Path
    three: Custodians

    def run(self, line: str, *, code: int = 0) -> Any:
        """Run a command that ends so; return what it shows, or its error."""
        done = strongroom("--json", *line.split())
        assert done.code == code, done.out + done.err
        return json.loads(done.out or done.err)

    def write(self, text: str) -> None:
        (self.folder / "notes" / "today.txt").write_text(text, encoding="utf-8")

    def approve(self, number: int = -1) -> Acts.Procedure:
        """Have two approvers sign what was asked for last, or as this one; return what that was."""
        with App().open(self.folder / "home") as deployment:
            request = deployment.desk.acts()[number].request
            for seed in SEEDS[:2]:
                word = Acts.Approval.sign(seed, request, "approve", request.not_before)
                take(deployment, word)
            return request.procedure

    def restored(self) -> str:
        """Restore as a team does; return what came back."""
        self.run("restore acme --to back", code=5)
        assert self.approve() is Acts.Procedure.RESTORE
        self.run("restore acme --to back")
        found = (self.folder / "back" / "notes" / "today.txt").read_text(encoding="utf-8")
        shutil.rmtree(self.folder / "back")
        return found

    def lose_server(self) -> None:
        """Lose the machine; whoever has taken it still has the home."""
        (self.folder / "home").rename(self.folder / "stolen")

    def allow_another(self, *names: str) -> str:
        """Have these custodians wait for another server; return how they are named to it."""
        codes = []
        for name in names:
            settings = CUSTODIANS.settings(self.folder / name)
            with CUSTODIANS.open(settings, None) as opened:
                codes.append(CUSTODIANS.new_code(opened, new_server=True)[0])
            self.three.told[name].until("waits to be joined")
        (self.folder / "codes").write_text("\n".join(codes), encoding="utf-8")
        places = (f"--custodian {one}=https://127.0.0.1:{self.three.ports[one]}" for one in names)
        return f"--location one --location two {' '.join(places)} --join-codes codes"


@contextmanager
def installed(folder: Path, delay: timedelta, *, alone: bool = False) -> Iterator[Install]:
    team = None if alone else Team(tuple(signing.public_key(seed) for seed in SEEDS), 2)
    with at_home(folder), custodians(folder) as three:
        app = App()
        install = app.new_install()
        places = {name: (folder / name).as_uri() for name in ("one", "two")}
        plan = InstallPlan(
            install, "ann", 3, 2, places, elsewhere=three.invited(), team=team, delay=delay
        )
        tools, registry = app.make_home(folder / "home", install)
        set_up(tools, registry, plan)
        registry.close()
        (folder / "notes").mkdir()
        made = Install(folder, three)
        made.write("first")
        made.run("client add acme --source notes")
        made.run("backup acme")
        yield made


def test_a_lost_server_is_replaced_by_one_that_the_team_lets_in(tmp_path: Path) -> None:
    with installed(tmp_path, timedelta()) as install:
        assert install.restored() == "first"
        install.run("client add other --source notes --class high")
        install.run("backup other")
        install.lose_server()
        waits = install.run(f"recover {install.allow_another(*NAMES)}", code=5)
        assert (waits["clients"], waits["custodians_missing"], len(waits["waiting"])) == ([], [], 2)
        # Joined, and no key is open yet; asked again, the same requests wait.
        assert install.run("recover", code=5)["waiting"] == waits["waiting"]
        assert install.approve(0) is Acts.Procedure.RECOVERY
        first = install.run("recover", code=5)
        assert (len(first["clients"]), len(first["waiting"]), first["problems"]) == (1, 1, [])
        assert install.approve(1) is Acts.Procedure.RECOVERY
        second = install.run("recover")
        assert (len(second["clients"]), second["waiting"], second["problems"]) == (1, [], [])
        names = {one["name"] for found in (first, second) for one in found["clients"]}
        assert names == {"acme", "other"}
        assert install.run("recover", code=2)["error"]["what"] == "no recovery waits in this home"
        # The log keeps the name that the custodians were told of: a restore is no recovery.
        assert install.restored() == "first"
        told = install.run("status")["who_can_read"]
        assert "for what approvers approve, whose keys are not here; each opening" in told
        install.write("second")
        report = install.run("backup acme")
        assert (report["state"], report["receipts"]) == ("good", 3)
        assert install.restored() == "second"
        assert install.run("ledger verify")
        assert install.run("ledger reconcile")
        # Who took the old machine has its badge, and nobody there believes its authority.
        with App().open(tmp_path / "stolen") as deployment:
            assert sorted(deployment.absent_custodians) == [1, 2, 3]


def test_what_fails_at_the_end_goes_on_without_another_approval(tmp_path: Path) -> None:
    with installed(tmp_path, timedelta()) as install:
        assert install.restored() == "first"
        install.lose_server()
        install.run(f"recover {install.allow_another(*NAMES)}", code=5)
        install.approve()
        with closing(sqlite3.connect(tmp_path / "home" / "server.db")) as connection, connection:
            connection.execute(
                "CREATE TRIGGER full BEFORE INSERT ON client "
                "BEGIN SELECT RAISE (ABORT, 'the disk is full'); END"
            )
        assert strongroom("recover").code == 1
        with closing(sqlite3.connect(tmp_path / "home" / "server.db")) as connection, connection:
            connection.execute("DROP TRIGGER full")
        found = install.run("recover")
        assert [(one["name"], one["sources"]) for one in found["clients"]] == [("acme", 1)]
        assert (found["problems"], found["waiting"]) == ([], [])
        assert install.restored() == "first"
        install.write("second")
        assert install.run("backup acme")["receipts"] == 3
        assert install.run("ledger verify")


class Later(SystemClock):
    """The machine's clock, when what was approved has expired."""

    def now(self) -> datetime:
        return super().now() + timedelta(days=30)


def test_who_was_away_at_the_end_of_a_recovery_is_brought_in_later(tmp_path: Path) -> None:
    """It follows the lost home's writer: it signs for nothing here, and accuses nobody.

    `recover` shows it what was approved, for a client that has begun here and for one that has not.
    """
    with installed(tmp_path, timedelta()) as install:
        install.run("client add other --source notes --class high")
        install.run("backup other")
        install.lose_server()
        install.run(f"recover {install.allow_another(*NAMES)}", code=5)
        install.approve(0)
        install.approve(1)
        install.three.stop("berta")
        install.run("recover")
        install.three.start("berta")
        report = install.run("backup acme")
        assert (report["state"], report["receipts"]) == ("good", 2)
        assert "it was away from the recovery" in str(report)
        (warning,) = [one for one in install.run("status")["warnings"] if "was away" in one]
        assert warning.startswith("custodian 2 (berta) was away from the recovery of acme, other")
        assert warning.endswith("`strongroom recover` brings it in")
        found = install.run("recover")
        assert (found["waiting"], found["problems"], found["clients"]) == ([], [], [])
        assert found["custodians_brought_in"] == [
            f"custodian 2 (berta) follows this home for {name}" for name in ("acme", "other")
        ]
        # Nobody was asked to approve anything, and all three sign for all there is.
        for name in ("acme", "other"):
            report = install.run(f"backup {name}")
            assert (report["state"], report["receipts"], report["warnings"]) == ("good", 3, [])
        assert "was away" not in str(install.run("status")["warnings"])
        assert install.run("ledger reconcile")
        assert install.run("recover", code=2)["error"]["what"] == "no recovery waits in this home"
        install.three.stop("clara")
        assert install.restored() == "first"
        install.three.close()
        error = install.run("recover", code=1)["error"]
        assert error["what"] == "nobody can say which recoveries wait here"


def test_who_was_away_until_a_recovery_has_expired_needs_another_one(tmp_path: Path) -> None:
    with installed(tmp_path, timedelta()) as install:
        install.lose_server()
        install.run(f"recover {install.allow_another(*NAMES)}", code=5)
        install.approve()
        install.three.stop("berta")
        install.run("recover")
        install.three.start("berta")
        install.run("backup acme")
        with App().open(tmp_path / "home") as deployment:
            forget_shown(deployment)
            assert deployment.tools.secrets.names("shown-")
            forget_shown(replace(deployment, tools=replace(deployment.tools, clock=Later())))
            assert not deployment.tools.secrets.names("shown-")
        for _ in range(2):
            (waits,) = install.run("recover", code=5)["waiting"]
            assert "recovery waits for approval" in waits["what"]
        assert install.approve() is Acts.Procedure.RECOVERY
        with App().open(tmp_path / "home") as deployment:
            act, kept = deployment.desk.acts()[-1], deployment.tools.secrets
            plan = " ".join(act.parcel.plan.lines)
            assert "bring custodian 2 (berta), which was away" in plan
            assert "nobody can read that: this server has forgotten the key to it" in plan
            # Whoever takes the server now has an approved request, and no key that reads answers.
            assert act.request.wanted is not None
            assert not kept.names("recipient-")
            (shown,) = (kept.read(name) for name in kept.names("shown-"))
            assert hashlib.sha256(shown).hexdigest() == act.request.wanted.recipient
        found = install.run("recover")
        assert found["custodians_brought_in"] == ["custodian 2 (berta) follows this home for acme"]
        assert install.run("backup acme")["receipts"] == 3
        assert install.run("ledger reconcile")


def test_where_one_person_decided_it_needs_kits(tmp_path: Path) -> None:
    """The key that approves went with the server; the custodians can be let to another again."""
    with installed(tmp_path, timedelta(), alone=True) as install:
        install.lose_server()
        for _ in range(2):
            refused = install.run(f"recover {install.allow_another(*NAMES)}", code=1)["error"]
            assert refused["code"] == "left_joined"
            assert "nobody can approve this recovery" in refused["why"]
            assert "join-code --new-server" in refused["hint"]
            assert not (tmp_path / "home").exists()


def test_a_recovery_that_was_begun_in_vain_is_noted(tmp_path: Path) -> None:
    """Custodians joined a home that no log can tell of, and nobody accuses them of it for ever."""
    with installed(tmp_path, timedelta()) as install:
        install.lose_server()
        install.run(f"recover {install.allow_another(*NAMES)}", code=5)
        (tmp_path / "home").rename(tmp_path / "lost at once")
        install.run(f"recover {install.allow_another(*NAMES)}", code=5)
        install.approve()
        install.run("recover", code=3)
        found = install.run("ledger reconcile")
        assert found["findings"] == []
        for name, note in zip(NAMES, found["notes"], strict=True):
            assert f"({name}) took another server on" in note


def test_a_recovery_of_custodians_that_live_waits_for_its_delay(tmp_path: Path) -> None:
    with installed(tmp_path, timedelta(hours=24)) as install:
        assert install.restored() == "first"
        install.lose_server()
        install.run(f"recover {install.allow_another('anna', 'clara')}", code=5)
        install.approve()
        found = install.run("recover", code=5)
        assert found["custodians_missing"] == ["berta"]
        assert "any approver may refuse it until" in str(found["waiting"])
        with App().open(tmp_path / "home") as deployment:
            journals = [one.journal(0) for one in deployment.custodians.values()]
            client = next(iter(deployment.custodians.values())).pins()[0].client
            for custodian in deployment.custodians.values():
                with pytest.raises(StrongroomError) as caught:
                    custodian.replace_writer(client, secrets.token_bytes(32), {})
                assert caught.value.code == "not_recovered"
        assert [[one.op for one in journal].count("recovery.heard") for journal in journals] == [
            1,
            1,
        ]
