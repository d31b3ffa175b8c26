"""What waits is listed with its command, what can never be done is over, and every end is one."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.clock import SystemClock
from tests.support.transcript import Done, at_home, strongroom


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Make a home in which one person decides, and one location is to be removed."""
    folder = tmp_path_factory.mktemp("waiting")
    with at_home(folder):
        assert run("init --location one --location two").code == 0
        (folder / "notes").mkdir()
        (folder / "notes" / "today.txt").write_text("Buy locks.", encoding="utf-8")
        assert run("client add acme --source notes").code == 0
        assert run("backup acme").code == 0
        assert run("location remove two --yes").code == 5
        yield folder


def run(line: str) -> Done:
    return strongroom(*line.split())


def later(monkeypatch: pytest.MonkeyPatch, hours: int) -> None:
    real = SystemClock.now
    monkeypatch.setattr(SystemClock, "now", lambda self: real(self) + timedelta(hours=hours))


def test_status_lists_what_waits_with_who_until_when_and_the_command(folder: Path) -> None:
    (one,) = json.loads(run("status --json").out)["pending"]
    assert (one["procedure"], one["command"]) == ("location-removal", "location remove two")
    told = run("status").out
    for part in (
        one["request"][:8],
        "1 of 1 approvals",
        "forget location two",
        "asked by the operator ",
    ):
        assert part in told
    assert "location remove two\n" in told


def test_a_location_that_is_not_there_is_said_before_anybody_is_asked(folder: Path) -> None:
    done = run("location remove nope")
    assert (done.code, "there is no location 'nope'" in done.err) == (2, True), done.err


def test_one_client_and_all_of_them_end_alike(folder: Path) -> None:
    one, every = (
        run(f"custodian rotate custodian-1 {whose}") for whose in ("--client acme", "--all")
    )
    assert (one.code, every.code) == (5, 5)
    # Of one it is the only line; of all each is named.
    assert one.err.startswith("waiting: ")
    assert every.err.startswith("waiting: acme: ")
    hint = one.err.splitlines()[1]
    assert hint.startswith("hint:  ")
    assert hint in every.err
    (row,) = json.loads(run("custodian rotate custodian-1 --all --json").out)
    assert (row["client"], row["code"]) == ("acme", "veto_time")
    away = folder / "home" / "custodians" / "custodian-3"
    away.rename(folder / "away")
    try:
        ends = [run(f"custodian rotate custodian-3 {how}") for how in ("--client acme", "--all")]
    finally:
        (folder / "away").rename(away)
    assert [done.code for done in ends] == [1, 1]
    assert all("when it answers; nothing was done" in done.err for done in ends)


def test_a_newcomer_of_one_seat_is_asked_no_code_for_another(folder: Path) -> None:
    assert run("custodian enrol custodian-4 --replaces custodian-3").code == 5
    done = run("custodian enrol custodian-4 --replaces custodian-2")
    assert (done.code, "is to take the seat of custodian-3 already" in done.err) == (2, True)
    commands = [one["command"] for one in json.loads(run("status --json").out)["pending"]]
    assert "custodian enrol custodian-4 --replaces custodian-3" in commands
    assert run("procedure withdraw latest").code == 0


def test_an_order_that_is_not_complete_has_one_shape_for_machines(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the last here: under the policy that follows, what was asked before is over."""
    assert run("policy sign --to next --delay-hours 30").code == 0
    assert run("policy change next").code == 5
    (command,) = {
        one["command"]
        for one in json.loads(run("status --json").out)["pending"]
        if one["procedure"] == "policy-change"
    }
    assert command == "policy change FILE"
    away = folder / "home" / "custodians" / "custodian-3"
    away.rename(folder / "away")
    later(monkeypatch, 25)
    done = run("policy change next --json")
    (folder / "away").rename(away)
    assert (done.code, done.out) == (3, ""), done
    assert "custodian 3 (custodian-3): " in json.loads(done.err)["error"]["why"]
    done = run("policy change --json")
    assert (done.code, done.err) == (0, ""), done
    assert json.loads(done.out)["followed_by"] == ["custodian-1", "custodian-2", "custodian-3"]
    assert run("procedure list").out == "Nothing is asked for.\n"
    assert "ended (other_policy)" in run("procedure list --all").out
    assert json.loads(run("status --json").out)["pending"] == []


def test_each_command_that_signs_takes_the_passphrase_from_a_file(tmp_path: Path) -> None:
    with at_home(tmp_path):
        Path("pass").write_text("correct horse battery", encoding="utf-8")
        assert run("init --location one --location two --passphrase-file pass").code == 0
        refused = run("location remove two --yes")
        assert (refused.code, "pass --passphrase-file" in refused.err) == (4, True), refused.err
        for line in (
            "location remove two --yes",
            "custodian enrol custodian-4 --replaces custodian-3",
            "policy sign --to next --delay-hours 2",
            "policy change next",
        ):
            done = run(f"{line} --passphrase-file pass")
            assert done.code in (0, 5), (line, done.err)
