"""Runs a command for a source or a restore: found, started under a keeper, read or fed, ended.

The command gets no shell, `/` as its folder, and an environment that is the same by day and by
night, so nothing of the caller's reaches it, and what works once works again. One loop serves all
its pipes: a command that writes much to stderr never blocks, and only the end of that is kept.
"""

import contextlib
import fcntl
import os
import pwd
import selectors
import signal
import socket
import subprocess
import sys
import termios
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from strongroom.adapters.sources import command_keeper
from strongroom.adapters.sources.errors import CommandFailed, ProgramMissing, printable, reason
from strongroom.clock import Clock

PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
BLOCK_BYTES: Final = 1 << 20
STDERR_BYTES_MAX: Final = 4096
STDERR_LINES_MAX: Final = 40
STDERR_LINES_SHOWN: Final = 3
_READ_BYTES: Final = 1 << 16
_INT_BYTES: Final = 4
_LOOK_AGAIN_SECONDS: Final = 0.01
_ENDED_EARLY: Final = ("ended before it had taken everything", "its exit code is 0")
_KEEPER_LOST: Final = ("was ended", "the process that kept it was killed")
_LOOK: Final = "It may have done a part of its work: look before you run the restore again."


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a command may take to end that closed its pipe, or that was asked to end."""

    ending_seconds_max: float = 300.0
    grace_seconds: float = 5.0


PATIENCE: Final = Patience()


def find_program(name: str) -> str:
    """Return the path of a program: the name itself when absolute, or where PATH above has it."""
    folders = [""] if name.startswith("/") else PATH.split(":")
    for folder in folders:
        path = os.path.join(folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK, effective_ids=True):
            return path
    shown = printable(os.fsencode(name))
    if name.startswith("/"):
        why = "it may not be executed" if os.path.lexists(name) else "No such file or directory"
        raise ProgramMissing(f"{shown} cannot be run", why)
    raise ProgramMissing(f"there is no program {shown}", f"it is looked for in {PATH}")


class RunningCommand:
    """One command at work, to be read from or fed; `close` ends whatever is left of it."""

    def __init__(
        self, arguments: Sequence[str], clock: Clock, patience: Patience, *, fed: bool = False
    ) -> None:
        self.name = printable(os.fsencode(os.path.basename(arguments[0])))
        self._clock = clock
        self._patience = patience
        self._fed = fed
        self._pid = 0
        self._code: int | None = None
        self._words = b""
        self._stderr = bytearray()
        self.stderr_bytes = 0
        program = find_program(arguments[0])
        self._selector = selectors.PollSelector()
        with contextlib.ExitStack() as theirs:
            self._control, control = socket.socketpair()
            theirs.enter_context(control)
            self._errors, errors = os.pipe()
            theirs.callback(os.close, errors)
            reading, writing = os.pipe()
            self._data, data = (writing, reading) if fed else (reading, writing)
            theirs.callback(os.close, data)
            try:
                self._keeper = _start_keeper(
                    (control.fileno(), writing if fed else -1, data, errors),
                    program,
                    arguments,
                    # One that is read may tidy up; one that is fed could take that for the end.
                    0.0 if fed else patience.grace_seconds,
                )
            except OSError as error:
                self._close_pipes()
                raise self._failed("cannot be started", reason(error)) from error
        self._prepare()

    def read(self) -> bytes:
        """Return the next bytes of its stdout, at most BLOCK_BYTES; none when all was read."""
        limit = self._patience.ending_seconds_max
        while True:
            ready = self._step(None if self._code is None else limit)
            if self._data in ready:
                block = os.read(self._data, BLOCK_BYTES)
                if not block:
                    self._selector.unregister(self._data)
                return block
            if not ready:
                raise self._failed(
                    "has ended, and its output stays open",
                    f"what it started said nothing for {limit:.0f} seconds",
                )

    def write(self, block: bytes) -> None:
        """Feed it bytes; raises when it has ended or no longer reads."""
        left = memoryview(block)
        self._selector.register(self._data, selectors.EVENT_WRITE)
        try:
            while left:
                if self._code is not None:
                    # What it started may still read; but who should judge the end of that?
                    raise BrokenPipeError
                if self._data in self._step(None):
                    with contextlib.suppress(BlockingIOError):
                        left = left[os.write(self._data, left) :]
        except BrokenPipeError as error:
            self._wait(self._patience.grace_seconds)
            raise self._failed(*_ENDED_EARLY) from error
        finally:
            self._selector.unregister(self._data)

    def complete(self) -> None:
        """Let it see the end of its input, then wait until it is done, however long it takes."""
        while self._unread_bytes():
            # One that ends with code 0 and has not read all cannot be believed.
            if self._code is not None:
                self._wait(0)
                raise self._failed(*_ENDED_EARLY)
            self._step(_LOOK_AGAIN_SECONDS)
        try:
            # From here on the command may take what it was fed as whole.
            self._control.send(b".")
        except OSError as error:
            raise self._failed(*_KEEPER_LOST) from error
        os.close(self._data)
        self._data = -1
        self._wait(None)

    def wait(self) -> None:
        """Wait for its end after its output; raises CommandFailed unless it ends with code 0."""
        self._wait(self._patience.ending_seconds_max)

    def _wait(self, seconds: float | None) -> None:
        began = self._clock.monotonic()
        while self._code is None:
            left = None if seconds is None else began + seconds - self._clock.monotonic()
            if left is not None and left <= 0:
                raise self._failed(
                    "closed its pipe and goes on", f"it did not end within {seconds:.0f} seconds"
                )
            self._step(left)
        self._drain()
        if self._code != 0:
            shown = " / ".join(self.stderr[-STDERR_LINES_SHOWN:])
            raise self._failed(_ended(self._code), shown or "it said nothing on stderr")

    @property
    def stderr(self) -> list[str]:
        """The last lines of what it said on stderr, safe to show on a terminal."""
        lines = bytes(self._stderr).splitlines()[-STDERR_LINES_MAX:]
        return [printable(line) for line in lines if line.strip()]

    def close(self) -> None:
        """End what is left of the command, and only then let go of its stdin; safe twice."""
        if self._control.fileno() < 0:
            return
        self._control.close()
        if self._keeper.wait() != 0 and self._code is None and self._pid:
            # The keeper was killed and cannot do it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
        self._selector.close()
        self._close_pipes()

    def _prepare(self) -> None:
        self._selector.register(self._control, selectors.EVENT_READ)
        self._selector.register(self._errors, selectors.EVENT_READ)
        # Fewer turns for large streams; a system that allows less is as correct.
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._data, fcntl.F_SETPIPE_SZ, BLOCK_BYTES)
        for pipe in (self._errors, self._data):
            os.set_blocking(pipe, False)
        try:
            while not self._pid:
                self._step(None)
        except BaseException:
            self.close()
            raise
        if not self._fed:
            self._selector.register(self._data, selectors.EVENT_READ)

    def _step(self, seconds: float | None) -> set[int]:
        """Wait for something to happen and return which pipes it was; none when time was up."""
        ready = {key.fd for key, _ in self._selector.select(seconds)}
        if self._errors in ready and not self._read_errors():
            self._selector.unregister(self._errors)
        if self._control.fileno() in ready:
            self._listen()
        return ready

    def _unread_bytes(self) -> int:
        """Return how much of what it was fed still lies in the pipe."""
        count = fcntl.ioctl(self._data, termios.FIONREAD, bytes(_INT_BYTES))
        return int.from_bytes(count, sys.byteorder)

    def _read_errors(self) -> bool:
        """Keep the end of what there is on stderr; False at its end."""
        block = os.read(self._errors, _READ_BYTES)
        self.stderr_bytes += len(block)
        self._stderr += block
        del self._stderr[:-STDERR_BYTES_MAX]
        return bool(block)

    def _drain(self) -> None:
        """Take what it said last; what it started may hold the pipe open, so never wait."""
        with contextlib.suppress(BlockingIOError):
            while self._read_errors():
                pass

    def _listen(self) -> None:
        """Take what the keeper says."""
        heard = self._control.recv(_READ_BYTES)
        *lines, self._words = (self._words + heard).split(b"\n")
        for line in lines:
            word, _, number = line.partition(b" ")
            if word == b"failed":
                raise self._failed("cannot be started", os.strerror(int(number)))
            if word == b"started":
                self._pid = int(number)
            else:
                self._code = int(number)
        if not heard:
            self._selector.unregister(self._control)
            if self._code is None:
                raise self._failed(*_KEEPER_LOST)

    def _failed(self, what: str, why: str) -> CommandFailed:
        return CommandFailed(f"{self.name} {what}", why, _LOOK if self._fed else None)

    def _close_pipes(self) -> None:
        self._control.close()
        for pipe in (self._data, self._errors):
            if pipe >= 0:
                os.close(pipe)


def _start_keeper(
    handles: tuple[int, int, int, int],
    program: str,
    arguments: Sequence[str],
    grace_seconds: float,
) -> "subprocess.Popen[bytes]":
    control, held, data, errors = handles
    fed = held >= 0
    return subprocess.Popen(  # noqa: S603 - a list, no shell; the program is what was asked for
        [
            sys.executable,
            "-IS",
            command_keeper.__file__,
            str(control),
            str(held),
            str(grace_seconds),
            program,
            *arguments,
        ],
        stdin=data if fed else subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if fed else data,
        stderr=errors,
        pass_fds=(control, held) if fed else (control,),
        env=_environment(),
        cwd="/",
        # A Ctrl-C at the terminal is for Strongroom, which ends the command itself.
        start_new_session=True,
    )


def _environment() -> dict[str, str]:
    try:
        home = pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        home = "/"
    return {"PATH": PATH, "HOME": home, "LANG": "C.UTF-8"}


def _ended(code: int) -> str:
    if code > 0:
        return f"ended with exit code {code}"
    names = {one.value: one.name for one in signal.Signals}
    return f"was killed by {names.get(-code, f'signal {-code}')}"
