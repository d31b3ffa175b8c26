"""How far each log is witnessed, and whether it is what the custodians have seen of it.

For `status`: nothing is signed or asked for here, only looked at.
"""

from dataclasses import dataclass
from datetime import datetime

from strongroom.errors import StrongroomError
from strongroom.facts import Fact
from strongroom.ledger import Log
from strongroom.operations.witnessing import OpenLog


@dataclass(frozen=True, slots=True)
class LogStatus:
    """One log: its facts, how many of them a quorum cosigned and when, and since when not all.

    `problem` says that it is not what was seen of it, and takes no facts.
    """

    name: str
    facts: int
    witnessed: int
    witnessed_at: datetime | None
    behind_since: datetime | None
    problem: str

    @property
    def warnings(self) -> list[str]:
        """Return a sentence for each thing that is wrong."""
        found = [f"{self.name} is READ-ONLY: {self.problem}"] if self.problem else []
        count = self.facts - self.witnessed
        if self.behind_since is not None:
            told = "1 fact is" if count == 1 else f"{count} facts are"
            since = f"{self.behind_since:%Y-%m-%d %H:%M:%S Z}"
            found.append(f"{self.name}: {told} not witnessed, since {since}")
        return found


def look_at_log(log: OpenLog, seen: Log.Seen) -> LogStatus:
    """Return how one log stands."""
    signed, facts, epoch = log.log.checkpoint(cosigned=True), log.log.size(), log.log.epoch()
    witnessed = signed.size if signed else 0
    problem = ""
    try:
        placed = log.log.stretches.reached()
        for by, checkpoint in () if epoch.origin is None else seen(epoch.origin, placed):
            log.log.check_seen(checkpoint, by)
    except StrongroomError as err:
        problem = f"{err}. {err.hint}"
    return LogStatus(
        log.name,
        facts,
        witnessed,
        signed.cosigned_at if signed else None,
        Fact.parse(log.log.leaf(witnessed)).at if witnessed < facts else None,
        problem,
    )
