"""`strongroom backup`: keep what is new."""

from typing import Annotated

from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.face import Face, With
from strongroom.clients import Client
from strongroom.errors import PartlyDone, StrongroomError, UsageError
from strongroom.operations.back_up import BackupReport, back_up
from strongroom.operations.back_up_all import back_up_all
from strongroom.operations.deployment import Deployment


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
    _tell(face, report)
    return report


def _tell(face: Face, report: BackupReport) -> None:
    needed = "" if report.state == "good" else f", {report.receipts_needed} needed"
    face.tell(
        f"{report.client}: {report.snapshot[:12]} is {report.state}, "
        f"{report.receipts} of {report.receipts_of} receipts{needed}; "
        f"read {output.size(report.read_bytes)}, stored {output.size(report.stored_bytes)} "
        f"in {output.duration(report.elapsed_seconds)}"
    )
    notes = [*report.warnings, *report.problems]
    face.warn(*(f"warning: {report.client}: {note}" for note in notes))


def _every(face: Face, deployment: Deployment) -> int:
    reports: list[BackupReport] = []
    failed: list[tuple[str, StrongroomError]] = []
    clients = deployment.registry.kept_clients()
    if not clients:
        raise UsageError(
            "there is no client yet",
            "nothing can be backed up",
            hint="Add one: `strongroom client add NAME --source PATH`.",
        )
    with face.progress(output.count(len(clients), "client")) as progress:
        for client, outcome in back_up_all(deployment, clients, progress):
            if isinstance(outcome, StrongroomError):
                failed.append((client.name, outcome))
                continue
            progress.clear()
            _tell(face, outcome)
            reports.append(outcome)
    gravest = max((err for _, err in failed), key=lambda err: err.exit_code, default=None)
    for name, reason in failed:
        if reason is not gravest or reports:
            face.warn(*output.error_lines(reason, name))
    if gravest is not None and not reports:
        if len(clients) > 1:
            face.warn(f"none of the {len(clients)} clients was backed up; the gravest reason:")
        raise gravest
    rows = [{"client": name, "code": err.code, "problem": str(err)} for name, err in failed]
    face.show([*reports, *rows])
    if gravest is not None:
        # A rollback or damage at one client is never hidden behind the success of the others.
        return max(PartlyDone.exit_code, gravest.exit_code)
    return PartlyDone.exit_code if any(report.problems for report in reports) else 0
