"""`strongroom custodian`: who holds pieces of keys."""

from dataclasses import dataclass
from datetime import datetime

from cyclopts import App as Commands

from strongroom.cli import output
from strongroom.cli.custodian_elsewhere import deny, join
from strongroom.cli.custodian_process import confirm_kit, init, join_code, serve
from strongroom.cli.enrol import enrol
from strongroom.cli.face import With
from strongroom.cli.redeal import redeal
from strongroom.cli.rotate import rotate
from strongroom.errors import PartlyDone
from strongroom.operations.deployment import Deployment
from strongroom.operations.look_at_custodians import Member, look_at_distribution
from strongroom.operations.prove_shares import longest_ago
from strongroom.operations.receipts import plain_reason

commands = Commands(name="custodian")
for command in (init, serve, join_code, confirm_kit, join, enrol, deny, rotate, redeal):
    commands.command(command)


@dataclass(frozen=True, slots=True)
class _Row:
    index: int
    name: str
    id: str
    state: str
    runs: str
    parted: str
    missed_since: datetime | None
    last_proved_at: datetime | None
    """Of the client where it is longest ago; nothing before the first month is over."""

    def cells(self) -> tuple[str, ...]:
        since = output.moment(self.missed_since) if self.missed_since else ""
        proved = output.moment(self.last_proved_at) if self.last_proved_at else "not yet"
        return self.name, self.runs, self.parted, self.id, proved, since, self.state


def _state(deployment: Deployment, member: Member) -> str:
    err = deployment.absent_custodians.get(member.index)
    return "answers" if err is None else plain_reason(member, err)


@commands.command(name="list")
def list_(*, face: With) -> int:
    """List the custodians, where they run and whether they answer. Exits 3 when one does not."""
    with face.deployment() as deployment:
        proved = longest_ago(deployment)
        distribution = look_at_distribution(deployment)
        rows = [
            _Row(
                member.index,
                member.name,
                member.id,
                _state(deployment, member),
                distribution.runs[member.index],
                distribution.parted[member.index],
                deployment.missed_since.get(member.index),
                proved.get(member.index),
            )
            for member in deployment.roster.members
        ]
        threshold = deployment.roster.threshold
        absent = len(deployment.absent_custodians)
    titles = ("custodian", "runs", "machines", "id", "last proved", "missed since", "state")
    face.table(titles, [row.cells() for row in rows], rows)
    face.tell(
        f"Any {threshold} of {len(rows)} open a key.",
        *distribution.degraded,
    )
    return PartlyDone.exit_code if absent else 0
