"""`strongroom custodian rotate`: another key of a custodian, and the end of its former ones."""

from collections.abc import Callable
from typing import Annotated

from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.face import Face, With
from strongroom.cli.signing import ASKED, Signing
from strongroom.clients import Client
from strongroom.errors import PartlyDone, StrongroomError, UsageError, Waiting
from strongroom.operations.deployment import Deployment
from strongroom.operations.look_at_custodians import Member, find_member
from strongroom.operations.rotate import CustodianKey
from strongroom.operations.rotate import drop_former as drop
from strongroom.operations.rotate import rotate as rotate_key

_Do = Callable[[Deployment, Client, Member], CustodianKey]


def rotate(
    name: str,
    /,
    *,
    client: str | None = None,
    every: Annotated[bool, Parameter(name="--all")] = False,
    drop_former: bool = False,
    sign: Annotated[Signing, Parameter(name="*")] = ASKED,
    face: With,
) -> int:
    """Let a custodian make another key for a client, or destroy its former ones.

    What is backed up from then on is sealed to the new key. What is kept already opens with the
    former one, until --drop-former destroys those that nothing at any location needs. Both wait
    until they are approved; the same command again goes on. Exits 5 while it waits.

    Parameters
    ----------
    name
        The custodian's name, as `custodian list` shows it.
    client
        The client's name.
    every
        Every client, one after the other; each is asked for by itself.
    drop_former
        Destroy the former keys that nothing needs, instead of making another one.
    """
    if (client is None) != every:
        raise UsageError(
            "say whose key it is",
            "--client NAME or --all, not both" if every else "--client NAME or --all",
            hint="`strongroom client list` shows the clients.",
        )
    do: _Do = drop if drop_former else rotate_key
    with face.deployment(sign.passphrase_file) as deployment:
        member = find_member(deployment, name)
        if client is not None:
            key = do(deployment, deployment.registry.client(client), member)
            face.show(key)
            _tell(face, key, dropping=drop_former)
            return 0
        return _every(face, deployment, member, do, dropping=drop_former)


def _every(face: Face, deployment: Deployment, member: Member, do: _Do, *, dropping: bool) -> int:
    """Go on with the next client whatever becomes of one.

    Where all came to the same end the exit code is that of one alone.
    """
    done: list[CustodianKey] = []
    failed: list[tuple[str, StrongroomError]] = []
    for client in deployment.registry.kept_clients():
        try:
            key = do(deployment, client, member)
        except StrongroomError as err:
            failed.append((client.name, err))
            face.warn(*output.error_lines(err, client.name))
        else:
            done.append(key)
            _tell(face, key, dropping=dropping)
    rows = [{"client": name, "code": err.code, "problem": str(err)} for name, err in failed]
    face.show([*done, *rows])
    codes = {err.exit_code for _, err in failed}
    if codes == {Waiting.exit_code} or (len(codes) == 1 and not done):
        return codes.pop()
    return PartlyDone.exit_code if failed else 0


def _tell(face: Face, key: CustodianKey, *, dropping: bool) -> None:
    kept = output.count(key.former, "former key")
    if not dropping:
        face.tell(
            f"{key.client}: {key.custodian} has key {key.serial}, of "
            f"{output.moment(key.certified_at)}; it keeps {kept} for what was kept before"
        )
    elif key.dropped:
        gone = output.count(key.dropped, "former key")
        face.tell(f"{key.client}: {key.custodian} destroyed {gone}, and keeps {key.former}")
        if key.exports_left:
            face.tell(
                "Delete these by hand: whoever has its kit opens with them what was destroyed.",
                *(f"  {path}" for path in key.exports_left),
            )
    else:
        face.tell(f"{key.client}: nothing to destroy; {key.custodian} keeps {kept}")
    face.warn(*(f"warning: {note}" for note in key.notes))
