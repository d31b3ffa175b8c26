"""`strongroom custodian`: who holds pieces of keys."""

from cyclopts import App as Commands

from strongroom.cli.face import With
from strongroom.errors import PartlyDone

EMBEDDED = "on this machine"

commands = Commands(name="custodian")


@commands.command(name="list")
def list_(*, face: With) -> int:
    """List the custodians, where they run and whether they answer. Exits 3 when one does not."""
    with face.deployment() as deployment:
        rows = [
            {
                "index": member.index,
                "name": member.name,
                "id": member.id,
                "state": str(deployment.absent_custodians.get(member.index, "answers")),
                "runs": EMBEDDED,
            }
            for member in deployment.roster.members
        ]
        threshold = deployment.roster.threshold
        absent = len(deployment.absent_custodians)
    face.table(
        ("custodian", "runs", "id", "state"),
        [(str(row["name"]), str(row["runs"]), str(row["id"]), str(row["state"])) for row in rows],
        rows,
    )
    face.tell(
        f"Any {threshold} of {len(rows)} open a key.",
        "DEGRADED: they run on this machine; pieces on one machine are together",
    )
    return PartlyDone.exit_code if absent else 0
