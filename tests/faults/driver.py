"""Runs the command line in a process that kills itself at a chosen storage call.

`python -m tests.faults.driver PLAN ARGUMENT...`, where PLAN is JSON: `kill_at` (a number of a
moment, from 1; 0 never), `count_to` (a file for the number of moments met), `chance_to` (a file for
every random byte string drawn, in hexadecimal), `memory_max` (SQLite above it is spooled),
`kill_after_sql` (the process ends after the first statement of SQLite that begins so).

A moment lies before and after every call that changes storage, and in the middle of every write.
"""

import importlib
import json
import os
import secrets
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_lock = threading.Lock()


class Moments:
    """Counts moments and ends the process, as a power cut would, at the chosen one."""

    def __init__(self, kill_at: int, number: int = signal.SIGKILL) -> None:
        self.met = 0
        self._kill_at = kill_at
        self._signal = number

    def reached(self) -> None:
        with _lock:
            self.met += 1
            if self.met == self._kill_at:
                os.kill(os.getpid(), self._signal)

    def will_kill(self) -> bool:
        return self.met + 1 == self._kill_at

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function with a moment before and after it."""

        def wrapped(*arguments: Any, **named: Any) -> Any:
            self.reached()
            result = function(*arguments, **named)
            self.reached()
            return result

        return wrapped


def watch_storage(moments: Moments, kill_after_sql: str | None) -> None:
    """Put moments around everything that changes a disk."""
    for name in ("fsync", "link", "unlink", "mkdir", "rename", "replace", "ftruncate", "rmdir"):
        setattr(os, name, moments.around(getattr(os, name)))
    plain_open, plain_write = os.open, os.write

    def watched_open(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if not flags & os.O_CREAT:
            return plain_open(path, flags, *arguments, **named)
        moments.reached()
        handle = plain_open(path, flags, *arguments, **named)
        moments.reached()
        return handle

    def watched_write(handle: int, data: Any) -> int:
        moments.reached()
        done = 0
        if moments.will_kill():
            done = plain_write(handle, memoryview(data)[: len(data) // 2])
        moments.reached()
        # Ctrl-C interrupts the main thread only: a worker goes on, and must not write a half twice.
        return done + plain_write(handle, memoryview(data)[done:])

    # The watched ones stand in for the module's own; every caller looks them up by name.
    vars(os).update(open=watched_open, write=watched_write)

    class Connection(sqlite3.Connection):
        def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
            if sql != "COMMIT":
                done = super().execute(sql, *arguments)
                if kill_after_sql and sql.startswith(kill_after_sql):
                    os.kill(os.getpid(), signal.SIGKILL)
                return done
            moments.reached()
            cursor = super().execute(sql, *arguments)
            moments.reached()
            return cursor

    plain_connect = sqlite3.connect

    def connect(*arguments: Any, **named: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = plain_connect(
            *arguments, **{"factory": Connection, **named}
        )
        return connection

    vars(sqlite3).update(connect=connect)


def record_chance(path: Path) -> None:
    """Write every random byte string that the package draws to a file."""
    plain = secrets.token_bytes
    # Opened by the C library's own call, so that it is none of the moments.
    out = path.open("a", encoding="ascii", buffering=1)

    def token(size: int) -> bytes:
        drawn = plain(size)
        out.write(drawn.hex() + "\n")
        return drawn

    vars(secrets).update(token_bytes=token)


def main(plan: dict[str, Any], arguments: list[str]) -> int:
    """Run the command line under the plan."""
    moments = Moments(plan["kill_at"], plan.get("signal", signal.SIGKILL))
    if plan.get("chance_to"):
        record_chance(Path(plan["chance_to"]))
    # Chance is taken over before the package is loaded; storage after, so imports do not count.
    sqlite_source = importlib.import_module("strongroom.adapters.sources.sqlite")
    command_line = importlib.import_module("strongroom.cli.main")

    if plan.get("memory_max") is not None:
        plain_plan = sqlite_source.SpoolPlan

        def small_plan(*given: Any) -> Any:
            folder, clock, token = given
            return plain_plan(folder, clock, token, memory_bytes_max=plan["memory_max"])

        vars(sqlite_source).update(SpoolPlan=small_plan)
    watch_storage(moments, plan.get("kill_after_sql"))
    code: int = command_line.run(arguments)
    if plan.get("count_to"):
        Path(plan["count_to"]).write_text(str(moments.met), encoding="ascii")
    return code


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))
