"""Exporting the ledger: each log as a folder of files that anybody's programs can read."""

from dataclasses import dataclass
from pathlib import Path

from strongroom.errors import UsageError
from strongroom.operations.deployment import Deployment
from strongroom.operations.read_ledger import SERVER, logs_of
from strongroom.operations.witnessing import OpenLog, have_witnessed


@dataclass(frozen=True, slots=True)
class ExportedLog:
    """A log that was written, and where."""

    log: str
    facts: int
    origin: str
    folder: Path


def export_ledger(deployment: Deployment, to: Path, client: str | None) -> list[ExportedLog]:
    """Write the logs below a folder, one folder each; record that they leave the home.

    The fact comes first: there is no export without it. Of the server's log it is in the export.
    """
    registry = deployment.registry
    clients = registry.clients() if client is None else [registry.known_client(client)]
    names = [SERVER] * (client is None) + [str(one.id) for one in clients]
    for name in names:
        if (to / name).exists():
            raise UsageError(
                f"{to / name} is there already",
                "a log is exported into a folder of its own",
                hint="Name another folder with --to.",
            )
    registry.record(
        deployment.fact("ledger.exported", deployment.install, private={"to": str(to.absolute())})
    )
    if client is None:
        # The export then holds its own fact, and is no older than the log it is a copy of.
        have_witnessed(deployment, [OpenLog.of_server(deployment)])
    found: list[ExportedLog] = []
    for one in logs_of(deployment, client):
        if one.log.checkpoint() is not None:
            folder = to / (one.client or SERVER)
            checkpoint = one.log.export(folder)
            found.append(ExportedLog(one.name, checkpoint.size, checkpoint.origin, folder))
    return found
