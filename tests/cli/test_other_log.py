"""One person is asked before keys are opened for a log that custodians do not know."""

from pathlib import Path

from tests.cli.test_every_command_tells import told
from tests.cli.test_procedure import put_back_and_resumed, run
from tests.support.transcript import at_home


def recoveries(folder: Path) -> int:
    """Return how often keys were asked for as of another log."""
    facts = told(folder / "home").values()
    return sum(one.op == "keys.opened" and one.body.get("procedure") == "recovery" for one in facts)


def test_a_recovery_of_one_person_is_signed_only_after_a_yes(tmp_path: Path) -> None:
    with at_home(tmp_path):
        assert run("init --location one").code == 0
        Path("notes").mkdir()
        Path("notes/today.txt").write_text("Buy locks.", encoding="utf-8")
        assert run("client add acme --source notes").code == 0
        assert run("backup acme").code == 0
        assert run("restore acme --to known").code == 0
        put_back_and_resumed(tmp_path)
        done = run("restore acme --to anew")
        assert (done.code, "another log than this home's" in done.err) == (4, True), done.err
        assert "Pass --yes" in done.err
        assert run("browse acme").code == 4
        assert recoveries(tmp_path) == 0
        assert not Path("anew").exists()
        assert run("restore acme --to anew --yes").code == 0
        assert Path("anew/notes/today.txt").exists()
        assert recoveries(tmp_path) > 0
        assert run("restore acme --to from-now-on").code == 0
