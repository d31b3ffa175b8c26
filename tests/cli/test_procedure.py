"""A team at its command line: what each step tells the ledger, and what no trick gets done."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from strongroom.app import App
from strongroom.clock import SystemClock
from strongroom.crypto import signing
from strongroom.errors import Refused
from strongroom.operations.open_keys import open_keys
from strongroom.operations.policies import current_envelope
from strongroom.operations.receipts import fetch_record
from strongroom.operations.requesting import Permit, recipient_seed
from strongroom.procedures import Parcel, Plan
from strongroom.quorum import Acts
from tests.cli.test_every_command_tells import WITNESSED, told
from tests.support.transcript import Done, at_home, strongroom

PEOPLE = ("ann", "bob", "cem")
OPENED = {"keys.opened", "share.released", "restore.done", "procedure.run"}


@pytest.fixture(name="folder", scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("team")
    with at_home(folder):
        for name in PEOPLE:
            Path(f"{name}.pass").write_text(f"a passphrase of {name}", encoding="utf-8")
            assert run("procedure device --to", name, "--passphrase-file", f"{name}.pass").code == 0
        keys = [word for name in PEOPLE for word in ("--approver", f"{name}.pub")]
        assert run("init --location one", *keys).code == 0
        Path("notes").mkdir()
        Path("notes/today.txt").write_text("Buy locks.", encoding="utf-8")
        assert run("client add acme --source notes").code == 0
        assert run("backup acme").code == 0
        yield folder


def run(line: str, *more: str) -> Done:
    return strongroom(*line.split(), *more)


def asked(to: str) -> dict[str, str]:
    """Ask for a restore and return what `show` says of it; its request is in a file of its name."""
    assert run("restore acme --to", to).code == 5
    Path(f"{to}.request").unlink(missing_ok=True)
    done = run("procedure show latest --json --to", f"{to}.request")
    shown: dict[str, str] = json.loads(done.out)
    return shown


def signed(to: str, *names: str, word: str = "approve") -> list[str]:
    """Have people sign a word about a request; return the files of their answers."""
    answers = []
    for name in names:
        answer = f"{to}.{word}.{name}"
        Path(answer).unlink(missing_ok=True)
        how = f"--device {name} --passphrase-file {name}.pass --yes --to {answer}"
        done = run(f"procedure {word} {to}.request {how}")
        assert done.code == 0, done.err
        answers.append(answer)
    return answers


def test_each_step_tells_the_ledger_what_it_does(folder: Path) -> None:
    known = told(folder / "home").keys()

    def fresh() -> set[str]:
        nonlocal known
        after = told(folder / "home")
        ops = {after[one].op for one in after.keys() - known} - WITNESSED
        known = after.keys()
        return ops

    shown = asked("told")
    assert fresh() == {"procedure.requested"}
    assert run("restore acme --to told").code == 5
    for line in ("procedure list", "procedure show latest", "procedure run latest"):
        run(line)
    assert fresh() == set()
    for answer in signed("told", "ann", "bob"):
        assert fresh() == set()
        assert run("procedure take", answer).code == 0
        assert fresh() == {"procedure.approved"}
        assert run("procedure take", answer).code == 0
        assert fresh() == set()
    assert run("procedure run latest").code == 0
    assert fresh() - {"log.pinned"} == OPENED
    run_facts = [one for one in told(folder / "home").values() if one.op == "procedure.run"]
    assert {one.phase for one in run_facts} == {"intent", "result"}
    assert {one.subject for one in run_facts} == {shown["request"]}
    asked("not-told")
    fresh()
    (answer,) = signed("not-told", "cem", word="refuse")
    assert run("procedure take", answer).code == 0
    assert fresh() == {"procedure.refused", "request.vetoed"}
    asked("back-again")
    fresh()
    assert run("procedure withdraw latest --reason found").code == 0
    assert fresh() == {"procedure.withdrawn"}


def test_the_recipients_key_is_sealed_while_it_is_needed_and_then_gone(folder: Path) -> None:
    shown = asked("sealed")
    sealed = folder / "home" / "secrets" / f"recipient-{shown['request']}"
    assert sealed.exists()
    for answer in signed("sealed", "ann", "cem"):
        run("procedure take", answer)
    with App().open(folder / "home") as deployment:
        seed = deployment.tools.secrets.read(sealed.name)
    assert run("procedure run latest").code == 0
    assert not sealed.exists()
    for path in folder.rglob("*"):
        assert not path.is_file() or seed not in path.read_bytes()


def test_a_restore_of_another_place_is_another_request(folder: Path) -> None:
    asked("this")
    for answer in signed("this", "ann", "bob"):
        run("procedure take", answer)
    done = run("restore acme --to that")
    assert done.code == 5
    assert not (folder / "that").exists()
    assert run("restore acme --to this").code == 0
    assert (folder / "this" / "notes" / "today.txt").exists()


def opened_past_the_desk(folder: Path, *approvals: str, seed: bytes = b"") -> str:
    """Ask the custodians for what was asked for last, with these approvals; return why not."""
    with App().open(folder / "home") as deployment:
        act = deployment.desk.find("latest")
        client = deployment.registry.client("acme")
        given = tuple(
            one for one, said in zip(act.given, act.said, strict=True) if said.decision == "approve"
        )
        assert len(given) == len(approvals)
        permit = Permit(act.request, given, seed or recipient_seed(deployment, act))
        with deployment.tools.history(client.id) as history:
            (statement,) = (
                fetch_record(deployment, client, one).statement
                for one in history.snapshots()
                if act.request.wanted is not None and one.hash == act.request.wanted.snapshot
            )
            with pytest.raises(Refused, match="0 of 2 custodians needed") as caught:
                open_keys(deployment, client, history, statement, permit)
    return caught.value.why


def test_custodians_hold_back_what_the_home_would_let_through(folder: Path) -> None:
    """Somebody goes past the desk, and no custodian gives a share."""
    asked("stolen")
    (answer,) = signed("stolen", "ann")
    run("procedure take", answer)
    assert opened_past_the_desk(folder, "ann").count("1 of 2 approvals") == 3


def test_a_refusal_is_told_to_the_custodians_which_keep_it(folder: Path) -> None:
    """Whoever leaves it out later, with enough approvals, is refused all the same."""
    asked("vetoed")
    for answer in signed("vetoed", "ann", "bob"):
        run("procedure take", answer)
    (veto,) = signed("vetoed", "cem", word="refuse")
    for _ in range(2):
        done = run("procedure take", veto)
        assert (done.code, "Custodians that keep the refusal: 3." in done.out) == (0, True)
    why = opened_past_the_desk(folder, "ann", "bob", seed=bytes(32))
    assert why.count("an approver has refused it") == 3


def test_a_refusal_that_a_custodian_misses_is_told_again(folder: Path) -> None:
    asked("missed")
    (veto,) = signed("missed", "cem", word="refuse")
    custodian = folder / "home" / "custodians" / "custodian-3"
    custodian.rename(folder / "away")
    done = run("procedure take", veto)
    assert (done.code, "custodian 3 (custodian-3) was not told" in done.err) == (3, True), done.err
    (folder / "away").rename(custodian)
    done = run("procedure take", veto)
    assert (done.code, "Custodians that keep the refusal: 3." in done.out) == (0, True)


def test_an_approval_of_one_request_is_none_of_the_next(folder: Path) -> None:
    first = asked("once")
    answers = signed("once", "ann", "bob")
    run("procedure withdraw latest")
    second = asked("once")
    assert first["check_words"] != second["check_words"]
    for answer in answers:
        assert run("procedure take", answer).code == 4
    assert run("procedure run latest").code == 5


def test_what_is_approved_is_the_snapshot_whatever_is_the_latest_now(folder: Path) -> None:
    shown = asked("older")
    for answer in signed("older", "bob", "cem"):
        run("procedure take", answer)
    Path("notes/more.txt").write_text("And keys.", encoding="utf-8")
    assert run("backup acme").code == 0
    done = run("restore acme --to older --json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["snapshot"][:12] in "".join(shown["plan"])
    assert not (folder / "older" / "notes" / "more.txt").exists()


def test_a_dry_run_says_what_comes_back_and_not_what_its_backup_had_read(folder: Path) -> None:
    assert run("backup acme").code == 0
    whole = sum(path.stat().st_size for path in Path("notes").iterdir())
    assert f", {whole} bytes) -> " in "".join(asked("dry")["plan"])
    assert run("procedure withdraw latest").code == 0


def test_a_run_that_failed_is_not_approved_twice(folder: Path) -> None:
    asked("filled")
    for answer in signed("filled", "ann", "bob"):
        run("procedure take", answer)
    Path("filled").mkdir()
    Path("filled/mine").write_text("mine", encoding="utf-8")
    assert run("procedure run latest").code == 4
    Path("filled/mine").unlink()
    assert run("procedure run latest").code == 0


@pytest.mark.parametrize("wrong", ["", "zz", "\x00", "../x", "%", "*" * 100])
def test_an_odd_id_is_a_usage_error(folder: Path, wrong: str) -> None:
    done = strongroom("procedure", "show", wrong)
    assert (done.code, "Traceback" in done.err) == (2, False)


def test_a_request_file_that_was_altered_is_not_signed(folder: Path) -> None:
    asked("altered")
    data = Path("altered.request").read_bytes()
    Path("bad.request").write_bytes(data.replace(b"altered/notes", b"another/notes"))
    assert Path("bad.request").read_bytes() != data
    done = run("procedure approve bad.request --device ann --passphrase-file ann.pass --yes")
    assert (done.code, "plan is not the one" in done.err) == (40, True)


def test_a_check_that_reads_data_asks_and_then_opens_what_was_asked_for(folder: Path) -> None:
    assert run("vault check acme").code == 0
    assert run("vault check acme --read-data").code == 5
    Path("check.request").unlink(missing_ok=True)
    shown = json.loads(run("procedure show latest --json --to check.request").out)
    assert (shown["procedure"], "decrypts everything" in shown["plan"][1]) == ("browse", True)
    for answer in signed("check", "ann", "bob"):
        run("procedure take", answer)
    assert run("browse acme").code == 5, "to look at names was not asked for"
    run("procedure withdraw latest")
    Path("notes/later.txt").write_text("After it was asked for.", encoding="utf-8")
    assert run("backup acme").code == 0
    done = run("vault check acme --read-data --json")
    assert (done.code, json.loads(done.out)["chunks_opened"] > 0) == (0, True), done.err
    opened = [one for one in told(folder / "home").values() if one.op == "keys.opened"]
    assert shown["request"] in {one.body.get("request") for one in opened}


def test_a_team_of_which_one_suffices_is_made_and_called_degraded(folder: Path) -> None:
    home = str(folder / "other-home")
    done = run("init --approver ann.pub --approvals 1 --location elsewhere --home", home)
    assert (done.code, "DEGRADED: one approval is enough" in done.out) == (0, True)


def test_the_recipients_key_of_what_expired_is_removed_by_the_next_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = asked("expired")
    sealed = folder / "home" / "secrets" / f"recipient-{shown['request']}"
    assert run("procedure list").code == 0
    assert sealed.exists()
    real = SystemClock.now
    monkeypatch.setattr(SystemClock, "now", lambda self: real(self) + timedelta(days=8))
    run("procedure list")
    assert not sealed.exists()


def put_back_and_resumed(folder: Path) -> None:
    """Put home and location back to before what custodians have seen; have the logs go on."""
    for part in ("home", "one"):
        shutil.copytree(folder / part, folder / "image" / part)
    assert run("vault check acme").code == 0
    shutil.rmtree(folder / "one")
    (folder / "image" / "one").rename(folder / "one")
    shutil.rmtree(folder / "image" / "home" / "custodians")
    (folder / "home" / "custodians").rename(folder / "image" / "home" / "custodians")
    shutil.rmtree(folder / "home")
    (folder / "image" / "home").rename(folder / "home")
    done = run("ledger resume")
    assert (done.code, "the log of acme begins a new epoch" in done.out) == (3, True), done.out


def test_a_team_whose_log_began_anew_asks_for_a_recovery(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def approved(to: str) -> Done:
        for answer in signed(to, "ann", "bob"):
            assert run("procedure take", answer).code == 0
        return run("restore acme --to", to)

    asked("known")
    assert approved("known").code == 0
    assert run("restore acme --to before").code == 5
    put_back_and_resumed(folder)
    # What was asked for before is bound to the log of before: it is over, and told so.
    assert run("procedure list").out == "Nothing is asked for.\n"
    assert "ended (other_log)" in run("procedure list --all").out
    done = run("restore acme --to before")
    assert done.err.startswith("waiting: recovery waits for approval"), done.err
    assert "which can never be done any more" in done.err
    assert run("procedure withdraw latest").code == 0
    # It is a recovery from the first: nobody approves in vain what custodians would refuse.
    done = run("restore acme --to anew")
    assert done.err.startswith("waiting: recovery waits for approval"), done.err
    assert "began anew when the home was put back" in done.err
    with App().open(folder / "home") as deployment:
        *_, ended, first, again = deployment.desk.acts()
    assert (ended.state, ended.why) == (ended.state.ENDED, "other_log")
    assert {str(one.request.procedure) for one in (first, again)} == {"recovery"}
    shown = asked("anew")
    assert "began anew" in shown["plan"][0]
    assert "24 h 00 min after a custodian is first shown" in run("procedure show latest").out
    assert (folder / "home" / "secrets" / f"recipient-{shown['request']}").exists()
    done = approved("anew")
    assert (done.code, "may refuse it until" in done.err) == (5, True), done.err
    assert json.loads(run("procedure show latest --json").out)["state"] == "approved"
    assert not (folder / "anew").exists()
    real = SystemClock.now
    monkeypatch.setattr(SystemClock, "now", lambda self: real(self) + timedelta(hours=25))
    assert run("procedure run latest").code == 0
    assert (folder / "anew" / "notes" / "today.txt").exists()
    asked("known-again")
    assert approved("known-again").code == 0


def test_a_policy_is_approved_by_what_it_says_and_not_by_what_is_said_of_it(folder: Path) -> None:
    """A home that was taken has a plan of its own, and a policy that one approver signed for it."""
    with App().open(folder / "home") as deployment:
        envelope, now = current_envelope(deployment), deployment.tools.clock.now()
        pinned, thief = Acts.Policy.parse(envelope), bytes([66]) * 32
        draft = Acts.Policy.Draft(
            pinned.install,
            "single",
            pinned.cosignatures,
            [signing.public_key(thief)],
            Acts.Policy.single_rules(),
            pinned,
        )
        own = Acts.Policy.sign(thief, draft, now)
        plan = Plan.of("approver cem is removed")
        request = Acts.Request(
            install=deployment.install,
            request="ab" * 16,
            procedure=Acts.Procedure.POLICY_CHANGE,
            params={"policy": Acts.Policy.parse(own).id, "version": 2},
            client=None,
            wanted=None,
            plan=plan.digest,
            requester="cd" * 16,
            origin=f"{deployment.install}.ledger.invalid/{'ef' * 16}",
            policy=pinned.id,
            not_before=now,
            expires=now + timedelta(days=7),
            nonce="00" * 16,
        ).check()
    Path("lie.request").write_bytes(Parcel(request, plan, envelope).encode())
    Path("true").write_bytes(envelope.encode())
    Path("own").write_bytes(own.encode())
    approve = "procedure approve lie.request --device ann --passphrase-file ann.pass --yes"
    done = run(approve)
    assert (done.code, "is not shown" in done.err) == (2, True)
    done = run(approve, "--policy", "true")
    assert (done.code, "is not the policy that the request names" in done.err) == (4, True)
    assert not Path("lie.request.approve").exists()
    done = run(approve, "--policy", "own")
    assert (done.code, done.out.count("  GOES"), done.out.count("  NEW")) == (0, 3, 1)
    assert "The policy that is to follow, version 2, mode single:" in done.out
    refuse = "procedure refuse lie.request --device ann --passphrase-file ann.pass --yes"
    assert run(refuse).code == 0
