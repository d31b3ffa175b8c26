"""Packs and keys objects that no location has any more: told from those that one still has, noted.

What is noted here the next backup retires before it looks anything up (`tombs.retire_gone`): what
lay in a lost pack, and all of a session whose keys object is lost, which nobody can open any more.
So it stores anew whatever of that is still at its source. Stopped before the note, the next look
finds the same again; after it, nothing else has to happen. Snapshots made before keep the gap.
"""

from collections.abc import Set as AbstractSet

from strongroom.clients import History
from strongroom.errors import Damaged
from strongroom.locations import LocationUnavailable, ObjectMissing
from strongroom.operations.acceptance import Accept
from strongroom.operations.survey import Survey
from strongroom.operations.tombs import packs_in, sessions_in

_NOTHING: frozenset[str] = frozenset()


def note_lost(
    found: Survey,
    history: History,
    troubled: AbstractSet[tuple[str, str]],
    named: AbstractSet[str] = _NOTHING,
) -> frozenset[str]:
    """Note the objects that no location has; return the keys of all that are known as lost.

    `troubled` are copies, by location and key, that are missing or not what they should be: only
    an object that is short of others is asked for, at every location. One that does not answer
    leaves it unknown, and nothing new is noted. `named` are objects that snapshots need, besides
    those that the index knows.
    """
    needed = found.packs.keys() | found.sessions | {key for key in named if _is_keys(found, key)}
    keys = {found.placement.object_of(key) for _, key in troubled} & needed
    short = {key: judge for key in sorted(keys) if (judge := _judge_of_short(found, key, troubled))}
    known = {found.root + one for one in history.copies.lost()}
    fresh = [key for key in short if key not in known and _is_lost(found, key, short[key])]
    if fresh:
        objects = [key.removeprefix(found.root) for key in fresh]
        fact = found.deployment.fact(
            "vault.objects_lost",
            found.client.id,
            packs=len(packs_in(objects)),
            keys=len(sessions_in(objects)),
        )
        history.copies.lose(objects, fact)
    return frozenset(short.keys() & known).union(fresh)


def _judge_of_short(
    found: Survey, key: str, troubled: AbstractSet[tuple[str, str]]
) -> Accept | None:
    """Return what judges an object of which fewer copies or shards are left than it takes."""
    judge = found.acceptance.of_key(key)
    if judge is None:
        return None
    if _is_keys(found, key):
        left = sum((name, key) not in troubled for name in found.deployment.copies.locations)
        return judge if left == 0 else None
    holdings = found.placement.holdings(key, found.packs[key], judge)
    left = sum((name, one.key) not in troubled for name, one in holdings.items())
    return judge if left < found.placement.needed else None


def _is_lost(found: Survey, key: str, judge: Accept) -> bool:
    """Ask every location for it: what was noted of its copies may be older than they are."""
    if found.away:
        return False
    source = found.deployment.copies if _is_keys(found, key) else found.placement
    try:
        source.get(key, judge)
    except (Damaged, ObjectMissing):
        return not found.deployment.copies.failures
    except LocationUnavailable:
        pass
    return False


def _is_keys(found: Survey, key: str) -> bool:
    return found.acceptance.kind_of(key) == "keys"
