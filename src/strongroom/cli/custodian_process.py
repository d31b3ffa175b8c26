"""`strongroom custodian init`, `serve` and others that run where a custodian does."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from strongroom.app.custodians import CustodianPlan, Custodians, KeyKeeper, NewCustodian
from strongroom.cli import output
from strongroom.cli.face import Face, SecretFile, With, read_secret_file
from strongroom.cli.init import kit_rows, new_passphrase
from strongroom.cli.kit import ask_words
from strongroom.cli.naming import name_locations
from strongroom.errors import PartlyDone, UsageError
from strongroom.operations.credentials import Credential
from strongroom.operations.rebuild_custodian import Kept, Rebuilt
from strongroom.operations.recover import RecoveryPlan
from strongroom.quorum import LocalCustodian

PORT_MAX = 65_535
PassphraseFile = Annotated[SecretFile | None, Parameter(name="--passphrase-file")]


@dataclass(frozen=True, slots=True)
class CustodianOptions:
    """What a custodian's home is like."""

    listen: Annotated[str, Parameter(metavar="HOST:PORT")] = ""
    """Where it listens: an address of this machine, and a port."""
    name: str = ""
    """Its name in the roster; otherwise it takes the name that the server gives it."""
    key_keeper: KeyKeeper = "key-file"
    """What keeps the key over its secrets while it does not run: a key file, a passphrase (then it
    stays locked after a restart until somebody types it), or systemd-creds."""
    key_file: Path | None = None
    """Where the key file goes; otherwise into this user's configuration."""
    passphrase_file: SecretFile | None = None
    """A file with the passphrase, or - for stdin; else it is asked for."""
    from_kit: SecretFile | None = None
    """Make a custodian again that was lost: a file with the 24 words of its kit, or - for stdin."""
    location: tuple[str, ...] = ()
    """With --from-kit: a location of the recovery sheet; once for each. Name all of them."""
    install: Annotated[str | None, Parameter(name="--install")] = None
    """With --from-kit: the install's id on the sheet, where the locations hold several."""
    credential_file: SecretFile | None = None
    """With --from-kit, for object stores: a file with key id and secret, one a line, or -."""


DEFAULT = CustodianOptions()


def init(*, how: Annotated[CustodianOptions, Parameter(name="*")] = DEFAULT, face: With) -> int:
    """Make the home of a custodian on this machine; its kit and its join code are shown once.

    The kit brings it back when this machine is lost: with --from-kit and the locations it is made
    again, as who it was. By the join code a server joins it, within ten minutes: start `custodian
    serve`, then run `init --custodian` on the server, or `custodian join` for one made again.
    """
    home, listen = _home(face), _listen(how.listen)
    kept = _kept(face, how)
    keyed = how.key_keeper == "key-file"
    key_file = how.key_file.absolute() if how.key_file is not None and keyed else None
    passphrase = None
    if how.key_keeper == "passphrase":
        passphrase = new_passphrase(face, how.passphrase_file, "this custodian's key")
        if passphrase is None:
            raise UsageError(
                "no passphrase is given",
                "nobody can be asked here",
                hint="Pass --passphrase-file, or run it on a terminal.",
            )
    plan = CustodianPlan(home, listen, how.key_keeper, key_file, how.name, passphrase)
    degraded = (
        ["DEGRADED: a key file opens this custodian's secrets; whoever reads both has its pieces"]
        if keyed
        else []
    )
    if kept is not None:
        made, rebuilt = _custodians(face).rebuild(plan, kept)
        _tell_of_rebuilt(face, plan, made, rebuilt, degraded)
        return PartlyDone.exit_code if rebuilt.problems else 0
    made = _custodians(face).make(plan)
    _tell(face, plan, made, degraded)
    face.show(
        {
            "home": home,
            "listen": _shown(listen),
            "key_file": made.key_file,
            "words": " ".join(made.words),
            "join_code": made.code,
            "join_code_until_at": made.until,
            "degraded": degraded,
        }
    )
    return 0


def serve(*, passphrase_file: PassphraseFile = None, face: With) -> None:
    """Run this custodian: wait until a server has joined it, then answer that server.

    It runs until it is stopped (SIGTERM or Ctrl-C), and goes on where it was when it is started
    again.

    Parameters
    ----------
    passphrase_file
        A file with the passphrase that its key is under, or - for stdin; else it is asked for.
    """
    with _opened(face, passphrase_file) as (settings, opened), _stopped_by_signals() as stop:
        _custodians(face).serve(settings, opened, stop, lambda line: _line(face, line))
        _line(face, "has stopped")


def join_code(
    *, new_server: bool = False, passphrase_file: PassphraseFile = None, face: With
) -> None:
    """Show another join code, in the place of the one that was; refused once it has been joined.

    Parameters
    ----------
    new_server
        The server is lost: let another join this custodian in its place. While the code counts the
        custodian answers nobody; it stays who it is, and opens nothing without approvals.
    passphrase_file
        A file with the passphrase that its key is under, or - for stdin; else it is asked for.
    """
    with _opened(face, passphrase_file) as (_, opened):
        code, until = _custodians(face).new_code(opened, new_server=new_server)
    face.say(f"Join code, good until {output.moment(until)}:", f"    {code}")
    face.show({"join_code": code, "join_code_until_at": until})


def confirm_kit(
    *,
    words_file: SecretFile | None = None,
    passphrase_file: PassphraseFile = None,
    face: With,
) -> None:
    """Prove that somebody holds this custodian's kit, by two of its words; then they are wiped.

    Parameters
    ----------
    words_file
        A file with all 24 words instead of asking for two, or - for stdin.
    passphrase_file
        A file with the passphrase that its key is under, or - for stdin; else it is asked for.
    """
    with _opened(face, passphrase_file) as (_, opened):
        if not opened.is_joined:
            raise UsageError("this custodian waits to be joined", "its kit is confirmed after that")
        custodian: LocalCustodian = opened.custodian()
        name = custodian.card().name
        if not custodian.kit_confirmed:
            if words_file is None:
                typed = ask_words(name)
            else:
                kit = LocalCustodian.Kit.from_words(read_secret_file(words_file, "the kit"))
                typed = dict(enumerate(kit.words, start=1))
            custodian.confirm_kit(typed)
    face.tell(f"The kit of {name} is confirmed.")
    face.show({"custodian": name, "confirmed": True})


def _tell(face: Face, plan: CustodianPlan, made: NewCustodian, degraded: list[str]) -> None:
    host, port = plan.listen
    # Kit and code are the result, so --quiet does not hide them.
    face.say(
        f"Made the home of a custodian in {plan.home}",
        f"  it will listen at {host} port {port}",
        *(["  key file, outside the home on purpose:"] if made.key_file else []),
        *([f"    {made.key_file}"] if made.key_file else []),
        "",
        "RECOVERY KIT. It is shown now and never again. Write it on a sheet, and keep that away",
        "from this machine.",
        "",
        *kit_rows(made.words),
        "",
        f"JOIN CODE, for one server, good until {output.moment(made.until)}:",
        f"    {made.code}",
        "",
        *degraded,
    )
    face.tell(
        *([""] if degraded else []),
        "Next:",
        f"  {face.command('custodian serve')}    (here, and leave it running)",
        f"  strongroom init --custodian NAME=https://{_shown(plan.listen)} ...    (on the server)",
    )


def _kept(face: Face, how: CustodianOptions) -> Kept | None:
    """Return what the locations keep of the custodian whose kit is given, or None without one."""
    if how.from_kit is None:
        if how.location or how.install or how.credential_file:
            raise UsageError(
                "a location is named, and no kit",
                "a new custodian needs none",
                hint="Pass --from-kit FILE to make a lost one again.",
            )
        return None
    if [how.from_kit, how.passphrase_file, how.credential_file].count("-") > 1:
        raise UsageError("only one thing can be read from stdin", hint="Put the other in a file.")
    if not how.location:
        raise UsageError(
            "no location is given",
            "what a custodian had lies there, sealed to its kit",
            hint="Pass --location with each location of the recovery sheet.",
        )
    if how.name:
        raise UsageError("a name is given", "a custodian that is made again has the one it had")
    kit = LocalCustodian.Kit.from_words(read_secret_file(how.from_kit, "the kit"))
    credential = None
    if how.credential_file is not None:
        credential = Credential.read(read_secret_file(how.credential_file, "the credential"))
    named = name_locations(how.location)
    plan = RecoveryPlan(named, [kit], install=how.install, credential=credential)
    return face.app.find_kept(plan)


def _tell_of_rebuilt(
    face: Face, plan: CustodianPlan, made: NewCustodian, rebuilt: Rebuilt, degraded: list[str]
) -> None:
    card, policy = rebuilt.card, rebuilt.policy
    host, port = plan.listen
    needed = max(rule.approvals for rule in policy.rules.values())
    people = output.count(len(policy.approvers), "approver")
    face.say(
        f"Made {card} again in {plan.home}",
        f"  install {rebuilt.install}, id {card.id}",
        f"  {output.count(rebuilt.clients, 'client')}, {output.count(rebuilt.receipts, 'receipt')}",
        f"  it will listen at {host} port {port}",
        *(["  key file, outside the home on purpose:"] if made.key_file else []),
        *([f"    {made.key_file}"] if made.key_file else []),
        "",
        f"TEAM POLICY, version {policy.version}, {policy.id}:",
        f"  {needed} of {people} must approve. By it alone this custodian judges, and it is the",
        "  newest at these locations: see that the server has no newer one,",
        "  `strongroom ledger search policy.signed`.",
        "",
        f"JOIN CODE, for one server, good until {output.moment(made.until)}:",
        f"    {made.code}",
        "",
        *degraded,
    )
    face.warn(*(f"warning: {problem}" for problem in rebuilt.problems))
    face.tell(
        *([""] if degraded else []),
        "Its kit is the one that it had. Next:",
        f"  {face.command('custodian serve')}    (here, and leave it running)",
        f"  strongroom custodian join {card.name}=https://{_shown(plan.listen)}    (on the server)",
    )
    face.show(
        {
            "home": plan.home,
            "listen": _shown(plan.listen),
            "key_file": made.key_file,
            "install": rebuilt.install,
            "custodian": card.id,
            "name": card.name,
            "clients": rebuilt.clients,
            "receipts": rebuilt.receipts,
            "policy": policy.id,
            "join_code": made.code,
            "join_code_until_at": made.until,
            "problems": rebuilt.problems,
            "degraded": degraded,
        }
    )


def _line(face: Face, line: str) -> None:
    """Write what a running custodian tells at once: somebody may wait for it."""
    if face.json:
        output.write_json_line(output.stdout(), {"told": line})
    else:
        output.stdout().write(f"custodian {line}\n")
    output.stdout().flush()


@contextmanager
def _opened(face: Face, passphrase_file: str | None) -> Iterator[tuple[Any, Any]]:
    custodians = _custodians(face)
    settings = custodians.settings(_home(face))
    passphrase = None
    if settings.key_keeper == "passphrase":
        if passphrase_file is not None:
            passphrase = read_secret_file(passphrase_file, "the passphrase").rstrip("\r\n")
        elif sys.stdin.isatty() and not face.json:
            passphrase = face.ask_secret("Passphrase of this custodian's key")
    with custodians.open(settings, passphrase) as opened:
        yield settings, opened


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """Return an event that the first SIGTERM or Ctrl-C sets."""
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda _number, _frame: stop.set())
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _custodians(face: Face) -> Custodians:
    return Custodians(face.app.clock, face.app.token)


def _home(face: Face) -> Path:
    if face.options.home is None:
        raise UsageError(
            "a custodian's home is named",
            "it is not this user's home of Strongroom",
            hint="Pass --home DIR, a folder of its own.",
        )
    return face.home


def _listen(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    good = host.isprintable() and not set(host) & set('/@"\\ ') and port.isascii()
    if not (colon and host and good and port.isdecimal() and int(port) <= PORT_MAX):
        raise UsageError(
            f"{text!r:.60} is not where a custodian can listen" if text else "no address is given",
            "wanted HOST:PORT",
            hint="Name an address of this machine and a port: --listen 10.0.0.7:7443.",
        )
    return host, int(port)


def _shown(listen: tuple[str, int]) -> str:
    host, port = listen
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
