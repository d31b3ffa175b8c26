"""`strongroom backup`: keep what is new."""

from typing import Annotated

from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.face import Face, With
from strongroom.clients import Client
from strongroom.errors import PartlyDone, StrongroomError, UsageError
from strongroom.operations.back_up import BackupReport, back_up
from strongroom.operations.deployment import Deployment

FAILED_SHOWN = 3


def backup(
    client: str | None = None,
    /,
    *,
    every: Annotated[bool, Parameter(name="--all")] = False,
    face: With,
) -> int:
    """Back up a client, or all of them.

    Parameters
    ----------
    client
        The client's name.
    every
        Back up every client.
    """
    if (client is None) != every:
        raise UsageError(
            "say what to back up",
            "a client or --all, not both" if every else "a client or --all",
            hint="`strongroom client list` shows the clients.",
        )
    with face.deployment() as deployment:
        if client is not None:
            report = back_up_one(face, deployment, deployment.registry.client(client))
            face.show(report)
            return PartlyDone.exit_code if report.problems else 0
        return _every(face, deployment)


def back_up_one(face: Face, deployment: Deployment, client: Client) -> BackupReport:
    """Back up one client with a progress line, and tell of it."""
    with face.progress(client.name) as progress:
        report = back_up(deployment, client, progress)
    needed = "" if report.state == "good" else f", {report.receipts_needed} needed"
    face.tell(
        f"{client.name}: {report.snapshot[:12]} is {report.state}, "
        f"{report.receipts} of {report.receipts_of} receipts{needed}; "
        f"read {output.size(report.read_bytes)}, stored {output.size(report.stored_bytes)} "
        f"in {output.duration(report.elapsed_seconds)}"
    )
    notes = [*report.warnings, *report.problems]
    face.warn(*(f"warning: {client.name}: {note}" for note in notes))
    return report


def _every(face: Face, deployment: Deployment) -> int:
    reports: list[BackupReport] = []
    failed: list[tuple[str, StrongroomError]] = []
    clients = deployment.registry.clients()
    if not clients:
        raise UsageError(
            "there is no client yet",
            "nothing can be backed up",
            hint="Add one: `strongroom client add NAME --source PATH`.",
        )
    for client in clients:
        try:
            reports.append(back_up_one(face, deployment, client))
        except StrongroomError as err:
            failed.append((client.name, err))
    if len(failed) == len(clients) == 1:
        raise failed[0][1]
    for name, reason in failed:
        face.warn(f"error: {name}: {reason}", f"hint:  {reason.hint}")
    if not reports:
        raise StrongroomError(
            f"none of the {len(clients)} clients was backed up",
            "; ".join(f"{name}: {err}" for name, err in failed[:FAILED_SHOWN]),
            hint="Mend what is named and run the command again; earlier snapshots are sound.",
        )
    face.show([*reports, *({"client": name, "problem": str(err)} for name, err in failed)])
    partly = failed or any(report.problems for report in reports)
    return PartlyDone.exit_code if partly else 0
