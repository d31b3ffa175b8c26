"""What commands leave in a home's logs, and export, is accepted by code that we did not write."""

import json
from pathlib import Path

import pytest

from strongroom.ledger import Policy
from tests.support.first_home import FirstHome
from tests.support.foreign_verifiers import READERS, Reader
from tests.support.transcript import at_home, strongroom
from tests.support.verifier import verify


@pytest.fixture(scope="module", name="logs")
def _logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The exported logs of a home that has initialised, added a client and backed it up."""
    folder = tmp_path_factory.mktemp("foreign")
    with at_home(folder):
        FirstHome.make(folder, "one")
        exported = strongroom("ledger", "export", "--to", str(folder / "logs"))
        assert exported.code == 0, exported.err
        told = strongroom("ledger", "policy")
        assert told.code == 0, told.err
    (folder / "policy").write_text(told.out, encoding="utf-8")
    policy = Policy.parse(told.out.encode())
    logs = [path for path in (folder / "logs").iterdir() if path.is_dir()]
    for log in logs:
        origin = (log / "checkpoint").read_text(encoding="utf-8").split("\n")[0]
        keys = [key for key in policy.logs if key.name == origin]
        assert len(keys) == 1
        vkeys = "".join(f"{key}\n" for key in (*keys, *policy.witnesses.values()))
        Path(f"{log}.keys").write_text(vkeys, encoding="utf-8")
    return logs


@pytest.mark.parametrize("read", READERS)
def test_logs_of_a_home_are_accepted_by_others(read: Reader, logs: list[Path]) -> None:
    assert len(logs) == 2
    for log in logs:
        done = read(log, [0])
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["size"] >= 1
        # The log itself and three custodians.
        assert said["signatures"] == 4


def test_logs_of_a_home_are_accepted_by_the_single_file(
    logs: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    policy = logs[0].parent.parent / "policy"
    for log in logs:
        assert verify("log", log, "--policy", policy, "--strict") == 0
        assert capsys.readouterr().out.startswith("VALID: all ")
