"""The keep policy: the floor holds, the newest good stays, more is never less."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from strongroom.vault import Vault
from strongroom.vault.retention import Candidate, KeepPolicy, plan

START = datetime(2026, 1, 1, tzinfo=UTC)
SNAPSHOTS = st.lists(
    st.tuples(st.integers(0, 800 * 24), st.booleans()), max_size=40, unique_by=lambda one: one[0]
).map(
    lambda found: [
        Candidate(str(hour), START + timedelta(hours=hour), good) for hour, good in found
    ]
)
COUNT = st.integers(0, 9)
POLICIES = st.builds(KeepPolicy, COUNT, COUNT, COUNT, COUNT)


def kept(snapshots: list[Candidate], policy: KeepPolicy) -> set[str]:
    return {verdict.id for verdict in plan(snapshots, policy) if verdict.reasons}


@given(SNAPSHOTS, POLICIES)
def test_the_floor_holds_and_the_newest_good_is_kept(
    snapshots: list[Candidate], policy: KeepPolicy
) -> None:
    good = sorted((one for one in snapshots if one.good), key=lambda one: one.received_at)
    keep = kept(snapshots, policy)
    assert len(keep & {one.id for one in good}) >= min(len(good), policy.floor)
    assert {one.id for one in good[-1:]} <= keep
    assert {one.id for one in snapshots if not one.good} <= keep


@given(SNAPSHOTS, POLICIES, COUNT, COUNT)
def test_a_larger_policy_keeps_at_least_as_much(
    snapshots: list[Candidate], policy: KeepPolicy, daily: int, floor: int
) -> None:
    larger = KeepPolicy(policy.daily + daily, policy.weekly, policy.monthly, policy.floor + floor)
    assert kept(snapshots, policy) <= kept(snapshots, larger)


@given(SNAPSHOTS, POLICIES)
def test_pending_snapshots_change_nothing(snapshots: list[Candidate], policy: KeepPolicy) -> None:
    good = [one for one in snapshots if one.good]
    pending = {one.id for one in snapshots if not one.good}
    assert kept(snapshots, policy) - pending == kept(good, policy)


def test_a_daily_year_by_the_default() -> None:
    days = [Candidate(f"{n:03}", START + timedelta(days=n), True) for n in range(365)]
    verdicts = {one.id: one.reasons for one in Vault.keep_plan(days, KeepPolicy())}
    assert verdicts["364"] == (
        "newest good",
        "one of the 3 newest good",
        "daily",
        "weekly",
        "monthly",
    )
    assert verdicts["358"] == ("daily",)
    assert verdicts["357"] == ()
    assert sum("monthly" in reasons for reasons in verdicts.values()) == 12
    assert sum("weekly" in reasons for reasons in verdicts.values()) == 5
