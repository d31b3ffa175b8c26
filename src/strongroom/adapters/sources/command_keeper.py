"""The keeper: a small process between Strongroom and a command, so that neither outlives the other.

It runs as a program of its own, with nothing but the standard library, and starts the command. When
Strongroom lets go of it, killed or not, it ends the command with its whole group. Until then it
holds the command's stdin open: a pipe whose writer was killed looks finished to the reader, and a
reader must never take half a stream for the whole. So it ignores the signals that ask a service or
a session to end: Strongroom has them, too, and lets go.

Arguments: the socket to Strongroom, the writing end of the command's stdin (-1: none), the seconds
between asking the command to end and killing it, the program, and the command as it was typed.
On the socket it says `started PID` or `failed ERRNO`, and `ended CODE` (-N: by signal N). A byte
from Strongroom means that the command's input was complete.
"""

import os
import signal
import sys
import threading
import time

WAIT_SECONDS = 0.02
IGNORED = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


def keep(control: int, held: int, grace_seconds: float, program: str, command: list[str]) -> None:
    """Run a command until it and Strongroom are done with each other."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    try:
        child = os.posix_spawn(
            program,
            command,
            os.environ,  # noqa: TID251 - the few variables that Strongroom gave this process
            setsid=True,
            # Python ignores the first two, and what is ignored is inherited.
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ, *IGNORED],
        )
    except OSError as error:
        _say(control, f"failed {error.errno}")
        return
    _say(control, f"started {child}")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        # Its own copies would keep the command's pipes open after it.
        os.dup2(nowhere, stream)

    def listen() -> None:
        while _hear(control):
            os.close(held)
        _end(child, grace_seconds)

    listener = threading.Thread(target=listen)
    listener.start()
    # Waited for, not reaped: until this process ends, the number of the group is nobody else's.
    ended = os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    if ended is not None:
        by_itself = ended.si_code == os.CLD_EXITED
        _say(control, f"ended {ended.si_status if by_itself else -ended.si_status}")
    listener.join()


def _end(child: int, grace_seconds: float) -> None:
    """End what is left of the command's group; politely first, where there is time."""
    until = time.monotonic() + grace_seconds
    if grace_seconds:
        _signal(child, signal.SIGTERM)
    while time.monotonic() < until and _runs(child):
        time.sleep(WAIT_SECONDS)
    _signal(child, signal.SIGKILL)


def _runs(child: int) -> bool:
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None


def _signal(group: int, number: int) -> None:
    try:
        os.killpg(group, number)
    except OSError:
        # All of it has ended, or has become somebody whom we may not signal.
        return


def _hear(control: int) -> bytes:
    try:
        return os.read(control, 1)
    except OSError:
        # It went with something of ours unread.
        return b""


def _say(control: int, text: str) -> None:
    try:
        os.write(control, f"{text}\n".encode())
    except OSError:
        # Strongroom is gone; `listen` notices.
        return


if __name__ == "__main__":
    for handle in map(int, sys.argv[1:3]):
        if handle >= 0:
            os.set_inheritable(handle, False)
    keep(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4], sys.argv[5:])
