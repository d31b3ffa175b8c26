"""`strongroom status`."""

from strongroom.cli import output
from strongroom.cli.face import Face, With
from strongroom.operations.pending import Pending
from strongroom.operations.tell_status import Status, tell_status


def status(*, face: With) -> None:
    """Say what is kept, what is missing, and who can read the backups."""
    with face.deployment() as deployment:
        found = tell_status(deployment)
    if face.json:
        face.show(found)
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
    if not found.clients:
        face.say(f"No client yet. Add one: {face.command('client add NAME --source PATH')}")
    face.say(
        "",
        f"locations   {_together(found.locations)}",
        *(f"            {sentence}" for sentence in found.shared),
        f"custodians  {_together(found.custodians)}",
        f"shares      {_shares(found)}",
        f"kits        {found.kits_confirmed} confirmed, {found.kits_needed} needed",
        f"ledger      {_ledger(found)}",
        f"            {found.witnesses_needed} of {len(found.custodians)} custodians must witness: "
        f"tolerates {found.malicious_tolerated} malicious witnesses",
        *_requests(face, found.pending),
        "",
        *output.wrapped(found.who_can_read),
        "",
    )
    for warning in found.warnings:
        face.say(*output.wrapped(warning, "  "))


def _shares(found: Status) -> str:
    proved = [one.shares_proved_at for one in found.clients if one.shares_proved_at]
    if not proved:
        return "none proved again yet: custodians are asked once a month"
    clients = output.count(len(found.clients), "client")
    since = output.moment(min(proved))
    return f"proved again for {len(proved)} of {clients}, the longest ago on {since}"


def _ledger(found: Status) -> str:
    facts = sum(log.facts for log in found.logs)
    missing = facts - sum(log.witnessed for log in found.logs)
    state = "all witnessed" if not missing else f"{missing} NOT witnessed"
    logs = "1 log" if len(found.logs) == 1 else f"{len(found.logs)} logs"
    return f"{facts} facts in {logs}, {state}"


def _requests(face: Face, pending: list[Pending]) -> list[str]:
    """Return what waits and destroys something or changes who is trusted; nothing for none."""
    lines: list[str] = []
    for one in pending:
        counted = f"{one.approvals} of {one.approvals_needed} approvals"
        asked, until = output.moment(one.asked_at), output.moment(one.expires_at)
        lines += [
            f"{one.procedure}, request {one.request[:8]}: {one.state}, {counted}",
            f"  {one.what}",
            f"  asked by {one.asked_by} on {asked}, until {until}",
            f"  {face.command(one.command)}",
        ]
    return [f"{'' if at else 'requests':<12}{line}" for at, line in enumerate(lines)]


def _together(states: dict[str, str]) -> str:
    """Return those that answer as one list, and the others by name; warnings say why."""
    answering = [name for name, state in states.items() if state == "answers"]
    silent = [name for name in states if name not in answering]
    found = f"{len(answering)} of {len(states)} answer: {', '.join(answering) or 'none'}"
    return f"{found}; NOT {', '.join(silent)}" if silent else found
