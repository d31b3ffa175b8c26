"""`strongroom procedure`: what was asked for, who approves it, and having it done."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App as Commands
from cyclopts import Parameter

from strongroom.cli import output, sources
from strongroom.cli.approving import Signing, sign_word, tell_parcel
from strongroom.cli.face import SecretFile, With
from strongroom.cli.init import new_passphrase
from strongroom.cli.restore import show_report
from strongroom.cli.small_files import read_small_file, write_small_file
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, PartlyDone, UsageError
from strongroom.operations.deployment import Deployment
from strongroom.operations.orders import tell_refusal
from strongroom.operations.pending import acts_now
from strongroom.operations.receipts import plain_reason
from strongroom.operations.requesting import find_to_run
from strongroom.operations.requesting import take as take_word
from strongroom.operations.requesting import withdraw as take_back
from strongroom.operations.restore import RestoreRequest, restore
from strongroom.procedures import Act, Device, check_words
from strongroom.quorum import Acts

ANSWER_BYTES_MAX: Final = 4096
"""A signed word is some 500 bytes."""
SHOWN: Final = 12

commands = Commands(name="procedure")


@dataclass(frozen=True, slots=True)
class ActRow:
    """Something that was asked for, as lists and machines see it."""

    request: str
    procedure: str
    client: str
    state: str
    approvals: int
    approvals_needed: int
    asked_at: object
    not_before_at: object
    expires_at: object
    check_words: str
    why: str


@commands.command(name="list")
def list_(*, every: Annotated[bool, Parameter(name="--all")] = False, face: With) -> None:
    """List what was asked for and is not over yet.

    Parameters
    ----------
    every
        List what is over, too.
    """
    with face.deployment() as deployment:
        acts = [one for one in acts_now(deployment) if every or one.is_open]
        rows = [_row(deployment, one) for one in acts]
    face.table(
        ("request", "procedure", "client", "state", "approvals", "asked", "expires"),
        [
            (
                row.request[:SHOWN],
                row.procedure,
                row.client or "-",
                f"{row.state} ({row.why})" if act.state is act.state.ENDED else row.state,
                f"{row.approvals} of {row.approvals_needed}",
                output.moment(act.asked_at),
                output.moment(act.request.expires),
            )
            for row, act in zip(rows, acts, strict=True)
        ],
        rows,
    )
    if not rows:
        face.tell("Nothing is asked for.")


@commands.command
def show(request: str, /, *, to: Path | None = None, face: With) -> None:
    """Show what was asked for, its plan, who said what, and what is next.

    Parameters
    ----------
    request
        The beginning of its id, 4 digits or more; or `latest`.
    to
        Write it to this file, too, for an approver to read and sign elsewhere.
    """
    with face.deployment() as deployment:
        wanted = deployment.desk.find(request).id
        (act,) = (one for one in acts_now(deployment) if one.id == wanted)
        row = _row(deployment, act)
        if to is not None:
            write_small_file(to, act.parcel.encode())
    said = [{"approver": one.approver, "decision": one.decision, "at": one.at} for one in act.said]
    face.show({**output.plain(row), "said": said, "plan": act.parcel.plan.lines, "path": to})
    tell_parcel(face, act.parcel)
    face.tell(
        f"State: {act.state}"
        + (f" ({act.why})" if act.why else "")
        + f"; {act.counted} of {act.needed} approvals that count.",
        *(
            f"  approver {one.approver[:8]}: {one.decision}, {output.moment(one.at)}"
            for one in act.said
        ),
    )
    if to is not None:
        face.tell(f"Written to {to}, for an approver.")


@commands.command
def approve(file: Path, /, *, how: Annotated[Signing, Parameter(name="*")], face: With) -> None:
    """Sign, on your own machine, that exactly this may be done.

    It needs no home and no network. Read everything that is shown; compare the six check words
    with whoever asks, by another way than the file came.

    Parameters
    ----------
    file
        The request, as `procedure show ID --to FILE` wrote it.
    """
    face.show(sign_word(face, file, how, "approve"))


@commands.command
def refuse(file: Path, /, *, how: Annotated[Signing, Parameter(name="*")], face: With) -> None:
    """Sign, on your own machine, that this may not be done: one refusal is a veto.

    Parameters
    ----------
    file
        The request, as `procedure show ID --to FILE` wrote it.
    """
    face.show(sign_word(face, file, how, "refuse"))


@commands.command
def take(file: Path, /, *, face: With) -> int:
    """Take an approver's signed answer to something that was asked for here.

    A refusal is told to every custodian, which keeps it for good. Exits 3 where one of them could
    not be told: run it again when that one answers.

    Parameters
    ----------
    file
        The answer, as `procedure approve` or `procedure refuse` wrote it.
    """
    word = _answer(file)
    with face.deployment() as deployment:
        act = take_word(deployment, word)
        row = _row(deployment, act)
        refused = act.state is act.state.REFUSED and act.request.procedure.by_custodians
        told = tell_refusal(deployment, act.request, word) if refused else None
        named = deployment.roster.member
        missed = {} if told is None else {named(index): err for index, err in told.missed.items()}
    face.show({**output.plain(row), "missed": [one.name for one in missed]})
    face.tell(
        f"Request {act.id[:8]} is {act.state}: {act.counted} of {act.needed} approvals that count."
    )
    if act.state is act.state.APPROVED and act.request.procedure is Acts.Procedure.RESTORE:
        face.tell(f"Next: {face.command(f'procedure run {act.id[:8]}')}")
    elif act.state is act.state.APPROVED and _counted_by_custodians(act):
        face.tell(
            "Next: the same command, now. Each custodian counts the delay from when it is first",
            "shown this; the command says until when.",
        )
    elif act.state is act.state.APPROVED:
        face.tell(f"From {output.moment(act.request.not_before)} on, the same command does it.")
    if told is None:
        return 0
    face.tell(f"Custodians that keep the refusal: {len(told.custodians)}.")
    for member, err in missed.items():
        face.warn(f"warning: {member} was not told: {plain_reason(member, err)}")
    return PartlyDone.exit_code if missed else 0


def _counted_by_custodians(act: Act) -> bool:
    """Return whether a delay begins when custodians are first shown what was approved."""
    procedure = act.request.procedure
    return procedure.by_custodians and bool(act.policy.rules[procedure].delay)


@commands.command
def run(request: str, /, *, password_file: SecretFile | None = None, face: With) -> int:
    """Do what was approved. Exits 5 while approvals or time are missing.

    Parameters
    ----------
    request
        The beginning of its id, 4 digits or more; or `latest`.
    password_file
        For a restore into a database: a file with the password there, or - for stdin.
    """
    password = sources.read_password_file(password_file)
    with face.deployment() as deployment:
        act = find_to_run(deployment, request)
        name, order = RestoreRequest.of_order(act.order, password)
        with face.progress(name) as progress:
            report = restore(deployment, deployment.registry.client(name), order, progress)
    return show_report(face, report)


@commands.command
def withdraw(request: str, /, *, reason: str = "", face: With) -> None:
    """Take back what was asked for.

    Parameters
    ----------
    request
        The beginning of its id, 4 digits or more; or `latest`.
    reason
        Why; the ledger keeps it apart, as erasable.
    """
    with face.deployment() as deployment:
        act = take_back(deployment, deployment.desk.find(request), reason)
        row = _row(deployment, act)
    face.show(row)
    face.tell(f"Request {act.id[:8]} is withdrawn.")


@commands.command
def device(*, to: Path, passphrase_file: SecretFile | None = None, face: With) -> None:
    """Make a device key for an approver, under a passphrase; it needs no home.

    A policy names you by the public key, which is written beside it, as FILE.pub.

    Parameters
    ----------
    to
        The file to write, which must be new.
    passphrase_file
        A file with the passphrase, 12 characters or more, or - for stdin; else it is asked for.
    """
    words = new_passphrase(face, passphrase_file, "the new device key")
    if words is None:
        raise UsageError(
            "a device key needs a passphrase",
            "nobody can be asked here",
            hint="Pass --passphrase-file FILE, or - to pass it through stdin.",
        )
    made = Device.make(words, face.app.token)
    public = to.with_name(f"{to.name}.pub")
    write_small_file(to, made.encode().encode())
    write_small_file(public, f"{made.public.hex()}\n".encode())
    face.show(
        {
            "path": str(to),
            "public_path": str(public),
            "approver": made.id,
            "public_key": made.public.hex(),
        }
    )
    face.tell(
        f"Made a device key in {to}: keep it on your own machine and nowhere else.",
        f"Its public key is in {public}: give that to whoever makes the policy.",
        f"  {made.public.hex()}",
        f"The ledger will know you as approver {made.id[:8]}.",
    )


def _answer(file: Path) -> Envelope:
    try:
        return decode_envelope(read_small_file(file, ANSWER_BYTES_MAX), str(file))
    except Damaged as err:
        err.hint = "Name the file that `procedure approve` or `procedure refuse` wrote."
        raise


def _row(deployment: Deployment, act: Act) -> ActRow:
    request = act.request
    names = {client.id: client.name for client in deployment.registry.clients()}
    return ActRow(
        request.request,
        str(request.procedure),
        names.get(request.client, str(request.client)) if request.client else "",
        str(act.state),
        act.counted,
        act.needed,
        act.asked_at,
        request.not_before,
        request.expires,
        " ".join(check_words(request.digest)),
        act.why,
    )
