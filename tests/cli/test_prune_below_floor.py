"""More than half of a vault goes only when that was asked for and has waited."""

import json
import secrets
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.clock import SystemClock
from tests.cli.test_procedure import run
from tests.support.transcript import at_home


def snapshots() -> list[str]:
    return [one["snapshot"] for one in json.loads(run("snapshots acme --json").out)]


def test_what_was_asked_for_goes_after_a_day_and_nothing_that_came_since(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with at_home(tmp_path):
        assert run("init --location one").code == 0
        Path("notes").mkdir()
        assert run("client add acme --source notes --keep 1d0w0m1f").code == 0
        for _ in range(3):
            Path("notes/large").write_bytes(secrets.token_bytes(300_000))
            assert run("backup acme").code == 0
        known = snapshots()
        refused = run("vault prune acme")
        assert (refused.code, "vault prune acme --below-floor" in refused.err) == (4, True)
        waits = run("vault prune acme --below-floor")
        assert (waits.code, "must wait" in waits.err) == (5, True), waits.err
        assert run("vault prune acme --below-floor --dry-run").code == 4
        (asked,) = json.loads(run("procedure list --json").out)
        assert (asked["procedure"], asked["client"]) == ("prune-below-floor", "acme")
        Path("notes/large").write_bytes(b"small by now")
        assert run("backup acme").code == 0
        assert set(known) < set(snapshots())
        real = SystemClock.now
        monkeypatch.setattr(SystemClock, "now", lambda self: real(self) + timedelta(hours=25))
        done = run("vault prune acme --below-floor --json")
        assert done.code == 0, done.err
        went = json.loads(done.out)["snapshots"]
        assert len(went) == 2
        assert set(went) < set(known)
        assert json.loads(run("procedure list --json").out) == []
        assert run("restore acme --to back").code == 0
