"""What an approver does: read a request, compare its words, sign one word about it.

It needs no home and no network: the file says everything that is signed, and the device key lies
with the approver.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal

from strongroom.cli import output
from strongroom.cli.face import Face, SecretFile, read_secret_file
from strongroom.cli.small_files import read_small_file, write_small_file
from strongroom.crypto.envelope import decode_envelope
from strongroom.errors import Refused, UsageError
from strongroom.procedures import Device, Parcel, check_words
from strongroom.quorum import Acts

POLICY_BYTES_MAX: Final = 64 << 10
ABOUT: Final[Mapping[Acts.Procedure, str]] = {
    Acts.Procedure.RESTORE: "reads everything in the snapshot",
    Acts.Procedure.BROWSE: "shows names; opens the keys of everything in the snapshot",
    Acts.Procedure.PRUNE_BELOW_FLOOR: "destroys snapshots that the keep policy would keep",
    Acts.Procedure.LOCATION_REMOVAL: "no backup goes to the location any more",
    Acts.Procedure.CUSTODIAN_ENROL: "changes who holds pieces of keys",
    Acts.Procedure.CUSTODIAN_ROTATE: "gives a custodian another key for new pieces, or, with "
    "drop_to, destroys its former ones up to that serial",
    Acts.Procedure.CUSTODIAN_REDEAL: "opens every key and deals it again",
    Acts.Procedure.CLIENT_ERASURE: "destroys every backup of the client for ever",
    Acts.Procedure.POLICY_CHANGE: "changes who approves what from now on",
    Acts.Procedure.DRILL_AUTHORISATION: "lets restores be tried without asking each time",
    Acts.Procedure.RECOVERY: "opens everything in the snapshot, for a log that replaces this one",
}
"""What each procedure comes to, in one line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """With what it is signed, and where the answer goes."""

    device: Path
    """The file with your device key."""
    to: Path | None = None
    """Where the answer is written; beside the request unless you say."""
    passphrase_file: SecretFile | None = None
    """A file with the passphrase of the device key, or - for stdin; else it is asked for."""
    policy: Path | None = None
    """To approve a policy-change: the file with the policy that is to follow, to be shown."""


def sign_word(
    face: Face, path: Path, how: Signing, decision: Literal["approve", "refuse"]
) -> dict[str, object]:
    """Show a request, ask, and write the signed answer; return what was done."""
    parcel = Parcel.parse(read_small_file(path, Parcel.BYTES_MAX))
    device = _read_device(how.device)
    request = parcel.request
    approver = device.id
    if approver not in parcel.rules().approvers:
        raise Refused(
            "this device may not approve anything of this install",
            f"the policy does not name its key {device.public.hex()[:16]}",
            hint="Sign with the device that was named when the policy was made.",
        )
    to = how.to or path.with_name(f"{path.name}.{decision}")
    tell_parcel(face, parcel)
    if request.procedure is Acts.Procedure.POLICY_CHANGE and decision == "approve":
        _tell_policy(face, parcel, how.policy)
    word = "Approve" if decision == "approve" else "Refuse"
    face.confirm(f"{word} exactly this?")
    seed = device.open(_passphrase(face, how.passphrase_file))
    answer = Acts.Approval.sign(seed, request, decision, face.app.clock.now())
    write_small_file(to, answer.encode())
    face.tell(
        f"Signed: {decision} request {request.request[:8]}. The answer is in {to}.",
        f"Whoever asked takes it with `strongroom procedure take {to.name}`.",
    )
    return {
        "request": request.request,
        "decision": decision,
        "approver": approver,
        "path": str(to),
        "check_words": " ".join(check_words(request.digest)),
    }


def open_device(face: Face, path: Path, passphrase_file: str | None) -> bytes:
    """Return the seed of a device key, by its passphrase, which is asked for where it can be."""
    return _read_device(path).open(_passphrase(face, passphrase_file))


def _read_device(path: Path) -> Device:
    return Device.parse(read_small_file(path, Device.BYTES_MAX).decode("ascii", "replace"))


def tell_parcel(face: Face, parcel: Parcel) -> None:
    """Show everything that is signed, and what a dry run said."""
    request, policy = parcel.request, parcel.rules()
    rule = policy.rules[request.procedure]
    rows = [
        ("procedure", f"{request.procedure}: {ABOUT[request.procedure]}"),
        *((name, str(value)) for name, value in request.params.items()),
    ]
    if request.client is not None:
        rows.append(("client", request.client))
    if request.wanted is not None:
        rows += [
            ("snapshot", request.wanted.snapshot),
            ("opens", output.count(request.wanted.sessions, "session")),
            ("recipient", request.wanted.recipient),
        ]
    rows += [
        ("install", request.install),
        ("log", request.origin),
        ("requester", request.requester),
        ("policy", f"version {policy.version}, {request.policy}"),
        ("needs", f"{rule.approvals} of {output.count(len(policy.approvers), 'approver')}"),
        *([("waits", _wait(request.procedure, rule.delay))] if rule.delay else []),
        ("runs from", output.moment(request.not_before)),
        ("until", output.moment(request.expires)),
        ("nonce", request.nonce),
    ]
    width = max(len(name) for name, _ in rows)
    face.tell(
        f"Request {request.request}",
        *(f"  {name:<{width}}  {value}" for name, value in rows),
        "",
        "What a dry run said:",
        *(f"  {line}" for line in parcel.plan.lines),
        "",
        "Check words, which must be the same on both screens:",
        f"  {' '.join(check_words(request.digest))}",
        "",
    )


def _tell_policy(face: Face, parcel: Parcel, path: Path | None) -> None:
    """Show, from its own file, the policy that is to follow; raise where it is another one.

    A request names it by its hash alone, and what a dry run said is the word of the home: one that
    was taken could say of a policy of its own whatever approvers like to read.
    """
    if path is None:
        raise UsageError(
            "the policy that is to follow is not shown",
            "the request names it by its hash, and only its own file tells what it says",
            hint="Have its file sent, too, and pass it with --policy FILE.",
        )
    envelope = decode_envelope(read_small_file(path, POLICY_BYTES_MAX), str(path))
    policy = Acts.Policy.parse(envelope)
    if policy.id != parcel.request.params["policy"]:
        raise Refused(
            f"{path} is not the policy that the request names",
            f"it is {policy.id[:12]}, wanted {str(parcel.request.params['policy'])[:12]}",
            hint="Somebody may show you one policy and have you approve another: ask who made it.",
        )
    known = parcel.rules().approvers
    alike: dict[Acts.Rule, list[str]] = {}
    for procedure, rule in policy.rules.items():
        alike.setdefault(rule, []).append(str(procedure))
    face.tell(
        f"The policy that is to follow, version {policy.version}, mode {policy.mode}:",
        *(
            f"  approver {one}" + ("" if one in known else f"  NEW, with the key {key.hex()}")
            for one, key in policy.approvers.items()
        ),
        *(f"  approver {one}  GOES" for one in known if one not in policy.approvers),
        *(f"  {_rule(rule)}: {', '.join(procedures)}" for rule, procedures in alike.items()),
        f"  {policy.cosignatures} custodians must have witnessed what opens keys",
        "",
    )


def _rule(rule: Acts.Rule) -> str:
    seconds = rule.delay.total_seconds()
    return f"{rule.approvals} must approve, " + (
        f"then {output.duration(seconds)}" if seconds else "at once"
    )


def _wait(procedure: Acts.Procedure, delay: timedelta) -> str:
    """Say for how long it can be refused once it is approved."""
    first = "a custodian is first shown the approvals" if procedure.by_custodians else "it is asked"
    return f"{output.duration(delay.total_seconds())} after {first}, for any approver to refuse"


def _passphrase(face: Face, name: str | None) -> str:
    if name is not None:
        return read_secret_file(name, "the passphrase").rstrip("\r\n")
    if not face.can_ask:
        raise UsageError(
            "the passphrase of the device key is needed",
            "nobody can be asked here",
            hint="Pass --passphrase-file FILE, or - to pass it through stdin.",
        )
    return face.ask_secret("Passphrase of your device key")
