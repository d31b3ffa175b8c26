"""`strongroom recover`: rebuild a lost home from locations and kits."""

from strongroom.cli import output
from strongroom.cli.face import With, read_secret_file
from strongroom.cli.naming import name_locations
from strongroom.errors import PartlyDone
from strongroom.operations.recover import (
    begin_recovered,
    find_install,
    read_kits,
    rebuild_custodians,
)
from strongroom.operations.recover_clients import recover_clients


def recover(*, location: list[str], kits: str, operator: str = "operator", face: With) -> int:
    """Rebuild a working home from locations and enough recovery kits.

    Parameters
    ----------
    location
        A location of the recovery sheet; once for each.
    kits
        A file with one kit of 24 words a line, or - for stdin.
    operator
        Who operates the rebuilt home.
    """
    words = read_kits(read_secret_file(kits, "the kits"))
    named = name_locations(location)
    with face.app.recovering(face.home, named, find_install) as (tools, registry, copies, listing):
        found = rebuild_custodians(tools, copies, listing, words)
        begin_recovered(tools, registry, copies, found, operator)
        with face.app.deployment(tools, registry) as deployment:
            clients = recover_clients(deployment, listing)
        missing = [m.name for m in found.roster.members if m.index not in found.custodians]
        damages = [f"{name}: {err}" for name, _, err in copies.damages]
    behind: dict[str, int] = {}
    for client in clients:
        for name, count in client.behind.items():
            behind[name] = behind.get(name, 0) + count
    problems = [
        *(
            f"location {name} lacks {n} snapshots: behind or rolled back"
            for name, n in behind.items()
        ),
        *damages,
    ]
    face.show(
        {
            "install": found.install,
            "home": face.home,
            "clients": clients,
            "custodians_missing": missing,
            "problems": problems,
        }
    )
    face.tell(
        f"Rebuilt the home {face.home} with {len(found.custodians)} custodians.",
        *(
            f"  {one.name}: {one.snapshots} good snapshots, newest "
            f"{output.moment(one.received_at) if one.received_at else 'none'}"
            for one in clients
        ),
        "This is a new writer: the next backup of each client is a full one.",
    )
    face.tell(
        *(f"  {name} is missing: its kit was not given. Bring it to `recover`." for name in missing)
    )
    face.warn(*(f"warning: {problem}" for problem in problems))
    return PartlyDone.exit_code if problems else 0
