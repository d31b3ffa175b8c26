"""What strikes one command: which storage calls fail, at which locations, and how."""

import itertools
import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hypothesis import strategies as st

from strongroom.locations import Location, Stat
from tests.support.apart import Ended
from tests.support.misbehaving_location import Fault, MisbehavingLocation, Plan

WRITES: Final = ("put", "delete")
READS: Final = ("get", "list", "stat")
DEATHS: Final = frozenset((Fault.DIE_BEFORE, Fault.DIE_AFTER))
_PUT_ONLY: Final = frozenset((Fault.FULL, Fault.READ_ONLY))
CALLS: Final = st.integers(0, 13) | st.integers(0, 40)
"""A backup of one client writes about a dozen objects to each location; a repair, many."""


@dataclass(frozen=True, slots=True)
class Blow:
    """The n-th call of these methods goes wrong, and with `lasting` every one after it."""

    fault: Fault
    number: int
    methods: tuple[str, ...] = WRITES
    lasting: bool = False
    spread: int = 1
    """At how many locations at once, each at its own n-th call; a death needs only one, and halves
    of objects may lie only at one."""
    power: bool = False
    """A death is a power cut: what was not synced is forgotten."""

    @property
    def reach(self) -> int:
        """Return how many locations are struck."""
        return 1 if self.deadly or self.fault is Fault.TEAR else self.spread

    @property
    def deadly(self) -> bool:
        """Say whether the process ends by it."""
        return self.fault in DEATHS

    def plan(self, tell: Callable[[str], None]) -> Plan:
        """Return what one location does, which tells each fault that it met."""
        met = itertools.count()

        def planned(method: str, _key: str, _number: int) -> Fault | None:
            if method not in self.methods or (self.fault in _PUT_ONLY and method != "put"):
                return None
            at = next(met)
            if at == self.number or (self.lasting and at > self.number):
                tell(str(self.fault))
                return self.fault
            return None

        return planned


def several(blow: Blow | None, ended: Ended) -> bool:
    """Say whether more than one location failed a command."""
    return blow is not None and blow.reach > 1 and bool(ended.told)


class StruckLocation(MisbehavingLocation):
    """A location whose planned death is the death of its process."""

    def __init__(self, inner: Location, plan: Plan, stale: Sequence[Stat] | None) -> None:
        """Take what it lists instead of what there is, if it lists stale."""
        super().__init__(inner, plan if stale is None else _stale(plan), stale or ())

    def die(self) -> None:
        """End the process, as a power cut would."""
        os.kill(os.getpid(), signal.SIGKILL)


def _stale(plan: Plan) -> Plan:
    def planned(method: str, key: str, number: int) -> Fault | None:
        return plan(method, key, number) or (Fault.STALE if method == "list" else None)

    return planned


_AFTERWARDS = (Fault.FAIL_AFTER, Fault.DIE_AFTER, Fault.DIE_BEFORE, Fault.FAIL_BEFORE)
_SPREAD: Final = st.sampled_from((1, 1, 1, 2, 3))
LOOKS: Final = st.builds(
    Blow,
    st.sampled_from((Fault.FAIL_BEFORE, Fault.DIE_BEFORE, Fault.FLIP)),
    CALLS,
    methods=st.just(READS),
    lasting=st.booleans(),
    spread=_SPREAD,
)
"""Blows to what a command reads."""
BLOWS: Final = (
    st.builds(
        Blow,
        st.sampled_from((*_AFTERWARDS, *_AFTERWARDS, Fault.FULL, Fault.READ_ONLY, Fault.TEAR)),
        CALLS,
        lasting=st.booleans(),
        spread=_SPREAD,
        power=st.booleans(),
    )
    | LOOKS
)
"""Blows to a command that writes."""
STORMS: Final = st.builds(
    Blow,
    st.sampled_from((Fault.FAIL_BEFORE, Fault.FLIP, Fault.FLIP)),
    CALLS,
    methods=st.just(READS),
    lasting=st.booleans(),
)
"""Blows to a command that reads; more locations than the promise covers may be hit."""
