"""`strongroom policy`: who approves what; how one policy follows another."""

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final

from cyclopts import App as Commands
from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.approving import open_device
from strongroom.cli.face import SecretFile, With
from strongroom.cli.init import read_public_key
from strongroom.cli.signing import ASKED, Signing
from strongroom.cli.small_files import read_small_file, write_small_file
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, UsageError
from strongroom.operations.change_policy import (
    Change,
    change_policy,
    sign_next,
    tell_change,
    tell_rules,
)
from strongroom.operations.look_at_policies import behind
from strongroom.operations.policies import current_envelope
from strongroom.quorum import Acts

POLICY_BYTES_MAX: Final = 64 << 10
"""32 approvers and eleven rules are some five thousand bytes."""

commands = Commands(name="policy")


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What is to be otherwise in the next policy; the rest stays as it is."""

    approver: Annotated[tuple[Path, ...], Parameter(metavar="FILE.pub")] = ()
    """The public key of somebody who approves, in the file that `procedure device` wrote beside the
    device; once for each. Those named are all: who is not named approves nothing any more."""
    approvals: int | None = None
    """How many approvers must approve."""
    delay_hours: int | None = None
    """How many hours what destroys or changes trust waits, so that it can be refused."""

    def change(self) -> Change:
        """Return them as the policy says them."""
        hours = self.delay_hours
        if hours is not None and hours < 0:
            raise UsageError(f"a delay of {hours} hours cannot be", "wanted 0 or more")
        approvers = tuple(map(read_public_key, self.approver)) or None
        delay = None if hours is None else timedelta(hours=hours)
        return Change(approvers, self.approvals, delay)


NONE_WANTED: Final = Changes()


@commands.command
def show(*, to: Path | None = None, face: With) -> None:
    """Show the team policy: who approves what, how many of them, after which delay.

    Parameters
    ----------
    to
        Write it to this file, too: from it an approver signs the next one elsewhere.
    """
    with face.deployment() as deployment:
        envelope = current_envelope(deployment)
        late = behind(deployment)
    policy = Acts.Policy.parse(envelope)
    if to is not None:
        write_small_file(to, envelope.encode())
    face.show({**_plain(policy), "behind": [one.who for one in late], "path": to})
    face.tell(
        f"Team policy version {policy.version}, mode {policy.mode}: {policy.id[:16]}",
        *(f"  approver {one}" for one in policy.approvers),
        *(f"  {one}" for one in tell_rules(policy)),
    )
    face.warn(*map(str, late))
    if to is not None:
        face.tell(f"Written to {to}, for an approver.")


@commands.command
def sign(
    *,
    to: Path,
    policy: Path | None = None,
    device: Path | None = None,
    passphrase_file: SecretFile | None = None,
    changes: Annotated[Changes, Parameter(name="*")] = NONE_WANTED,
    face: With,
) -> None:
    """Sign the policy that is to follow; nothing changes before others approve it.

    An approver signs it on their own machine, with their device and a file that `policy show --to`
    wrote; that needs no home. Where one person decides, the home signs.

    Parameters
    ----------
    to
        The file to write, which must be new.
    policy
        The policy that holds now, as `policy show --to` wrote it; without it the home signs.
    device
        Your device key; it goes with --policy.
    passphrase_file
        A file with the passphrase of the key that signs, or - for stdin; else it is asked for.
    """
    if policy is not None and device is not None:
        before, seed = Acts.Policy.parse(_read(policy)), open_device(face, device, passphrase_file)
    elif policy is None and device is None:
        with face.deployment(passphrase_file) as deployment:
            before = Acts.Policy.parse(current_envelope(deployment))
            seed = deployment.tools.device.seed()
    else:
        raise UsageError(
            "a policy and a device belong together",
            "an approver signs with both, where there is no home; the home signs with neither",
        )
    after = sign_next(seed, before, changes.change(), face.app.clock.now())
    parsed = Acts.Policy.parse(after)
    lines = tell_change(before, parsed)
    write_small_file(to, after.encode())
    face.show({**_plain(parsed), "changes": lines, "path": str(to)})
    face.tell(
        *lines,
        f"Signed in {to}. Where the home is: {face.command(f'policy change {to.name}')}",
    )


@commands.command
def change(
    file: Path | None = None,
    /,
    *,
    how: Annotated[Signing, Parameter(name="*")] = ASKED,
    face: With,
) -> None:
    """Have the next policy followed, once it is approved as the one that holds now says.

    Exits 5 while approvals or time are missing, and 3 while a custodian does not follow yet: run it
    again. Without a file those that do not follow yet are shown what was approved, at any time.

    Parameters
    ----------
    file
        The policy, as `policy sign` wrote it.
    """
    envelope = None if file is None else _read(file)
    with face.deployment(how.passphrase_file) as deployment:
        followed = change_policy(deployment, envelope)
        policy = Acts.Policy.parse(current_envelope(deployment))
        face.tell(
            f"Team policy version {policy.version} holds, mode {policy.mode}: "
            f"{output.count(len(policy.approvers), 'approver')}.",
            f"Custodians that follow it: {len(followed.custodians)}.",
        )
        followed.check_complete()
        followers = [deployment.roster.member(index).name for index in followed.custodians]
        face.show({**_plain(policy), "followed_by": followers})


def _read(path: Path) -> Envelope:
    try:
        return decode_envelope(read_small_file(path, POLICY_BYTES_MAX), str(path))
    except Damaged as err:
        err.hint = "Name the file that `policy sign` or `policy show --to` wrote."
        raise


def _plain(policy: Acts.Policy) -> dict[str, object]:
    return {
        "policy": policy.id,
        "version": policy.version,
        "mode": policy.mode,
        "cosignatures": policy.cosignatures,
        "approvers": list(policy.approvers),
        "rules": {
            str(procedure): {
                "approvals": rule.approvals,
                "delay_seconds": int(rule.delay.total_seconds()),
            }
            for procedure, rule in policy.rules.items()
        },
    }
