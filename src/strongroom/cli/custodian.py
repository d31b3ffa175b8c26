"""`strongroom custodian`: who holds pieces of keys."""

from cyclopts import App as Commands

from strongroom.cli.face import With
from strongroom.errors import PartlyDone

commands = Commands(name="custodian", help="Custodians: who holds pieces of keys.")


@commands.command(name="list")
def list_(*, face: With) -> int:
    """List the custodians, where they run and whether they answer."""
    with face.deployment() as deployment:
        rows = [
            {
                "index": member.index,
                "name": member.name,
                "id": member.id,
                "state": str(deployment.absent_custodians.get(member.index, "answers")),
                "runs": "in this process, DEGRADED: not distributed",
            }
            for member in deployment.roster.members
        ]
        threshold = deployment.roster.threshold
        absent = len(deployment.absent_custodians)
    face.table(
        ("custodian", "state", "runs", "id"),
        [(str(row["name"]), str(row["state"]), str(row["runs"]), str(row["id"])) for row in rows],
        rows,
    )
    face.tell(f"Any {threshold} of {len(rows)} open a key.")
    return PartlyDone.exit_code if absent else 0
