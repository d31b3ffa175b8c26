"""The plan of a deletion: nothing that stays loses what it needs, whatever a listing shows."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from strongroom.vault import Vault
from strongroom.vault.prune import (
    ORDER,
    Listed,
    PrunePlan,
    Standing,
    View,
    choose,
    inside_floor,
    needed_by,
    part_of,
    plan_prune,
)
from strongroom.vault.retention import Candidate, KeepPolicy
from strongroom.vault.tomb import BuriedSnapshot

NOW = datetime(2026, 11, 22, tzinfo=UTC)
WAIT = timedelta(hours=72)
WRITER = "44" * 16
COUNT = st.integers(0, 5)
POLICIES = st.builds(KeepPolicy, COUNT, COUNT, COUNT, COUNT)


@dataclass(frozen=True)
class Made:
    """A vault as its snapshots, all of them, need it; some of them go, some objects are orphans."""

    snapshots: tuple[Standing, ...]
    goes: frozenset[int]
    pack_index: Mapping[str, str]
    orphans: Mapping[str, datetime]
    unlisted: frozenset[str]

    def hash(self, sequence: int) -> str:
        return f"{sequence:064x}"

    def stays(self) -> list[Standing]:
        return [one for one in self.snapshots if one.sequence not in self.goes]

    def view(self) -> View:
        old = NOW - timedelta(days=30)
        listed = {key: Listed(10, old, 10) for key in self.objects() - self.unlisted}
        listed.update({key: Listed(5, at, 5) for key, at in self.orphans.items()})
        return View(
            stays=self.stays(),
            goes=[
                BuriedSnapshot(one.writer, one.sequence, self.hash(one.sequence), one.index)
                for one in self.snapshots
                if one.sequence in self.goes
            ],
            pack_index=self.pack_index,
            known=frozenset(f"keys/{key}" for one in self.snapshots for key in one.sessions),
            listed=listed,
            buried=frozenset(),
            old_before=NOW - WAIT,
        )

    def objects(self) -> frozenset[str]:
        receipts = {
            f"receipts/{one.writer}/{one.sequence:08d}/{member:032x}"
            for one in self.snapshots
            for member in (1, 2, 3)
        }
        return needed_by(self.snapshots, self.pack_index) | receipts


@st.composite
def vaults(draw: st.DrawFn) -> Made:
    """Draw a vault: each snapshot brings packs and a session, and needs some of earlier ones."""
    count = draw(st.integers(1, 8))
    packs: list[str] = []
    sessions: list[str] = []
    pack_index: dict[str, str] = {}
    snapshots = []
    for sequence in range(1, count + 1):
        index = f"{1000 + sequence:064x}"
        for _ in range(draw(st.integers(0, 2))):
            packs.append(f"{len(packs):02x}" + f"{len(packs):062x}")
            pack_index[packs[-1]] = index
        sessions.append(f"{sequence:032x}")
        needed = draw(st.frozensets(st.sampled_from(packs))) if packs else frozenset[str]()
        of_keys = draw(st.frozensets(st.sampled_from(sessions)))
        snapshots.append(Standing(WRITER, sequence, index, of_keys | {sessions[-1]}, needed))
    age = st.integers(0, 200).map(lambda hours: NOW - timedelta(hours=hours))
    lost = st.sampled_from([f"packs/ff/ff{n:062x}" for n in range(3)] + [f"keys/{'f' * 32}"])
    made = Made(
        tuple(snapshots),
        draw(st.frozensets(st.integers(1, count - 1))) if count > 1 else frozenset(),
        pack_index,
        draw(st.dictionaries(lost, age)),
        frozenset(),
    )
    return replace(made, unlisted=draw(st.frozensets(st.sampled_from(sorted(made.objects())))))


@given(vaults())
def test_nothing_that_a_snapshot_needs_ever_goes(made: Made) -> None:
    found = plan_prune(made.view())
    needed = needed_by(made.stays(), made.pack_index)
    assert not needed.intersection(found.objects)
    own = {
        part
        for one in made.stays()
        for part in (
            f"snapshots/{one.writer}/{one.sequence:08d}",
            f"{one.writer}/{one.sequence:08d}/",
        )
    }
    assert not any(part in key for key in found.objects for part in own)


@given(vaults())
def test_all_that_only_deleted_snapshots_needed_goes(made: Made) -> None:
    found = plan_prune(made.view())
    listed = made.objects() - made.unlisted
    needed = needed_by(made.stays(), made.pack_index)
    staying = {
        key
        for key in listed
        if key.startswith("receipts/") and int(key.split("/")[2]) not in made.goes
    }
    assert set(found.objects) - set(made.orphans) == listed - needed - staying


@given(vaults())
def test_only_orphans_older_than_the_wait_go(made: Made) -> None:
    found = plan_prune(made.view())
    old = {key for key, at in made.orphans.items() if at < NOW - WAIT}
    assert set(found.objects) & set(made.orphans) == old
    assert found.orphans == sum(key.startswith("packs/") for key in old)


@given(vaults())
def test_the_counts_are_those_of_the_lists(made: Made) -> None:
    view = made.view()
    found = plan_prune(view)
    assert found.goes.objects == len(found.objects) == len(set(found.objects))
    assert found.goes.objects + found.stays.objects == len(view.listed)
    assert found.goes.bytes + found.stays.bytes == sum(o.size_bytes for o in view.listed.values())
    assert found.goes.snapshots + found.stays.snapshots == len(made.snapshots)
    needed = needed_by(made.stays(), made.pack_index) & view.listed.keys()
    assert found.needed_bytes == 10 * len(needed)
    # A receipt is needed by nothing, and makes no deletion larger than it is either.
    doomed = [key for key in found.objects if not key.startswith("receipts/")]
    assert found.doomed_bytes == sum(view.listed[key].size_bytes for key in doomed)
    assert found.too_much == (found.doomed_bytes > found.needed_bytes)


@given(vaults(), st.randoms(use_true_random=False))
def test_the_order_of_what_is_given_does_not_matter(made: Made, chance: random.Random) -> None:
    view = made.view()
    listed, stays, goes = list(view.listed.items()), list(view.stays), list(view.goes)
    for one in (listed, stays, goes):
        chance.shuffle(one)
    shuffled = replace(view, listed=dict(listed), stays=stays, goes=goes)
    assert plan_prune(shuffled) == plan_prune(view)


@given(vaults(), st.data())
def test_a_shorter_listing_never_lets_more_go(made: Made, data: st.DataObject) -> None:
    view = made.view()
    whole = set(plan_prune(view).objects)
    shown = data.draw(st.frozensets(st.sampled_from(sorted(view.listed)))) if view.listed else ()
    shorter = replace(view, listed={key: view.listed[key] for key in shown})
    assert set(plan_prune(shorter).objects) <= whole
    assert plan_prune(replace(view, listed={})).objects == ()


@given(vaults())
def test_a_second_plan_leaves_what_is_buried_to_the_first(made: Made) -> None:
    view = made.view()
    first = plan_prune(view)
    second = plan_prune(replace(view, goes=[], buried=frozenset(first.objects)))
    assert second.objects == ()
    assert second.doomed_bytes == first.doomed_bytes


@given(vaults())
def test_names_that_are_none_of_ours_stay(made: Made) -> None:
    view = made.view()
    strange = ["packs/zz/readme.txt", "config/" + "1" * 32 + "-00000000", "tombs/x", "index/x.bak"]
    listed = {**view.listed, **{key: Listed(1, NOW - timedelta(days=900), 1) for key in strange}}
    assert not set(strange).intersection(plan_prune(replace(view, listed=listed)).objects)


@given(vaults())
def test_what_a_location_plants_or_enlarges_makes_no_room(made: Made) -> None:
    view = made.view()
    large = {key: replace(one, size_bytes=10**9) for key, one in view.listed.items()}
    planted = dict.fromkeys(
        ["packs/zz/readme.txt", f"packs/00/00{7:062x}"], Listed(10**9, NOW, 10**9)
    )
    found = plan_prune(replace(view, listed={**large, **planted}))
    assert found.needed_bytes == plan_prune(view).needed_bytes
    assert found.too_much >= plan_prune(view).too_much


def candidates(hours: list[tuple[int, bool]]) -> list[Candidate]:
    return [
        Candidate(f"{n:03}", NOW + timedelta(hours=at), good) for n, (at, good) in enumerate(hours)
    ]


SNAPSHOTS = st.lists(
    st.tuples(st.integers(0, 400 * 24), st.booleans()), max_size=30, unique_by=lambda one: one[0]
).map(candidates)


@given(SNAPSHOTS, POLICIES, st.integers(0, 30))
def test_the_newest_good_the_floor_and_the_pending_never_go(
    snapshots: list[Candidate], policy: KeepPolicy, oldest: int
) -> None:
    going = choose(snapshots, policy)
    good = sorted((one for one in snapshots if one.good), key=lambda one: one.received_at)
    assert not set(going) & {one.id for one in good[-max(1, policy.floor) :]}
    assert not set(going) & {one.id for one in snapshots if not one.good}
    assert len(good) - len(going) >= min(len(good), max(1, policy.floor))
    times = {one.id: one.received_at for one in snapshots}
    assert list(going) == sorted(going, key=lambda one: times[one])
    assert choose(snapshots, policy, oldest=oldest) == going[:oldest]


@given(SNAPSHOTS, POLICIES, st.frozensets(st.sampled_from([f"{n:03}" for n in range(30)])))
def test_what_is_owed_stays(
    snapshots: list[Candidate], policy: KeepPolicy, owed: frozenset[str]
) -> None:
    assert set(choose(snapshots, policy, owed)) == set(choose(snapshots, policy)) - owed


@given(vaults())
def test_what_a_session_was_dealt_anew_with_goes_with_its_first(made: Made) -> None:
    view = made.view()
    anew = {
        f"{kind}/00000002/{session}{last}": f"keys/{session}"
        for one in made.snapshots
        for session in one.sessions
        for kind, last in (("redealt", ""), ("redeal-receipts", f"/{1:032x}"))
    }
    # It has come just now: that the first goes is the only reason.
    listed = {**view.listed, **{key: Listed(7, NOW, 7) for key in anew}}
    before, after = plan_prune(view), plan_prune(replace(view, listed=listed))
    needed = needed_by(made.stays(), made.pack_index)
    going = {key for key, first in anew.items() if first not in needed}
    assert set(after.objects) == {*before.objects, *going}
    assert (after.too_much, after.orphans) == (before.too_much, before.orphans)


@given(SNAPSHOTS, POLICIES, POLICIES)
def test_a_lower_floor_is_noticed(
    snapshots: list[Candidate], now: KeepPolicy, before: KeepPolicy
) -> None:
    inside = inside_floor(snapshots, choose(snapshots, now), before.floor)
    if now.floor >= before.floor:
        assert inside == ()
    good = sorted((one for one in snapshots if one.good), key=lambda one: one.received_at)
    assert set(inside) <= {one.id for one in good[-max(1, before.floor) :]}


def test_records_go_before_what_they_need() -> None:
    kinds = "snapshots", "receipts", "index", "redeal-receipts", "redealt", "keys", "packs"
    assert kinds == ORDER
    keys = ["packs/aa/aa", "snapshots/a/1", "keys/1", "receipts/a/1/2", "index/1"]
    keys += ["redealt/1/1", "redeal-receipts/1/1/2"]
    assert [key.partition("/")[0] for key in sorted(keys, key=part_of)] == list(ORDER)


def test_the_front_door_offers_the_plan() -> None:
    assert Vault.pruning.plan_prune is plan_prune
    assert Vault.pruning.PrunePlan is PrunePlan
