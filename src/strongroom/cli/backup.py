"""`strongroom backup`: keep what is new."""

from strongroom.cli import output
from strongroom.cli.face import Face, With
from strongroom.clients import Client
from strongroom.errors import PartlyDone, StrongroomError, UsageError
from strongroom.operations.back_up import BackupReport, back_up
from strongroom.operations.deployment import Deployment


def backup(client: str | None = None, /, *, all_: bool = False, face: With) -> int:
    """Back up a client, or all of them.

    Parameters
    ----------
    client
        The client's name.
    all_
        Back up every client.
    """
    if (client is None) == (not all_):
        raise UsageError("say what to back up", "name one client, or pass --all")
    with face.deployment() as deployment:
        if client is not None:
            report = _one(face, deployment, deployment.registry.client(client))
            face.show(report)
            return PartlyDone.exit_code if report.problems else 0
        return _every(face, deployment)


def _one(face: Face, deployment: Deployment, client: Client) -> BackupReport:
    with face.progress(client.name) as progress:
        report = back_up(deployment, client, progress)
    face.tell(
        f"{client.name}: snapshot {report.snapshot[:12]} is {report.state}; "
        f"read {output.size(report.read_bytes)}, stored {output.size(report.stored_bytes)} new, "
        f"{report.receipts} of {report.receipts_of} receipts ({report.receipts_needed} needed), "
        f"{output.duration(report.elapsed_seconds)}"
    )
    face.warn(*(f"warning: {client.name}: {one}" for one in (*report.warnings, *report.problems)))
    return report


def _every(face: Face, deployment: Deployment) -> int:
    reports: list[BackupReport] = []
    failed: list[tuple[str, StrongroomError]] = []
    clients = deployment.registry.clients()
    for client in clients:
        try:
            reports.append(_one(face, deployment, client))
        except StrongroomError as err:
            failed.append((client.name, err))
            face.warn(f"error: {client.name}: {err}", f"hint:  {err.hint}")
    if clients and len(failed) == len(clients):
        raise failed[0][1]
    face.show([*reports, *({"client": name, "problem": str(err)} for name, err in failed)])
    partly = failed or any(report.problems for report in reports)
    return PartlyDone.exit_code if partly else 0
