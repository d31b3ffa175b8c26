"""The journals of all custodians, read side by side, and what is found in them.

A custodian journals a release before it answers, so what it did is there, whatever a log tells.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, Literal

from strongroom.errors import Damaged, SplitView, Stale, StrongroomError, Unwitnessed
from strongroom.facts import Fact
from strongroom.operations.deployment import Deployment

FACTS_MAX: Final = 10_000_000
"""The longest journal that is read; ten thousand clients write less in two years."""
ID_SHOWN: Final = 12

_CHANGES: Final = frozenset({"custodian.handed_over", "roster.adopted", "writer.succeeded"})
_REDEALINGS: Final = frozenset({"share.reopened", "share.reheld"})
State = Literal["agreed", "unwitnessed", "stale", "split", "damaged"]
EXIT_CODES: Final[dict[State, int]] = {
    "agreed": 0,
    "unwitnessed": Unwitnessed.exit_code,
    "stale": Stale.exit_code,
    "split": SplitView.exit_code,
    "damaged": Damaged.exit_code,
}
"""The worst state of all logs decides."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which a log and the journals differ, as a sentence."""

    state: State
    text: str


@dataclass(slots=True)
class Journal:
    """What was read of a custodian's journal; `problem` says why not all of it was."""

    index: int
    name: str
    facts: int = 0
    begins_at: datetime | None = None
    """A custodian that was made anew from its kit has no memory of before."""
    problem: str = ""
    releases: dict[str, Fact] = field(default_factory=dict)
    """By the id of the request."""
    hearings: dict[str, Fact] = field(default_factory=dict)
    """Of recoveries, by the id of the request."""
    deeds: dict[str, Fact] = field(default_factory=dict)
    """Of orders, by the id of the request."""
    waits: dict[str, Fact] = field(default_factory=dict)
    """What waits, or waited, for a refusal, by the id of the request."""
    receipts: dict[str, Fact] = field(default_factory=dict)
    """By the hash of the snapshot."""
    redealings: dict[str, list[Fact]] = field(default_factory=dict)
    """What was opened to be dealt anew, and what was signed for that was, by the client."""
    changes: list[Fact] = field(default_factory=list)
    """Whom it answers, which roster it follows and whose writer it has pinned since."""

    def take(self, page: Sequence[Fact]) -> None:
        """Take the next facts, of which only what a log must announce is kept."""
        for fact in page:
            self.begins_at = self.begins_at or fact.at
            if fact.op == "share.released":
                self.releases[fact.subject] = fact
            elif fact.op == "recovery.heard":
                self.hearings[fact.subject] = fact
            elif fact.op == "request.obeyed":
                self.deeds[fact.subject] = fact
            elif fact.op == "request.waits":
                self.waits[fact.subject] = fact
            elif fact.op == "snapshot.receipted":
                self.receipts[fact.subject] = fact
            elif fact.op in _REDEALINGS:
                self.redealings.setdefault(fact.client, []).append(fact)
            elif fact.op in _CHANGES:
                self.changes.append(fact)
        self.facts += len(page)
        if self.facts > FACTS_MAX:
            raise Damaged(f"the journal of {self.name} has no end", f"over {FACTS_MAX} facts")

    def remembers(self, at: datetime) -> bool:
        """Return whether what was done at this time would be in it."""
        return not self.problem and self.begins_at is not None and self.begins_at <= at


def read_journals(deployment: Deployment) -> list[Journal]:
    """Read all journals side by side, a page of each at a time."""
    found = {one.index: Journal(one.index, one.name) for one in deployment.roster.members}
    for index, err in deployment.absent_custodians.items():
        found[index].problem = str(err)
    left = set(deployment.custodians)
    while left:
        pages = {
            index: partial(deployment.custodians[index].journal, found[index].facts)
            for index in sorted(left)
        }
        for index, page in deployment.asking.each(pages):
            try:
                facts = page.result()
                found[index].take(facts)
            except StrongroomError as err:
                found[index].problem = str(err)
                facts = []
            if not facts:
                left.discard(index)
    return [found[index] for index in sorted(found)]


def who(journal: Journal) -> str:
    """Return how findings name the custodian of a journal."""
    return f"custodian {journal.index} ({journal.name})"
