"""What commands leave in a home's logs is accepted by code that we did not write."""

import json
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.ledger import Log, Policy
from strongroom.ledger.note import VerifierKey
from tests.support.first_home import FirstHome
from tests.support.foreign_verifiers import READERS, Reader
from tests.support.transcript import at_home
from tests.support.verifier import verify


@pytest.fixture(scope="module", name="logs")
def _logs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The exported logs of a home that has initialised, added a client and backed it up."""
    folder = tmp_path_factory.mktemp("foreign")
    with at_home(folder):
        home = FirstHome.make(folder, "one").home
    found: list[Path] = []
    for path in (home / "server.db", *home.glob("clients/*/client.db")):
        with closing(open_sqlite(path)) as database:
            found.append(export(Log(database), folder / f"log-{len(found)}"))
    return found


def export(log: Log, folder: Path) -> Path:
    """Export a log, with the keys and the policy of whoever trusts its custodians beside it."""
    log.export(folder)
    signed, vkey = log.checkpoint(), log.epoch().vkey
    assert signed is not None
    assert vkey is not None
    keys = [vkey, *(str(witness) for witness in signed.witnesses)]
    Path(f"{folder}.keys").write_text("".join(f"{key}\n" for key in keys), encoding="utf-8")
    witnesses = {witness.name: witness for witness in signed.witnesses}
    policy = Policy.of([VerifierKey.parse(vkey)], witnesses, 3)
    Path(f"{folder}.policy").write_bytes(policy.encode())
    return folder


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
    for log in logs:
        assert verify("log", log, "--policy", f"{log}.policy", "--strict") == 0
        assert capsys.readouterr().out.startswith("VALID: all ")
