"""Packs that no location has any more: told apart from those that one still has, and noted.

What is noted here the next backup retires before it looks anything up (`tombs.retire_gone`), and
so stores anew whatever of it is still at its source. Stopped before the note, the next look finds
the same again; after it, nothing else has to happen. Snapshots made before keep the gap.
"""

from collections.abc import Set as AbstractSet

from strongroom.clients import History
from strongroom.errors import Damaged
from strongroom.locations import LocationUnavailable, ObjectMissing
from strongroom.operations.acceptance import Accept
from strongroom.operations.survey import Survey


def note_lost(
    found: Survey, history: History, troubled: AbstractSet[tuple[str, str]]
) -> frozenset[str]:
    """Note the packs that no location has; return the keys of all that are known as lost.

    `troubled` are copies, by location and key, that are missing or not what they should be: only
    a pack that is short of others is asked for, at every location. One that does not answer
    leaves it unknown, and nothing new is noted.
    """
    keys = {found.placement.object_of(key) for _, key in troubled} & found.packs.keys()
    short = {key: judge for key in sorted(keys) if (judge := _judge_of_short(found, key, troubled))}
    known = history.copies.lost()
    fresh = [key for key in short if _pack(key) not in known and _is_lost(found, key, short[key])]
    if fresh:
        fact = found.deployment.fact("vault.packs_lost", found.client.id, packs=len(fresh))
        history.copies.lose(map(_pack, fresh), fact)
    return frozenset(key for key in short if _pack(key) in known).union(fresh)


def _judge_of_short(
    found: Survey, key: str, troubled: AbstractSet[tuple[str, str]]
) -> Accept | None:
    """Return what judges a pack of which fewer copies or shards are left than it takes."""
    judge = found.acceptance.of_key(key)
    if judge is None:
        return None
    holdings = found.placement.holdings(key, found.packs[key], judge)
    left = sum((name, one.key) not in troubled for name, one in holdings.items())
    return judge if left < found.placement.needed else None


def _is_lost(found: Survey, key: str, judge: Accept) -> bool:
    """Ask every location for a pack: what was noted of its copies may be older than they are."""
    if found.away:
        return False
    try:
        found.placement.get(key, judge)
    except (Damaged, ObjectMissing):
        return not found.deployment.copies.failures
    except LocationUnavailable:
        pass
    return False


def _pack(key: str) -> str:
    return key.rpartition("/")[2]
