"""`strongroom ledger bundle`: what it writes is verified by one file that shares no code."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.first_home import FirstHome
from tests.support.transcript import strongroom
from tests.support.verifier import verify

PATH = "evidence.zip"


def told(*arguments: str, code: int = 0) -> Any:
    done = strongroom(*arguments, "--json")
    assert done.code == code, done
    return json.loads(done.out)


def facts(*arguments: str) -> list[str]:
    """Return the ids of the facts that a search of the client's log finds."""
    return [one["fact"] for one in told("ledger", "search", *arguments, "--client", "acme")]


def bundle(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = told("ledger", "bundle", "--client", "acme", "--to", PATH, *arguments)
    return found


@pytest.fixture(name="policy")
def _policy(first: FirstHome, tmp_path: Path) -> Path:
    path = tmp_path / "policy"
    path.write_text(told("ledger", "policy", "--client", "acme")["policy"], encoding="utf-8")
    return path


def test_bundle_is_verified_by_the_policy_of_the_home(
    policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written, added = facts("op:backup.written")[0], facts("op:source.added")[0]
    found = bundle("--fact", written, "--fact", added[:12])
    assert (found["facts"], found["disclosed"]) == (2, 0)
    assert verify("bundle", PATH, "--policy", policy, "--strict") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("VALID: all 2 facts are in the log, and enough witnesses cosigned it.")
    assert "url: not disclosed, or erased" in shown
    assert facts("op:ledger.bundled"), "the log tells of the bundle"


def test_private_values_are_disclosed_only_by_name(
    policy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = bundle("--fact", facts("op:source.added")[0], "--disclose", "url")
    assert found["disclosed"] == 1
    assert verify("bundle", PATH, "--policy", policy) == 0
    shown = capsys.readouterr().out
    assert "  url: file:///" in shown
    assert "  name: not disclosed, or erased" in shown


def test_policy_of_somebody_else_believes_nothing(policy: Path) -> None:
    bundle("--fact", facts("op:source.added")[0])
    lines = policy.read_text("utf-8").splitlines()
    server = told("ledger", "policy")["policy"].splitlines()
    other = [line for line in server if line.startswith("log ") and line not in lines]
    assert other
    kept = [line for line in lines if not line.startswith("log ")]
    policy.write_text("\n".join([other[0], *kept]) + "\n", encoding="utf-8")
    assert verify("bundle", PATH, "--policy", policy) == 40


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--fact", "00000000"), "there is no one fact 00000000 in this log"),
        (("--fact", "0000"), "is not the id of a fact"),
        (("--fact", "no such"), "is not the id of a fact"),
    ],
)
@pytest.mark.usefixtures("first")
def test_fact_that_is_not_there_is_named(arguments: tuple[str, ...], why: str) -> None:
    done = strongroom("ledger", "bundle", "--client", "acme", "--to", PATH, *arguments)
    assert (done.code, Path(PATH).exists()) == (2, False)
    assert why in done.err


@pytest.mark.usefixtures("first")
def test_refused_bundle_leaves_no_file_and_tells_nothing() -> None:
    added = facts("op:source.added")[0]
    asked = ("ledger", "bundle", "--client", "acme", "--fact", added)
    done = strongroom(*asked, "--to", PATH, "--disclose", "salary")
    assert (done.code, Path(PATH).exists()) == (2, False)
    assert "there is nothing to disclose of salary" in done.err
    Path(PATH).write_bytes(b"mine")
    assert "is there already" in strongroom(*asked, "--to", PATH).err
    assert Path(PATH).read_bytes() == b"mine"
    assert facts("op:ledger.bundled") == []
