"""The crash matrix: what may happen to an install, in any order, and what must hold whatever does.

The promise that is tested (docs/contributing/the-crash-matrix.md): at any time one of three
locations, and only one, may be lost, behind, lying, stale or damaged; that one is `weak` until a
whole repair. Faults that hit all locations at once fail commands and lose nothing. While `t`
custodians are there every good snapshot restores, equal to what its sources held; no restore ever
gives other bytes, whatever is struck; and what fails names a culprit.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from strongroom.errors import StrongroomError
from strongroom.operations.back_up import BackupReport
from strongroom.operations.check_vault import Problem
from strongroom.operations.deployment import Deployment
from tests.faults.matrix.blows import BLOWS, LOOKS, STORMS, Blow, several
from tests.faults.matrix.commands import (
    PRUNE_RULES,
    Scrubbed,
    back_up_some,
    check,
    prune_one,
    repair_all,
    scrub_all,
)
from tests.faults.matrix.live import Content
from tests.faults.matrix.world import (
    CLIENTS,
    CUSTODIANS,
    KEEP,
    LOCATIONS,
    THRESHOLD,
    MatrixWorld,
    names_a_culprit,
)
from tests.support.apart import Ended
from tests.support.misbehaving_location import Fault

PLACES: Final = st.sampled_from(LOCATIONS)
SOME: Final = st.sampled_from((("plain",), ("twice",), ("plain", "twice")))
MAYBE_BLOWS: Final = st.none() | BLOWS
KITS: Final = st.sampled_from(((1, 2), (1, 3), (2, 3), (1, 2, 3)))


class CrashMatrix(RuleBasedStateMachine):
    """Strikes one install; every example begins with a good snapshot of each client."""

    def __init__(self, world: MatrixWorld) -> None:
        super().__init__()
        self.world = world
        world.reset()
        self.log: list[str] = []
        self.failed = False
        self.weak: str | None = None
        self.gone = False
        """Whether the weak location is away."""
        self.damaged = False
        """Whether the weak location holds objects that are not what was put there."""
        self.halfway = False
        """Whether a scrub was stopped, with which the next one goes on."""
        self.uneven = False
        """Whether something may have been left out anywhere since the last whole repair."""
        self.present = set(CUSTODIANS)
        self.asleep: set[int] = set()

    # -- what people and applications do

    @rule(client=st.sampled_from(tuple(CLIENTS)), versions=st.integers(1, 3))
    def an_application_writes(self, client: str, versions: int) -> None:
        for _ in range(versions):
            self.world.next_version(client)

    @rule(clients=SOME, blow=MAYBE_BLOWS, place=PLACES)
    def back_up(self, clients: tuple[str, ...], blow: Blow | None, place: str) -> None:
        self.say(f"back up {', '.join(clients)}: {blow} at {self.target(place)}")
        ended = self.strike(back_up_some(clients), blow, place)
        states = self.world.note(clients)
        self.world.counts["backups"] += len(clients)
        if ended.result is not None:
            for client, report in ended.result:
                self.judge_backup(client, report, states[client], blow, ended)
        elif ended.error is not None:
            self.judge_refusal("backup", ended.error, blow, ended)
        self.nothing_good_is_forgotten(states)

    @rule(client=st.sampled_from(tuple(CLIENTS)), blow=BLOWS, place=PLACES)
    def back_up_what_changed(self, client: str, blow: Blow, place: str) -> None:
        """What happens most often, and most dangerously: a change, a backup, a fault in it."""
        self.an_application_writes(client, 1)
        self.back_up((client,), blow, place)

    @rule(blow=MAYBE_BLOWS, place=PLACES)
    def repair(self, blow: Blow | None, place: str) -> None:
        self.say(f"repair: {blow} at {self.target(place)}")
        ended = self.strike(repair_all, blow, place)
        self.world.counts["repairs"] += 1
        if ended.error is not None:
            # One location that fails stops a repair, which says so and is run again.
            self.hold(self.weak is not None or ended.told, str(ended.error))
        elif ended.result is not None and not ended.told:
            self.judge_repair(ended.result)

    @rule(share=st.sampled_from((1, 1, 3)), blow=st.none() | LOOKS, place=PLACES)
    def scrub(self, share: int, blow: Blow | None, place: str) -> None:
        self.say(f"scrub 1/{share}: {blow} at {self.target(place)}")
        before = self.world.held_of_vaults()
        ended = self.strike(scrub_all(share), blow, place)
        self.hold(self.world.held_of_vaults() == before, "a scrub changed a vault")
        self.world.counts["scrubs"] += 1
        if ended.error is not None:
            self.judge_refusal("scrub", ended.error, blow, ended)
        elif ended.result is not None and not ended.told and share == 1 and not self.halfway:
            self.judge_scrub(ended.result)
        self.halfway = ended.result is None

    @rule(
        client=st.sampled_from(tuple(CLIENTS)),
        oldest=st.none() | st.integers(1, 3),
        blow=MAYBE_BLOWS,
        place=PLACES,
    )
    def prune(self, client: str, oldest: int | None, blow: Blow | None, place: str) -> None:
        """Some days of backups; announce what goes; later, delete it, and announce again."""
        for _ in range(3):
            self.an_application_writes(client, 1)
            self.back_up((client,), None, place)
            self.world.clock.at += timedelta(days=1)
        for _ in range(2):
            self.say(f"prune {client}, oldest {oldest}: {blow} at {self.target(place)}")
            before = len(self.good_of(client))
            ended = self.strike(prune_one(client, oldest), blow, place)
            self.nothing_good_is_forgotten(self.world.note(()))
            left = len(self.good_of(client))
            self.hold(left >= min(before, KEEP.floor), f"{client}: {before} good, {left} left")
            self.world.counts["prunes"] += 1
            self.world.counts["snapshots buried"] += before - left
            if ended.error is not None:
                by_rule = ended.error.what.partition(":")[0] in PRUNE_RULES
                allowed = by_rule or self.weak is not None or several(blow, ended)
                self.hold(allowed, f"prune refused: {ended.error}")
            if ended.result is not None:
                self.world.counts["objects deleted"] += ended.result.deleted_objects
            self.world.clock.at += timedelta(days=4)

    @rule(client=st.sampled_from(tuple(CLIENTS)), which=st.integers(0, 30))
    def restore(self, client: str, which: int) -> None:
        good = self.good_of(client)
        self.restore_one(client, good[which % len(good)])

    @rule(
        client=st.sampled_from(tuple(CLIENTS)),
        which=st.integers(0, 30),
        storm=st.tuples(*[st.none() | STORMS] * len(LOCATIONS)),
    )
    def restore_in_a_storm(
        self, client: str, which: int, storm: tuple[Blow | None, Blow | None, Blow | None]
    ) -> None:
        """More goes wrong than was promised: bytes are right or there are none."""
        good = self.good_of(client)
        snapshot = good[which % len(good)]
        struck = {name: blow for name, blow in zip(LOCATIONS, storm, strict=True) if blow}
        self.say(f"restore {client} {snapshot[:12]} under {struck}")
        try:
            found = self.world.restored(client, snapshot, struck)
        except StrongroomError as err:
            self.world.counts["restores refused in a storm"] += 1
            self.hold(names_a_culprit(err), f"no culprit: {err!r} {err}")
        else:
            self.compare(client, snapshot, found)

    @rule(kits=KITS, blow=MAYBE_BLOWS, place=PLACES)
    def lose_the_machine_and_recover(
        self, kits: tuple[int, ...], blow: Blow | None, place: str
    ) -> None:
        self.say(f"recover with kits {kits}: {blow} at {self.target(place)}")
        self.world.lose_home()
        ended = self.strike(None, blow, place, kits)
        if ended.error is not None:
            self.judge_refusal("recovery", ended.error, blow, ended)
        if ended.result is None or (several(blow, ended) and ended.result[1]):
            # It ended early, or names what it could not read: people recover again.
            self.world.lose_home()
            ended = self.strike(None, None, place, kits)
        recovered = ended.result is not None and ended.result[0] == sorted(CLIENTS)
        self.hold(recovered, f"not recovered: {ended}")
        self.world.counts["recoveries"] += 1
        self.present, self.asleep = set(kits), set()
        self.uneven = True
        self.nothing_good_is_forgotten(self.world.note(()))

    # -- what happens to locations

    @rule(place=PLACES)
    def a_location_goes_away(self, place: str) -> None:
        if self.spoil(place) and not self.gone:
            self.gone = True
            self.world.away(self.target(place))
            self.world.counts["locations taken away"] += 1

    @rule()
    def a_location_comes_back(self) -> None:
        if self.weak is not None and self.gone:
            self.say(f"{self.weak} comes back as it was")
            self.world.back(self.weak)
            self.gone = False

    @rule(place=PLACES)
    def a_location_is_replaced_by_an_empty_one(self, place: str) -> None:
        if self.spoil(place) and not self.gone:
            self.world.empty(self.target(place))
            self.damaged = False
            self.world.counts["locations lost and replaced"] += 1

    @rule(place=PLACES, objects=st.lists(st.integers(0, 10**6), min_size=1, max_size=8))
    def a_location_rots(self, place: str, objects: list[int]) -> None:
        if self.spoil(place) and not self.gone:
            rotten = sum(self.world.rot(self.target(place), which) for which in objects)
            self.damaged |= rotten > 0
            self.world.counts["objects damaged"] += rotten

    @rule(place=PLACES)
    def a_location_lists_stale(self, place: str) -> None:
        name = self.target(place)
        if name in self.world.stale:
            self.say(f"{name} lists honestly again")
            del self.world.stale[name]
        elif self.spoil(place) and not self.gone:
            self.world.list_stale(name)
            self.world.counts["locations listing stale"] += 1

    @rule(place=PLACES)
    def a_location_lies_about_syncing(self, place: str) -> None:
        name = self.target(place)
        if name in self.world.unsynced:
            self.say(f"{name} syncs again")
            del self.world.unsynced[name]
        elif self.spoil(place) and not self.gone:
            self.world.lie(name)

    @rule()
    def the_power_fails(self) -> None:
        if not self.gone:
            self.say("the power fails")
            for name, held in self.world.unsynced.items():
                self.forget(name, held)

    # -- what happens to the machine and to custodians

    @rule(client=st.sampled_from(tuple(CLIENTS)))
    def an_index_is_lost(self, client: str) -> None:
        self.say(f"the index of {client} is lost")
        self.world.lose_index(client)
        self.world.counts["indexes lost"] += 1

    @rule(index=st.sampled_from(CUSTODIANS))
    def a_custodian_dies_or_wakes(self, index: int) -> None:
        if index in self.asleep:
            self.say(f"custodian {index} wakes")
            self.world.wake(index)
            self.asleep.remove(index)
        elif index in self.present:
            self.say(f"custodian {index} is down")
            self.world.sleep(index)
            self.asleep.add(index)
            self.world.counts["custodians down"] += 1

    @rule(days=st.sampled_from((-4000, -40, -1, 1, 40, 4000)))
    def the_clock_jumps(self, days: int) -> None:
        self.say(f"the clock jumps by {days} days")
        self.world.clock.at += timedelta(days=days)
        self.world.counts["clock jumps"] += 1

    # -- the end of every example: whatever was, a calm day mends it

    def teardown(self) -> None:
        if self.failed:
            return
        self.say("the end")
        self.every_good_snapshot_restores()
        if self.gone and self.weak is not None:
            self.world.back(self.weak)
            self.gone = False
        self.world.stale.clear()
        self.world.unsynced.clear()
        for index in sorted(self.asleep):
            self.world.wake(index)
        self.asleep.clear()
        self.calm_day()
        self.every_good_snapshot_restores()
        if self.weak is None:
            self.any_location_can_be_lost()

    def calm_day(self) -> None:
        """Back up, repair, check: nothing is left pending, left out, or wrong but what is known."""
        self.back_up(tuple(CLIENTS), None, LOCATIONS[0])
        for client, states in self.world.note(()).items():
            kept = self.world.kept[client]
            left = [
                at for at, one in states.items() if one != "good" and kept[at].home == self.home
            ]
            self.hold(left == [], f"{client}: {left} did not become good")
            self.hold(self.world.knowing(client) >= self.present, f"{client}: a late custodian")
        if self.damaged and self.weak is not None:
            self.mend_or_replace(self.weak)
        self.repair(None, LOCATIONS[0])
        for client in CLIENTS:
            ended = self.world.run(check(client), {})
            self.hold(ended.result is not None, f"check: {ended}")
            found = [one for one in ended.result.problems if not self.explained(client, one)]
            self.hold(found == [], f"check: {found}")

    def mend_or_replace(self, name: str) -> None:
        """Mend what scrubbing finds; what nothing is left to compare with goes with its place."""
        self.halfway = False
        self.scrub(1, None, name)
        self.repair(None, name)
        self.scrub(1, None, name)
        if self.damaged:
            self.world.empty(name)
            self.damaged = False

    def explained(self, client: str, problem: Problem) -> bool:
        """Say whether a kit that was not given explains it, or a machine lost amid a deletion."""
        kept, waiting = self.world.kept[client], self.world.waiting(client)
        begun = [at for at in problem.hit if kept[at].state == "buried" and at not in waiting]
        if problem.kind == "unknown" and "/kits/" in problem.object:
            return len(self.present) < len(CUSTODIANS)
        return problem.hit != [] and begun == problem.hit

    def any_location_can_be_lost(self) -> None:
        """A new machine with two kits and two locations restores all of it."""
        lost = LOCATIONS[self.home % len(LOCATIONS)]
        kits = ((1, 2), (1, 3), (2, 3))[len(self.log) % 3]
        self.a_location_goes_away(lost)
        self.lose_the_machine_and_recover(kits, None, lost)
        self.every_good_snapshot_restores()

    # -- how it is done

    @property
    def home(self) -> int:
        """Which home this is: 0, and one more for each recovery."""
        return self.world.homes

    @property
    def enough(self) -> bool:
        """Say whether the custodians that are up can open a key."""
        return len(self.present - self.asleep) >= THRESHOLD

    def say(self, what: str) -> None:
        self.log.append(what)

    def hold(self, is_so: object, otherwise: str) -> None:
        """Raise, with the story of this example, unless it is so."""
        if not is_so:
            custodians = f"custodians {sorted(self.present)}, asleep {sorted(self.asleep)}"
            story = "\n".join([otherwise, custodians, *self.log])
            self.world.findings.append(story)
            self.failed = True
            raise AssertionError(story)

    def target(self, place: str) -> str:
        """Return where a blow lands: only one location is weak at a time."""
        return self.weak or place

    def spoil(self, place: str) -> bool:
        """Make a location the weak one, if none is; say whether it is this one's turn."""
        self.weak = self.target(place)
        self.uneven = True
        self.say(f"{self.weak} is struck")
        return True

    def good_of(self, client: str) -> list[str]:
        return [at for at, one in self.world.kept[client].items() if one.state == "good"]

    def strike(
        self,
        action: Callable[[Deployment], Any] | None,
        blow: Blow | None,
        place: str,
        kits: Sequence[int] = (),
    ) -> Ended:
        """Run a command, or a recovery, under a blow, and see what the blow has done."""
        name = self.target(place)
        first = LOCATIONS.index(name)
        others = (*LOCATIONS[first:], *LOCATIONS[:first])
        struck = dict.fromkeys(others[: blow.reach], blow) if blow is not None else {}
        if action is not None:
            self.world.keep_indexes()
        held = frozenset() if self.gone else self.world.held(name)
        ended = (
            self.world.run(action, struck)
            if action is not None
            else self.world.recover(kits, struck)
        )
        self.hold(not ended.bug, ended.bug)
        if ended.told:
            self.uneven = True
        if ended.told and blow is not None and not blow.deadly and blow.reach == 1:
            self.weak = name
            self.damaged |= blow.fault is Fault.TEAR
        if ended.died and blow is not None and blow.power and action is not None:
            self.forget(name, held)
            self.world.put_indexes_back()
        return ended

    def forget(self, name: str, held: frozenset[Path]) -> None:
        """Let a power cut take from the weak location what came after it had synced."""
        self.world.counts["power cuts"] += 1
        if self.weak in {None, name} and not self.gone:
            held = self.world.unsynced.get(name, held)
            self.world.counts["unsynced objects forgotten"] += self.world.forget(name, held)
            self.spoil(name)

    def judge_backup(
        self,
        client: str,
        report: BackupReport | StrongroomError,
        states: dict[str, str],
        blow: Blow | None,
        ended: Ended,
    ) -> None:
        if isinstance(report, StrongroomError):
            self.judge_refusal("backup", report, blow, ended)
            return
        self.hold(states[report.snapshot] == report.state, f"{client}: {report}")
        self.world.counts[f"backups {report.state}"] += 1
        if report.state != "good":
            self.hold(several(blow, ended) or not self.enough, f"{client} is pending: {report}")
            self.hold(report.problems, f"{client} is pending and nothing is said")

    def judge_refusal(
        self, what: str, err: StrongroomError, blow: Blow | None, ended: Ended
    ) -> None:
        self.world.counts["commands refused"] += 1
        self.hold(several(blow, ended), f"{what} refused: {err}")
        self.hold(names_a_culprit(err), f"{what} names no culprit: {err}")

    def judge_repair(self, left_out: dict[str, list[str]]) -> None:
        left = [f"{name}: {one}" for name, all_of in left_out.items() for one in all_of]
        whole = not left and not self.damaged and not self.world.stale and not self.world.unsynced
        if whole:
            self.weak, self.uneven = None, False

    def judge_scrub(self, found: Scrubbed) -> None:
        """All that is altered is named, and nothing at a location that was never struck."""
        elsewhere = {one: why for one, why in found.named.items() if one[0] != self.weak}
        self.hold(not elsewhere, f"scrub names what is whole: {elsewhere}")
        hidden = self.gone or self.weak in self.world.stale
        unknown = {one for one in found.unknown if not (hidden and one[0] == self.weak)}
        ours = self.world.signed_here({key for _, key in unknown})
        all_here = self.present - self.asleep == set(CUSTODIANS)
        self.hold(not unknown or not all_here, f"scrub cannot tell {unknown}")
        self.hold(not ours, f"scrub cannot tell {ours}, which a writer known here signed")
        self.world.counts["copies nobody could compare"] += len(unknown)
        if self.weak is None or hidden:
            return
        altered = {(self.weak, key) for key in self.world.altered(self.weak)}
        missed = altered - found.named.keys() - unknown
        self.hold(not missed, f"scrub missed {missed}")
        self.world.counts["damaged copies named by scrubs"] += len(found.named)
        if self.damaged and not found.named and not altered:
            self.damaged = False
            self.world.counts["locations mended after a scrub"] += 1

    def nothing_good_is_forgotten(self, states: dict[str, dict[str, str]]) -> None:
        for client in CLIENTS:
            lost = [at for at in self.good_of(client) if states[client].get(at) != "good"]
            self.hold(lost == [], f"{client}: {lost} are not good any more")

    def restore_one(self, client: str, snapshot: str) -> None:
        self.say(f"restore {client} {snapshot[:12]}")
        try:
            found = self.world.restored(client, snapshot, {})
        except StrongroomError as err:
            made_here = self.world.kept[client][snapshot].home == self.home
            late = made_here and len(self.world.knowing(client)) < THRESHOLD
            self.hold(late or not self.enough, f"{client} {snapshot} does not restore: {err}")
            self.hold(names_a_culprit(err), f"no culprit: {err}")
            self.world.counts["restores refused for want of custodians"] += 1
        else:
            self.hold(self.enough, "restored without enough custodians")
            self.compare(client, snapshot, found)

    def compare(self, client: str, snapshot: str, found: Content) -> None:
        wanted = self.world.kept[client][snapshot].content
        self.hold(found == wanted, f"{client} {snapshot} came back WRONG")
        self.world.counts["restores compared and equal"] += 1

    def every_good_snapshot_restores(self) -> None:
        for client in CLIENTS:
            for snapshot in (*self.good_of(client), *self.world.waiting(client)):
                self.restore_one(client, snapshot)
