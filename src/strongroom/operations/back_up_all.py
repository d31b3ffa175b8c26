"""`backup --all`: a few clients at a time, reported in the order in which they were given.

The backup of a small database mostly waits for disks and locations, so while one client waits
another computes. Each has its own vault, lock and databases; the custodians take turns. One
client's failure stops no other.

Whatever is not a small SQLite database is left to the caller's own thread, one at a time, when no
other backup runs. Two large ones would fill memory with their copies and with packs on their way; a
command or a server may be waited for, and only the thread that takes Ctrl-C can be stopped there;
and who reads a folder opens and closes the files of databases in it, which would drop the locks by
which this process holds them still.
"""

import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from typing import Final

from strongroom.clients import Client
from strongroom.errors import StrongroomError
from strongroom.operations.back_up import BackupReport, MayBeLarge, back_up_prepared, prepare
from strongroom.operations.deployment import Companion, Deployment
from strongroom.operations.side_by_side import Lanes
from strongroom.vault import Vault

COMPANIONS_MAX: Final = 3
"""More processes than these would queue at the custodians, each of which signs one at a time."""
MANY: Final = 24
"""How many clients are worth another process, which needs as long to start as these take."""
_LOOK_SECONDS: Final = 0.1


class _Reading:
    """How much all clients have read; each backup reports here, and is told here to stop."""

    def __init__(self) -> None:
        self._done: dict[str, int] = {}
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End every backup at its next report, as Ctrl-C ends one that runs alone."""
        self._stopped.set()

    def of(self, client: Client) -> Callable[[Vault.Progress], None]:
        """Return what one client's backup reports to."""

        def report(progress: Vault.Progress) -> None:
            self._done[client.id] = progress.done_bytes
            if self._stopped.is_set():
                raise KeyboardInterrupt

        report(Vault.Progress(0, None))
        return report

    def kept(self, client: Client, report: BackupReport) -> None:
        """Count all that was read for a client, perhaps by another process."""
        self._done[client.id] = report.read_bytes

    def total(self) -> Vault.Progress:
        """Return the sum; how much there will be is not known."""
        return Vault.Progress(sum(self._done.copy().values()), None)


def back_up_all(
    deployment: Deployment, clients: Sequence[Client], progress: Callable[[Vault.Progress], None]
) -> Generator[tuple[Client, BackupReport | StrongroomError], None, None]:
    """Back the clients up and yield what became of each, in their order.

    `progress` is called in the caller's thread. When the caller stops, or anything but a
    StrongroomError comes up, backups that run end cleanly and no other begins.
    """
    prepare(deployment)
    # Another process may record what it does; that the logs are witnessed is for this one, also
    # where the caller stops or that process died.
    deployment.touched.update(client.id for client in clients)
    with ExitStack() as stack:
        companions: list[Companion] = []
        # Without them it only takes longer: a machine that starts no process still backs up.
        with suppress(OSError):
            companions.extend(
                stack.enter_context(deployment.tools.companion())
                for _ in range(_companions(deployment, clients))
            )
        yield from _back_up_all(deployment, clients, progress, companions)


def _companions(deployment: Deployment, clients: Sequence[Client]) -> int:
    """Return how many more processes help: one for each core but the first, if there are many."""
    return min(deployment.tools.threads - 1, COMPANIONS_MAX) if len(clients) >= MANY else 0


def _back_up_all(
    deployment: Deployment,
    clients: Sequence[Client],
    progress: Callable[[Vault.Progress], None],
    companions: Sequence[Companion],
) -> Generator[tuple[Client, BackupReport | StrongroomError], None, None]:
    reading = _Reading()

    def here(client: Client) -> BackupReport:
        return back_up_prepared(deployment, client, reading.of(client), only_small=True)

    def large(client: Client) -> BackupReport:
        note = reading.of(client)

        def report(done: Vault.Progress) -> None:
            note(done)
            progress(reading.total())

        return back_up_prepared(deployment, client, report)

    lanes = Lanes(here, companions)
    pool = ThreadPoolExecutor(lanes.count, thread_name_prefix="client")
    try:
        tasks = [(client, pool.submit(lanes.back_up, client)) for client in clients]
        for client, task in tasks:
            _watch(task, lambda: progress(reading.total()))
            if _left(task):
                for _, other in tasks:
                    _watch(other, lambda: progress(reading.total()))
                lanes.stop()
            try:
                report = large(client) if _left(task) else task.result()
            except StrongroomError as err:
                yield client, err
            else:
                reading.kept(client, report)
                yield client, report
    finally:
        reading.stop()
        lanes.stop()
        pool.shutdown(cancel_futures=True)


def _watch(task: Future[BackupReport], look: Callable[[], None]) -> None:
    while not task.done():
        look()
        wait((task,), _LOOK_SECONDS)


def _left(task: Future[BackupReport]) -> bool:
    """Say whether a client was left to the caller's thread."""
    return isinstance(task.exception(), MayBeLarge)
