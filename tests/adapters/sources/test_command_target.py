"""A command as the place of a restore: it sees the end of its input only when all of it is true."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from strongroom.adapters.sources.command_run import Patience
from strongroom.adapters.sources.command_target import CommandTarget
from strongroom.adapters.sources.errors import CommandFailed, ProgramMissing
from strongroom.adapters.sources.tree import FileSource
from strongroom.clock import SystemClock
from strongroom.crypto.hashing import Digest
from strongroom.errors import Damaged, Refused
from strongroom.vault import Entry
from tests.adapters.sources.test_command import is_running, wait_for_pid, wait_until_gone
from tests.adapters.sources.test_holes import PIECE, make

BLOCKS = [b"one\n", b"two\n" * 500_000, b"", b"three\n"]
ENTRY = Entry(b"", "file", 2_000_010)
PATIENCE = Patience(10, 0.5)
# What a careless consumer does: it believes the end of its input.
LOAD = 'echo $$ > "$1.pid"; cat > "$1.all"; echo complete > "$1.done"'


def facts(blocks: list[bytes]) -> dict[str, str | int]:
    digest = Digest()
    for block in blocks:
        digest.update(block)
    return {"kind": "command", "bytes": sum(map(len, blocks)), "blake3": digest.hex()}


def shell(script: str, path: Path = Path("unused")) -> CommandTarget:
    return CommandTarget(
        ("sh", "-c", script, "sh", str(path)), "command:[...]", SystemClock(), PATIENCE
    )


def restore(target: CommandTarget, blocks: list[bytes]) -> None:
    target.write(ENTRY, iter(blocks))
    target.finish(facts(blocks))


def keeper_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[1])


def killed_without_the_end(path: Path) -> None:
    """Look that a consumer is gone, and did not take what it had for the whole."""
    wait_until_gone(wait_for_pid(path.with_suffix(".pid")))
    assert not path.with_suffix(".done").exists()


def test_a_stream_is_fed_and_compared(tmp_path: Path) -> None:
    target = shell(LOAD, tmp_path / "x")
    target.write(ENTRY, iter(BLOCKS))
    assert not (tmp_path / "x.done").exists()
    target.finish(facts(BLOCKS))
    target.abandon()
    assert (tmp_path / "x.all").read_bytes() == b"".join(BLOCKS)
    assert (tmp_path / "x.done").exists()
    assert list(target.compared) == ["blake3", "bytes"]
    assert target.notes == {}


def test_an_empty_stream_has_an_end_too(tmp_path: Path) -> None:
    target = shell(LOAD, tmp_path / "x")
    target.write(Entry(b"", "file"), iter([]))
    target.finish(facts([]))
    assert (tmp_path / "x.all").read_bytes() == b""


def test_a_sparse_file_is_fed_with_zeros_for_its_holes(tmp_path: Path) -> None:
    image = tmp_path / "image"
    make(image, 60 * PIECE, (0, b"head"), (30 * PIECE + 5, os.urandom(3 * PIECE)))
    with closing(FileSource(os.fsencode(image), SystemClock())) as source:
        (entry,) = source.entries()
        assert entry.data_bytes < 10 * PIECE
        target = shell(LOAD, tmp_path / "x")
        target.write(entry, source.read(entry))
        target.finish(source.facts())
    assert list(target.compared) == ["blake3", "bytes"]
    assert (tmp_path / "x.all").read_bytes() == image.read_bytes()


@pytest.mark.parametrize("there", [b"1234", b"123456"])
def test_a_sparse_file_whose_data_do_not_fit_never_looks_whole(
    tmp_path: Path, there: bytes
) -> None:
    target = shell(LOAD, tmp_path / "x")
    entry = Entry(b"", "file", 20, holes=((2, 10), (14, 5)))
    with pytest.raises(Damaged, match="data than its recipe has room for"):
        target.write(entry, iter([there]))
    target.abandon()
    assert not (tmp_path / "x.done").exists()


def test_its_output_goes_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    target = shell("cat; echo some words >&2")
    restore(target, BLOCKS)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", ["blake3", "bytes"])
def test_other_facts_kill_it_before_it_sees_the_end(tmp_path: Path, name: str) -> None:
    target = shell(LOAD, tmp_path / "x")
    target.write(ENTRY, iter(BLOCKS))
    with pytest.raises(Damaged, match=rf"command:\[...\] is not what was.*its {name} differs"):
        target.finish({**facts(BLOCKS), name: 7})
    killed_without_the_end(tmp_path / "x")


def test_a_failure_in_the_middle_kills_it_before_it_sees_the_end(tmp_path: Path) -> None:
    target = shell(LOAD, tmp_path / "x")

    def blocks() -> Iterator[bytes]:
        yield b"x" * 5_000_000
        raise Damaged("a segment cannot be opened")

    with pytest.raises(Damaged, match="a segment"):
        target.write(ENTRY, blocks())
    target.abandon()
    target.abandon()
    killed_without_the_end(tmp_path / "x")


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("head -c 10 > /dev/null; echo no such table >&2; exit 3", "exit code 3: no such table"),
        ("exec <&-; echo closed >&2; exit 4", "exit code 4: closed"),
        ("head -c 10 > /dev/null", "ended before it had taken everything: its exit code is 0"),
        ("exec <&-; exec sleep 600", "goes on: it did not end"),
        ("kill -9 $$", "was killed by SIGKILL"),
    ],
)
def test_one_that_ends_early_is_an_error(script: str, why: str) -> None:
    target = shell(script)
    with pytest.raises(CommandFailed, match=why) as caught:
        target.write(ENTRY, iter([b"x" * 5_000_000]))
    assert "look before you run" in caught.value.hint
    target.abandon()


@pytest.mark.parametrize(
    ("script", "why"), [("exit 0", "everything: its exit code is 0"), ("exit 6", "exit code 6")]
)
def test_one_that_reads_nothing_of_a_small_stream_is_an_error(script: str, why: str) -> None:
    target = shell(script)
    # All of it fits into the pipe, so writing it never fails.
    with pytest.raises(CommandFailed, match=why):
        restore(target, [b"small"])
    target.abandon()


def test_one_that_fails_at_the_end_is_an_error() -> None:
    target = shell("cat > /dev/null; echo constraint >&2; exit 5")
    target.write(ENTRY, iter(BLOCKS))
    with pytest.raises(CommandFailed, match="sh ended with exit code 5: constraint"):
        target.finish(facts(BLOCKS))


def test_much_on_stderr_blocks_nothing() -> None:
    target = shell("yes noise | head -c 3000000 >&2; cat > /dev/null")
    restore(target, BLOCKS)


def test_more_than_one_stream_is_refused(tmp_path: Path) -> None:
    target = shell(LOAD, tmp_path / "x")
    target.write(ENTRY, iter(BLOCKS))
    with pytest.raises(Refused, match="recorded as one stream"):
        target.write(ENTRY, iter(BLOCKS))
    target.abandon()
    killed_without_the_end(tmp_path / "x")
    for entry in (Entry(b"", "directory"), Entry(b"x", "file"), Entry(b"", "special")):
        with pytest.raises(Refused, match="recorded as one stream"):
            shell("exit 0").write(entry, iter([]))


def test_no_stream_at_all_is_damaged() -> None:
    with pytest.raises(Damaged, match="nothing was restored"):
        shell("exit 0").finish({})


def test_a_missing_program_is_named_before_anything_begins() -> None:
    with pytest.raises(ProgramMissing):
        CommandTarget(("no-such-program",), "", SystemClock())


_ALONE = """
import signal, sys, time
from strongroom.adapters.sources.command_run import Patience
from strongroom.adapters.sources.command_target import CommandTarget
from strongroom.clock import SystemClock
from strongroom.vault import Entry
# Tests that run under nohup would pass on that SIGHUP is ignored, and nothing would be stopped.
signal.signal(signal.SIGHUP, signal.SIG_DFL)
target = CommandTarget(("sh", "-c", sys.argv[1], "sh", sys.argv[2]), "", SystemClock())
def blocks():
    yield b"half"
    open(sys.argv[2] + ".fed", "w").close()
    time.sleep(600)
target.write(Entry(b"", "file"), blocks())
"""


def alone_with_half_a_stream(script: str, path: Path) -> "subprocess.Popen[bytes]":
    alone = subprocess.Popen(
        [sys.executable, "-c", _ALONE, script, str(path)],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    pid = wait_for_pid(path.with_suffix(".pid"))
    while not path.with_suffix(".fed").exists():
        time.sleep(0.01)
    assert is_running(pid)
    return alone


def test_killing_strongroom_never_looks_like_the_end_of_the_input(tmp_path: Path) -> None:
    alone = alone_with_half_a_stream(LOAD, tmp_path / "x")
    alone.kill()
    alone.wait()
    killed_without_the_end(tmp_path / "x")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_stopping_the_service_never_looks_like_the_end_of_the_input(
    tmp_path: Path, number: signal.Signals
) -> None:
    """A stop reaches Strongroom, the keeper and a command that ignores it, in any order."""
    alone = alone_with_half_a_stream(f"trap '' TERM HUP INT; {LOAD}", tmp_path / "x")
    for pid in (keeper_of(wait_for_pid(tmp_path / "x.pid")), alone.pid):
        os.kill(pid, number)
        # Time for the command to see an end of its input, if there is one.
        time.sleep(0.1)
    alone.wait()
    killed_without_the_end(tmp_path / "x")


@pytest.mark.parametrize("name", ["TERM", "HUP", "INT"])
def test_the_command_can_still_be_asked_to_end(name: str) -> None:
    target = shell(f"kill -{name} $$; exit 0")
    with pytest.raises(CommandFailed, match=f"was killed by SIG{name}"):
        restore(target, BLOCKS)
    target.abandon()


def test_killing_the_keeper_is_an_error_and_never_the_end_of_the_input(tmp_path: Path) -> None:
    target = shell(LOAD, tmp_path / "x")
    target.write(ENTRY, iter(BLOCKS))
    pid = wait_for_pid(tmp_path / "x.pid")
    keeper = keeper_of(pid)
    os.kill(keeper, 9)
    wait_until_gone(keeper)
    with pytest.raises(CommandFailed, match="the process that kept it was killed"):
        target.finish(facts(BLOCKS))
    killed_without_the_end(tmp_path / "x")
