"""Runs one command as a whole process and says what it cost.

Time runs from just before the start to just after the end, start-up included. Memory is sampled
over the command and all its children, and is never less than the most that any one of them has
held since it was started. What the system reports when a command ends (ru_maxrss) is not used: it
is never less than what the process that started the command held, which is this one.
"""

import mmap
import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAMPLE_SECONDS = 0.02
_TAIL_BYTES = 2000
_TOUCHED_BYTES = 1 << 20
# https://www.sqlite.org/fileformat.html: change counter, schema cookie, version-valid-for. They are
# passed over from the last to the first, as each one that goes moves what follows it.
_COUNTERS = (slice(92, 96), slice(40, 44), slice(24, 28))


@dataclass(frozen=True, slots=True)
class Cost:
    """What one command took."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


class NotMeasured(Exception):
    """A command failed, or a restore is not what was backed up: there is nothing to compare."""


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
    ends: Sequence[int] = (0,),
) -> Cost:
    """Run a command to its end, which must be one of these; what it prints goes to `log`."""
    # What earlier commands have written is on the disk before the clock starts, for every side.
    os.sync()
    with log.open("wb") as output:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, env=dict(environment), cwd=folder, stdout=output, stderr=subprocess.STDOUT
        )
        sampler = _Sampler(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    peak = sampler.stop()
    if process.returncode not in ends:
        tail = log.read_bytes()[-_TAIL_BYTES:].decode(errors="replace")
        raise NotMeasured(f"{command[0]} ended with {process.returncode}:\n{tail}")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak)


class _Sampler:
    """Adds up the resident memory of a process and its children until it is stopped."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._peak = 0
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._stopped.set()
        self._thread.join()
        return self._peak

    def _sample(self) -> None:
        while not self._stopped.wait(SAMPLE_SECONDS):
            held = [_resident(one) for one in _family(self._process)]
            most = max((most for _, most in held), default=0)
            self._peak = max(self._peak, most, sum(now for now, _ in held))


def _family(process: int) -> list[int]:
    found = [process]
    for one in found:
        # A process or a thread may end between one line and the next: then it has no children.
        with suppress(OSError):
            for task in os.listdir(f"/proc/{one}/task"):
                with suppress(OSError), open(f"/proc/{one}/task/{task}/children", "rb") as file:
                    found.extend(int(child) for child in file.read().split())
    return found


def _resident(process: int) -> tuple[int, int]:
    """Return what a process holds now, and the most it has held since it was started."""
    try:
        with open(f"/proc/{process}/status", "rb") as file:
            told = dict(line.split(b":", 1) for line in file)
        now, most = (int(told[name].split()[0]) * 1024 for name in (b"VmRSS", b"VmHWM"))
        return now, most
    except (OSError, KeyError, ValueError):
        # It has ended, or its memory is gone already.
        return 0, 0


def say(words: str) -> None:
    """Tell the person who waits what is going on."""
    print(f"  {words}", flush=True)


def output_of(command: Sequence[str], environment: Mapping[str, str] | None = None) -> bytes:
    """Run a command that is not measured and return what it prints; raises NotMeasured."""
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=False)
    if done.returncode != 0:
        tail = (done.stdout + done.stderr)[-_TAIL_BYTES:].decode(errors="replace")
        raise NotMeasured(f"{command[0]} ended with {done.returncode}:\n{tail}")
    return done.stdout


def touch_memory() -> None:
    """Write to most of the free memory once, so that nobody pays for getting it from the host.

    A virtual machine gets its memory when it is first written to: the first file of some hundred
    megabytes took ten times as long as the next.
    """
    told = Path("/proc/meminfo").read_text("ascii")
    (free,) = (int(line.split()[1]) << 10 for line in told.splitlines() if "MemFree" in line)
    size = free // 10 * 8 // _TOUCHED_BYTES * _TOUCHED_BYTES
    with mmap.mmap(-1, max(size, _TOUCHED_BYTES)) as memory:
        for at in range(0, size, _TOUCHED_BYTES):
            memory[at : at + _TOUCHED_BYTES] = b"1" * _TOUCHED_BYTES


def warm(root: Path) -> None:
    """Read every file once, so that every side finds its input in the page cache."""
    for path in sorted(root.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                while file.read(1 << 20):
                    pass


def stored_bytes(root: Path) -> int:
    """Return the sum of the sizes of all files below a folder."""
    return sum(path.lstat().st_size for path in root.rglob("*") if not path.is_dir())


def differences(original: Path, restored: Path) -> list[str]:
    """Return what differs between two trees: names, kinds, modes, times and every byte."""
    theirs = {path.relative_to(restored) for path in restored.rglob("*")}
    ours = {path.relative_to(original) for path in original.rglob("*")}
    found = [f"{path}: only on one side" for path in sorted(ours ^ theirs)]
    for path in sorted(ours & theirs):
        one, other = (original / path).lstat(), (restored / path).lstat()
        if (one.st_mode, one.st_mtime_ns) != (other.st_mode, other.st_mtime_ns):
            found.append(f"{path}: mode or time")
        if (original / path).is_file() and not _equal(original / path, restored / path):
            found.append(f"{path}: content")
    return found


def database_differences(original: Path, restored: Path) -> list[str]:
    """Return what differs between two SQLite files, apart from counters in their headers.

    SQLite's own backup call writes new counters of changes and of schemas into a copy, so they
    cannot be those of the original; every other byte must be.
    """
    return [] if _equal(original, restored, _COUNTERS) else [f"{restored.name}: content"]


def _equal(one: Path, other: Path, passed_over: Sequence[slice] = ()) -> bool:
    with one.open("rb") as left, other.open("rb") as right:
        while True:
            block, against = bytearray(left.read(1 << 20)), bytearray(right.read(1 << 20))
            for part in passed_over:
                block[part] = against[part] = b""
            if block != against:
                return False
            passed_over = ()
            if not block:
                return True
