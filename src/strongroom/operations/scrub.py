"""`vault scrub`: read again what lies at the locations, oldest look first, and note what it is.

No key is used and nothing is written to a location. A run reads a share of all bytes, so that a
daily one comes round in so many days; what it saw is noted every few objects, and a run that was
interrupted is gone on with by the next. Damage stays noted until a later look finds it mended.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from strongroom.clients import Client, History
from strongroom.clock import Clock
from strongroom.errors import UsageError
from strongroom.locations import LocationUnavailable
from strongroom.operations.deployment import Deployment
from strongroom.operations.lost_objects import note_lost
from strongroom.operations.survey import Survey, note_lacking, survey
from strongroom.vault import Vault

SHARE_MAX: Final = 10_000
RATE_BYTES_MIN: Final = 1_000
NOTES_MAX: Final = 100
NOTED_BYTES_MAX: Final = 64 << 20
NOTED_SECONDS_MAX: Final = 2.0
"""What was seen is written down after so many objects, bytes or seconds."""
INTERRUPTED_AT_MOST: Final = timedelta(days=7)
"""An interrupted round that began longer ago is not gone on with: a new one begins."""


@dataclass(frozen=True, slots=True)
class ScrubRequest:
    """`share` is how many runs read everything once; the rate is of bytes a second, or None."""

    share: int = 30
    rate_bytes: int | None = None

    def __post_init__(self) -> None:
        """Refuse what would read nothing, or never end."""
        if not 1 <= self.share <= SHARE_MAX:
            raise UsageError(
                f"a share of 1/{self.share} cannot be read",
                f"wanted `whole`, or 1/2 to 1/{SHARE_MAX}",
            )
        if self.rate_bytes is not None and self.rate_bytes < RATE_BYTES_MIN:
            raise UsageError(
                f"a rate of {self.rate_bytes} bytes a second is too low",
                f"wanted at least {RATE_BYTES_MIN}",
            )


@dataclass(frozen=True, slots=True)
class CopyTrouble:
    """A copy that is not what it should be, when that was seen, and what it is."""

    kind: History.CopyState
    location: str
    object: str
    seen_at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class ScrubReport:
    """What one run read, and every trouble that is known now, found by this run or before.

    `not_judged` counts objects that only a custodian which is not here could compare,
    `lost_objects` the packs and keys objects among the problems that no location has.
    """

    client: str
    share: int
    read_objects: int
    read_bytes: int
    total_bytes: int
    locations: list[str]
    absent: dict[str, str]
    never_read: int
    oldest_read_at: datetime | None
    not_judged: int
    elapsed_seconds: float
    lost_objects: int
    problems: list[CopyTrouble]


class Pace:
    """Keeps a reader below so many bytes a second by pausing after what it has read."""

    def __init__(
        self, clock: Clock, pause: Callable[[float], None], bytes_per_second: int | None
    ) -> None:
        self._clock = clock
        self._pause = pause
        self._rate = bytes_per_second
        self._free_at = 0.0

    def spend(self, count: int) -> None:
        """Wait until as many bytes may have been read; time that was idle is not saved up."""
        if self._rate is None:
            return
        now = self._clock.monotonic()
        self._free_at = max(self._free_at, now) + count / self._rate
        if self._free_at > now:
            self._pause(self._free_at - now)


def scrub_vault(
    deployment: Deployment,
    client: Client,
    request: ScrubRequest,
    progress: Callable[[Vault.Progress], None],
) -> ScrubReport:
    """Read a share of a client's objects at every location that answers, and note what they are."""
    tools = deployment.tools
    started, now = tools.clock.monotonic(), tools.clock.now()
    with tools.history(client.id) as history:
        found = survey(deployment, client, history)
        begun = history.copies.begin_round(request.share, now, now - INTERRUPTED_AT_MOST)
        note_lacking(found, history)
        walk = _Walk(found, history, Pace(tools.clock, tools.pause, request.rate_bytes))
        walk.read_share(request.share, begun, progress)
        history.copies.end_round(tools.clock.now())
        seen = {name: history.copies.seen(name) for name in found.listed}
        troubles = history.copies.troubles()
        lost = note_lost(found, history, {(one.location, one.object) for one in troubles})
        times = [at for each in seen.values() for at in each.values()]
        report = ScrubReport(
            client=client.name,
            share=request.share,
            read_objects=walk.objects,
            read_bytes=walk.bytes,
            total_bytes=walk.total_bytes,
            locations=sorted(found.listed),
            absent=found.away,
            never_read=sum(len(keys.keys() - seen[n].keys()) for n, keys in found.listed.items()),
            oldest_read_at=min(times, default=None),
            not_judged=len({one.object for one in troubles if one.state == "unknown"}),
            elapsed_seconds=round(tools.clock.monotonic() - started, 3),
            lost_objects=len(lost),
            problems=_known(troubles, deployment.copies.locations),
        )
        history.record(
            deployment.fact(
                "vault.scrubbed",
                client.id,
                objects=report.read_objects,
                bytes=report.read_bytes,
                share=report.share,
                locations=deployment.location_ids(report.locations),
                absent=deployment.location_ids(report.absent),
                problems=len(report.problems),
            )
        )
    return report


def _known(notes: Iterable[History.CopyNote], locations: Iterable[str]) -> list[CopyTrouble]:
    """Return what is noted of these locations and is not as it should be."""
    names = frozenset(locations)
    return [
        CopyTrouble(one.state, one.location, one.object, one.seen_at, one.why)
        for one in notes
        if one.location in names and one.state != "unknown"
    ]


class _Walk:
    """Reads copies one by one, and writes down what it saw every few objects."""

    def __init__(self, found: Survey, history: History, pace: Pace) -> None:
        self.objects = 0
        self.bytes = 0
        self.total_bytes = sum(sum(keys.values()) for keys in found.listed.values())
        self._found = found
        self._history = history
        self._pace = pace
        self._clock = found.deployment.tools.clock
        self._notes: list[History.CopyNote] = []
        self._noted_bytes = 0
        self._noted_at = self._clock.monotonic()

    def read_share(
        self, share: int, begun: datetime, progress: Callable[[Vault.Progress], None]
    ) -> None:
        """Read copies until a share of all bytes was read since the round began."""
        wanted = -(-self.total_bytes // share)
        rows = self._oldest_first()
        sizes = self._found.listed
        # What an interrupted run of this round has read counts, and is not read again.
        done = sum(sizes[name][key] for at, name, key in rows if at is not None and at >= begun)
        try:
            for at, name, key in rows:
                if (at is not None and at >= begun) or (share > 1 and done >= wanted):
                    break
                if name not in sizes:
                    continue  # It stopped answering.
                size = sizes[name][key]
                self._look(name, key)
                done += size
                progress(Vault.Progress(done, wanted))
        finally:
            self._write()

    def _oldest_first(self) -> list[tuple[datetime | None, str, str]]:
        """Return when each copy was looked at last, and where it is; never comes first.

        A time in the future was noted under a wrong clock, and counts as never.
        """
        now = self._clock.now()
        rows: list[tuple[datetime | None, str, str]] = []
        for name, keys in self._found.listed.items():
            seen = self._history.copies.seen(name)
            for key in keys:
                at = seen.get(key)
                rows.append((at if at is not None and at <= now else None, name, key))
        return sorted(rows, key=lambda row: (row[0] is not None, row[0] or now, row[2], row[1]))

    def _look(self, name: str, key: str) -> None:
        try:
            state, why, count = self._found.judge(name, key)
        except LocationUnavailable as err:
            # What was not looked at keeps its older time, and comes first the next time.
            self._found.leave(name, str(err))
            return
        self.objects += 1
        self.bytes += count
        self._noted_bytes += count
        self._notes.append(History.CopyNote(name, key, state, self._clock.now(), why))
        late = self._clock.monotonic() - self._noted_at >= NOTED_SECONDS_MAX
        if late or len(self._notes) >= NOTES_MAX or self._noted_bytes >= NOTED_BYTES_MAX:
            self._write()
        self._pace.spend(count)

    def _write(self) -> None:
        self._history.copies.write(self._notes)
        self._notes.clear()
        self._noted_bytes = 0
        self._noted_at = self._clock.monotonic()
