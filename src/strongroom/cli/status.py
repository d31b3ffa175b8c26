"""`strongroom status`."""

from strongroom.cli import output
from strongroom.cli.face import With
from strongroom.operations.tell_status import tell_status


def status(*, face: With) -> None:
    """Say what is kept, what is missing, and who can read the backups."""
    with face.deployment() as deployment:
        found = tell_status(deployment)
    face.show(found)
    if face.json:
        return
    face.table(
        ("client", "state", "class", "good", "pending", "newest good snapshot"),
        [
            (
                one.name,
                one.state,
                one.vault_class,
                str(one.good),
                str(one.pending),
                output.moment(one.newest_good_at) if one.newest_good_at else "none",
            )
            for one in found.clients
        ],
        found.clients,
    )
    face.tell(
        "" if found.clients else "No client yet. Add one: strongroom client add NAME --source PATH",
        *(f"location {name}: {state}" for name, state in found.locations.items()),
        *(f"{name}: {state}" for name, state in found.custodians.items()),
        f"kits confirmed: {found.kits_confirmed} ({found.kits_needed} needed)",
        "",
        found.who_can_read,
        "",
        *found.warnings,
    )
