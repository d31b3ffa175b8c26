"""Many clients in two processes: order, the companion's share, its death, a clean stop."""

import contextlib
import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strongroom.adapters.machine.companion import CompanionProcess
from strongroom.clients import Client, Keep
from strongroom.errors import Damaged, StrongroomError
from strongroom.operations.add_client import NewClient, add_client, add_source
from strongroom.operations.back_up import BackupReport, SourceReport
from strongroom.operations.back_up_all import MANY, back_up_all
from strongroom.operations.deployment import Companion, Deployment
from strongroom.operations.side_by_side import read_answer, write_answer
from strongroom.operations.witnessing import OpenLog
from tests.journeys.world import World, fresh_copy, keep_template, make_world, silent

BROKEN = 5
TREE = 11
WAIT_SECONDS = 60
TRIES = 5

_count = st.integers(0, 2**63 - 1)
_text = st.text(max_size=40)
_source = st.builds(SourceReport, name=_text, state=_text, read_bytes=_count, problem=_text)
_report = st.builds(
    BackupReport,
    *(_text, _text, _text, _count, _count, _count, st.floats(0, 1e9), _count, _count, _count),
    st.lists(_source, max_size=3),
    st.lists(_text, max_size=3),
    st.lists(_text, max_size=3),
)


@given(_report)
def test_an_answer_reads_as_it_was_written(report: BackupReport) -> None:
    line = write_answer(report)
    assert line.count("\n") == 1
    assert read_answer(line, report.client) == report
    # A process that dies leaves a beginning of it.
    assert read_answer(line[:-1], report.client) is None
    assert read_answer(write_answer(None), report.client) is None
    with pytest.raises(Damaged):
        read_answer(line, f"{report.client}-other")


@pytest.mark.parametrize(
    "line", ["hello\n", "{}\n", "[]\n", "7\n", '{"client": "a"}\n', '{"sources": 1}\n']
)
def test_an_odd_answer_is_refused(line: str) -> None:
    with pytest.raises(Damaged):
        read_answer(line, "a")


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> World:
    """As many clients as are worth another process; one's database is gone, one is a folder."""
    world = make_world(tmp_path_factory.mktemp("many") / "world", clients=[])
    with world.open() as deployment:
        for number in range(MANY):
            path = world.root / f"{number}.db"
            if number == TREE:
                path.mkdir()
                (path / "file").write_bytes(b"file")
            else:
                with closing(sqlite3.connect(path)) as database:
                    database.execute("CREATE TABLE thing (name TEXT)")
                    database.commit()
            kind, scheme = ("tree", "file") if number == TREE else ("sqlite", "sqlite")
            client = add_client(deployment, NewClient(f"client-{number:02d}", "normal", Keep()))
            add_source(deployment, client, path.name, kind, f"{scheme}://{path}")
    (world.root / f"{BROKEN}.db").unlink()
    keep_template(world)
    return world


@pytest.fixture
def world(template: World) -> World:
    return fresh_copy(template)


@dataclasses.dataclass(slots=True)
class Watched:
    """A companion that counts its answers, and dies before the one asked for."""

    companion: Companion
    pid: int
    dies_before: int
    answers: list[str] = dataclasses.field(default_factory=list)

    def ask(self, line: str) -> str:
        if len(self.answers) + 1 == self.dies_before:
            os.kill(self.pid, signal.SIGKILL)
        self.answers.append(self.companion.ask(line))
        return self.answers[-1]

    def stop(self) -> None:
        self.companion.stop()


def watched(deployment: Deployment, made: list[Watched], dies_before: int = 0) -> Deployment:
    """Return a deployment of two threads whose one companion is watched."""
    tools = deployment.tools

    def companion() -> AbstractContextManager[Companion]:
        @contextmanager
        def started() -> Iterator[Companion]:
            before = set(children())
            with tools.companion() as one:
                (pid,) = set(children()) - before
                made.append(Watched(one, pid, dies_before))
                yield made[-1]

        return started()

    return dataclasses.replace(
        deployment, tools=dataclasses.replace(tools, threads=2, companion=companion)
    )


def children() -> list[int]:
    found = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return [int(pid) for pid in found.split()]


def check_all(outcomes: list[tuple[Client, BackupReport | StrongroomError]]) -> None:
    assert [client.name for client, _ in outcomes] == [f"client-{n:02d}" for n in range(MANY)]
    for number, (client, outcome) in enumerate(outcomes):
        if number == BROKEN:
            assert isinstance(outcome, StrongroomError)
            assert f"{BROKEN}.db" in str(outcome)
        else:
            assert isinstance(outcome, BackupReport)
            assert (outcome.client, outcome.state, outcome.problems) == (client.name, "good", [])


def test_another_process_takes_its_share(world: World) -> None:
    made: list[Watched] = []
    with world.open() as deployment:
        clients = deployment.registry.clients()
        # The first answer comes when it has started; until then the others go on alone.
        for _ in range(TRIES):
            check_all(list(back_up_all(watched(deployment, made), clients, silent)))
            if any(len(line) > len("null\n") for one in made for line in one.answers):
                break
        else:
            pytest.fail("the other process backed nothing up")
        for client in clients:
            with deployment.tools.history(client.id) as history:
                assert all(one.state == "good" for one in history.snapshots())


@pytest.mark.parametrize("dies_before", [1, 2])
def test_one_that_is_killed_costs_nothing(world: World, dies_before: int) -> None:
    made: list[Watched] = []
    with world.open() as deployment:
        clients = deployment.registry.clients()
        # On a busy machine the others have taken every client before it is asked so often.
        for _ in range(TRIES):
            check_all(list(back_up_all(watched(deployment, made, dies_before), clients, silent)))
            if any("" in one.answers for one in made):
                break
        else:
            pytest.fail("the other process was not asked so often")


@dataclasses.dataclass(slots=True)
class Struck:
    """A companion that is stopped in the middle of a client's backup, and perhaps killed then."""

    companion: Companion
    pid: int
    world: World
    killed: bool
    struck: str = ""
    answers: list[str] = dataclasses.field(default_factory=list)

    def ask(self, line: str) -> str:
        over = threading.Event()
        folder = self.world.vault_folder("loc1", line)
        before = set(folder.rglob("*"))
        thread = threading.Thread(target=self._strike, args=(line, folder, before, over))
        thread.start()
        self.answers.append(self.companion.ask(line))
        over.set()
        thread.join()
        return self.answers[-1]

    def stop(self) -> None:
        self.companion.stop()

    def _strike(self, client: str, folder: Path, before: set[Path], over: threading.Event) -> None:
        """Wait until it writes, stop it, and look whether that is before its record."""
        while not over.is_set() and not self.struck:
            if set(folder.rglob("*")) - before:
                os.kill(self.pid, signal.SIGSTOP)
                if any(one.match("snapshots/*/*") for one in set(folder.rglob("*")) - before):
                    os.kill(self.pid, signal.SIGCONT)
                    return
                self.struck = client
                if self.killed:
                    os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.0005)


ANSWER_SECONDS = 3.0
"""How long one that is stopped is waited for; how long one needs to start does not count."""


def struck(deployment: Deployment, world: World, made: list[Struck], *, killed: bool) -> Deployment:
    """Return a deployment of two threads whose companion is struck while it writes."""

    @contextmanager
    def companion() -> Iterator[Companion]:
        arguments = [sys.executable, "-P", "-m", "strongroom.cli.companion", str(world.home), ""]
        with CompanionProcess(arguments, WAIT_SECONDS) as one:
            assert one.ask("nobody") == "null\n", "it has started, and knows no such client"
            if not killed:
                one._answer_seconds = ANSWER_SECONDS
            made.append(Struck(one, one._process.pid, world, killed))
            yield made[-1]

    tools = dataclasses.replace(deployment.tools, threads=2, companion=companion)
    return dataclasses.replace(deployment, tools=tools)


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "stopped"])
def test_struck_in_the_middle_of_a_backup_it_costs_nothing(world: World, killed: bool) -> None:
    made: list[Struck] = []
    with world.open() as deployment:
        clients = deployment.registry.clients()
        for _ in range(TRIES):
            faulty = struck(deployment, world, made, killed=killed)
            check_all(list(back_up_all(faulty, clients, silent)))
            if made[-1].struck:
                break
        assert made[-1].struck, "it was never met while it wrote"
        assert "" in made[-1].answers
        client = deployment.registry.client(made[-1].struck)
        with deployment.tools.history(client.id) as history:
            assert [one.state for one in history.snapshots()] == ["good"] * len(made)


def test_a_caller_leaves_one_that_is_stopped(world: World) -> None:
    made: list[Struck] = []
    with world.open() as deployment:
        clients = deployment.registry.clients()
        for _ in range(TRIES):
            faulty = struck(deployment, world, made, killed=False)
            outcomes = back_up_all(faulty, clients, silent)
            for _ in outcomes:
                if made[-1].struck:
                    break
            outcomes.close()
            assert made[-1].pid not in children()
            if made[-1].struck:
                break
        else:
            pytest.fail("it was never met while it wrote")
        check_all(list(back_up_all(deployment, clients, silent)))


def test_a_machine_that_starts_no_process_still_backs_up(world: World) -> None:
    def refused() -> AbstractContextManager[Companion]:
        raise BlockingIOError("no more processes")

    with world.open() as deployment:
        tools = dataclasses.replace(deployment.tools, threads=2, companion=refused)
        alone = dataclasses.replace(deployment, tools=tools)
        check_all(list(back_up_all(alone, deployment.registry.clients(), silent)))


@dataclasses.dataclass(slots=True)
class Odd:
    """Something that answers what was not asked."""

    answer: str
    asked: int = 0
    stopped: bool = False

    def ask(self, line: str) -> str:
        self.asked += 1
        return "" if self.stopped else self.answer

    def stop(self) -> None:
        self.stopped = True


@pytest.mark.parametrize("answer", ["hello\n", "another"])
def test_whoever_answers_oddly_is_asked_no_more(world: World, answer: str) -> None:
    with world.open() as deployment:
        clients = deployment.registry.clients()
        if answer == "another":
            (_, report), *_ = back_up_all(deployment, clients[:1], silent)
            assert isinstance(report, BackupReport)
            answer = write_answer(dataclasses.replace(report, client="nobody"))
        odd = Odd(answer)
        tools = dataclasses.replace(
            deployment.tools, threads=2, companion=lambda: contextlib.nullcontext(odd)
        )
        check_all(list(back_up_all(dataclasses.replace(deployment, tools=tools), clients, silent)))
    assert odd.asked
    assert odd.stopped


@dataclasses.dataclass(slots=True)
class Recording(Odd):
    """A companion that has recorded something of every client, and then ends."""

    world: World | None = None

    def ask(self, line: str) -> str:
        if self.world is not None and not self.stopped:
            with self.world.app.open(self.world.home, concludes=False) as deployment:
                for client in deployment.registry.clients():
                    with deployment.tools.history(client.id) as history:
                        fact = deployment.fact("browse.done", client.id, snapshot="0" * 64, rows=0)
                        history.record(fact)
            self.stopped = True
        return ""


def test_what_another_process_recorded_is_witnessed_when_the_caller_stops(world: World) -> None:
    recording = Recording("", world=world)
    with world.open() as deployment:
        clients = deployment.registry.clients()
        tools = dataclasses.replace(
            deployment.tools, threads=2, companion=lambda: contextlib.nullcontext(recording)
        )
        outcomes = back_up_all(dataclasses.replace(deployment, tools=tools), clients, silent)
        next(outcomes)
        outcomes.close()
    assert recording.stopped
    with world.open() as deployment:
        for client in clients:
            with deployment.tools.history(client.id) as history:
                assert history.facts("browse.done")
                assert OpenLog.of_client(client, history).is_witnessed


def test_few_clients_start_no_other_process(world: World) -> None:
    made: list[Watched] = []
    with world.open() as deployment:
        clients = deployment.registry.clients()[: MANY - 1]
        list(back_up_all(watched(deployment, made), clients, silent))
    assert made == []


def test_a_caller_who_stops_ends_the_other_process(world: World) -> None:
    made: list[Watched] = []
    with world.open() as deployment:
        clients = deployment.registry.clients()
        outcomes = back_up_all(watched(deployment, made), clients, silent)
        next(outcomes)
        outcomes.close()
        assert made[0].pid not in children()
        for client in clients:
            # No backup holds a vault any more.
            with deployment.tools.lock(client.vault):
                pass
        check_all(list(back_up_all(watched(deployment, made), clients, silent)))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_a_backup_that_was_stopped(world: World, number: int) -> None:
    (world.home / "strongroom.toml").write_text(
        (world.home / "strongroom.toml").read_text().replace("threads = 1\n", "threads = 2\n")
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "strongroom", "--home", str(world.home), "backup", "--all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=world.environment(),
        start_new_session=True,
    )
    deadline = time.monotonic() + WAIT_SECONDS
    while len(at_work(world.home)) < 2 and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=WAIT_SECONDS)
    if number == signal.SIGINT:
        assert process.returncode == 130, stderr
    # One that was only just starting ends when it finds that nobody asks.
    while at_work(world.home):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "Traceback" not in stderr
    with world.open() as deployment:
        check_all(list(back_up_all(deployment, deployment.registry.clients(), silent)))


def at_work(home: Path) -> list[int]:
    """Return the processes of this program that work on the home."""
    found: list[int] = []
    for process in Path("/proc").iterdir():
        try:
            arguments = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(home) in arguments:
            found.append(int(process.name))
    return found
