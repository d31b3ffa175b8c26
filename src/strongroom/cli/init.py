"""`strongroom init`: make a home and show its recovery kits, once."""

import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.credential_files import NONE_GIVEN, CredentialFiles
from strongroom.cli.face import Face, SecretFile, With, read_secret_file
from strongroom.cli.inviting import read_invited
from strongroom.cli.naming import name_locations
from strongroom.cli.small_files import read_small_file
from strongroom.errors import UsageError
from strongroom.operations.join_custodians import Invited
from strongroom.operations.look_at_custodians import look_at_distribution
from strongroom.operations.policies import Team
from strongroom.operations.set_up import InstallPlan, SetUp, set_up

PASSPHRASE_LENGTH_MIN = 12
WORDS_IN_A_ROW = 6
PUBLIC_BYTES_MAX = 256
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class InitOptions:
    """What a new home is like."""

    location: tuple[str, ...] = ()
    """Where backups go: a folder or s3://bucket/prefix; once for each. Three are good."""
    custodians: int = 3
    """How many custodians hold a piece of every key; 3 unless you say."""
    threshold: int = 2
    """How many of them open a key together; 2 unless you say."""
    custodian: Annotated[tuple[str, ...], Parameter(metavar="NAME=URL")] = ()
    """A custodian that is a process of its own: NAME=https://HOST:PORT; once for each. It waits
    there (`custodian init`, `custodian serve`). Without any, all run in this home."""
    join_codes: SecretFile | None = None
    """A file with the join codes of the custodians named, one a line in their order, or - for
    stdin; else they are asked for."""
    operator: str = "operator"
    """Who operates this: a name or an e-mail address, kept with what is done."""
    passphrase_file: SecretFile | None = None
    """A file with the passphrase of the operator's key, or - for stdin; else it is asked for."""
    approver: Annotated[tuple[Path, ...], Parameter(metavar="FILE.pub")] = ()
    """Make a team: the public key of somebody who approves what opens keys, in the file that
    `procedure device` wrote beside the device; once for each. Name others than the operator, who
    asks and does not approve."""
    approvals: int = 2
    """How many approvers must approve, where there is a team; 2 unless you say."""
    delay_hours: int = 24
    """How many hours what destroys or changes trust waits, so that it can be refused; 24 unless
    you say. In a team a recovery waits, too; restores never do."""

    def team(self) -> Team | None:
        """Return the team that is named, or None."""
        if not self.approver:
            return None
        return Team(tuple(map(read_public_key, self.approver)), self.approvals)


DEFAULT = InitOptions()


def init(
    *,
    how: Annotated[InitOptions, Parameter(name="*")] = DEFAULT,
    secrets: Annotated[CredentialFiles, Parameter(name="*")] = NONE_GIVEN,
    face: With,
) -> None:
    """Make a home: custodians, recovery kits, locations."""
    face.show(make(face, how, secrets))


def make(
    face: Face,
    how: InitOptions,
    secrets: CredentialFiles = NONE_GIVEN,
    waiting: tuple[Invited, ...] = (),
) -> dict[str, object]:
    """Make a home, tell of it, and return it as an object.

    Custodians that wait may be handed in; otherwise they are as `how` names them.
    """
    if not how.location:
        raise UsageError(
            "no location is given",
            "backups need at least one place to go",
            hint="Name each: `strongroom init --location PATH --location s3://...`.",
        )
    secrets.check_stdin(how.passphrase_file, how.join_codes)
    named = name_locations(how.location)
    credentials = secrets.read()
    install = face.app.new_install()
    elsewhere = waiting or read_invited(face, how.custodian, how.join_codes)
    plan = InstallPlan(
        install,
        how.operator,
        len(elsewhere) or how.custodians,
        how.threshold,
        named,
        credentials=credentials,
        elsewhere=elsewhere,
        team=how.team(),
        delay=timedelta(hours=how.delay_hours),
    )
    plan.check()
    face.app.check_new_home(face.home)
    plan = plan.under(new_passphrase(face, how.passphrase_file, "the operator's key"))
    tools, registry = face.app.make_home(face.home, install)
    try:
        made = set_up(tools, registry, plan)
    except BaseException:
        # The next try begins in an empty place; a home that was not finished is of no use.
        face.app.remove_home(face.home, tools.key_file)
        raise
    finally:
        registry.close()
    with face.deployment() as deployment:
        # Nothing more to do: what was recorded is witnessed at the end of this block.
        degraded = look_at_distribution(deployment).degraded + degradations(plan)
    _tell(face, made, plan, str(tools.key_file), degraded)
    return {
        "install": made.install,
        "roster": made.roster_id,
        "home": face.home,
        "key_file": tools.key_file,
        "locations": [{"name": name, "url": url} for name, url in made.locations.items()],
        "kits": [{"custodian": kit.custodian, "words": kit.words} for kit in made.kits],
        "degraded": degraded,
    }


def degradations(plan: InstallPlan) -> list[str]:
    """Return what is weaker than it should be, one sentence each."""
    whose = "worker's" if plan.elsewhere else "worker's and the custodians'"
    found = [f"DEGRADED: a key file opens the {whose} secrets"]
    if plan.passphrase is None:
        found.append("DEGRADED: the operator's key has no passphrase, the key file opens it")
    if plan.team is not None and plan.team.approvals == 1:
        found.append("DEGRADED: one approval is enough; whoever asks needs one other person")
    if len(plan.locations) == 1:
        found.append("DEGRADED: one location; when it is gone, every backup is gone")
    return found


def read_public_key(path: Path) -> bytes:
    """Return the public key of a device from the file that lies beside it."""
    text = read_small_file(path, PUBLIC_BYTES_MAX).decode("ascii", "replace").strip()
    if _KEY.fullmatch(text) is None:
        raise UsageError(
            f"{path} holds no public key of a device",
            "wanted 64 hexadecimal digits",
            hint="Name the FILE.pub that `strongroom procedure device --to FILE` wrote.",
        )
    return bytes.fromhex(text)


def new_passphrase(face: Face, name: str | None, of: str) -> str | None:
    """Return a new passphrase from a file, or typed twice; None where nobody can be asked."""
    if name is not None:
        passphrase = read_secret_file(name, "the passphrase").rstrip("\r\n")
    elif sys.stdin.isatty() and not face.json:
        passphrase = face.ask_secret(f"Passphrase of {of} (12 characters or more)")
        _check_length(passphrase)
        if passphrase != face.ask_secret("The same again"):
            raise UsageError("the two passphrases differ", "nothing was made", "Try again.")
    else:
        return None
    _check_length(passphrase)
    return passphrase


def _check_length(passphrase: str) -> None:
    if len(passphrase) < PASSPHRASE_LENGTH_MIN:
        raise UsageError(
            "the passphrase is too short",
            f"{len(passphrase)} characters, wanted {PASSPHRASE_LENGTH_MIN} or more",
            hint="Take four or five words that do not belong together. Nothing was made.",
        )


def _tell(
    face: Face, made: SetUp, plan: InstallPlan, key_file: str, degraded: Sequence[str]
) -> None:
    # The kits are the result, so --quiet does not hide them.
    face.say(
        f"Made the home {face.home}",
        f"  {plan.custodians} custodians, any {plan.threshold} of them open a key",
        *(f"  location {name}: {url}" for name, url in made.locations.items()),
        *_team(plan),
        "  key file, outside the home on purpose:",
        f"    {key_file}",
        "",
        *_about_kits(plan),
    )
    for kit in made.kits:
        face.say("", f"  Kit of {kit.custodian}", *kit_rows(kit.words.split(" ")))
    face.say(
        "",
        "RECOVERY SHEET. Add this to every kit:",
        f"  install  {made.install}",
        f"  roster   {made.roster_id}",
        *(f"  location {url}" for url in made.locations.values()),
        "",
        *degraded,
    )
    face.tell(
        "",
        "Next:",
        *(
            []
            if plan.elsewhere
            else [f"  {face.command('kit confirm custodian-1')}    (each kit, by two of its words)"]
        ),
        f"  {face.command('client add NAME --source PATH')}",
        f"  {face.command('backup NAME')}",
        "",
        *_every_night(face),
    )


def _about_kits(plan: InstallPlan) -> list[str]:
    rebuild = f"Any {plan.threshold} of them and a location rebuild everything."
    if plan.elsewhere:
        return [
            "RECOVERY KITS. Each was shown where its custodian was made, and is confirmed there:",
            "  strongroom --home DIR custodian confirm-kit",
            f"Each belongs to another person. {rebuild}",
        ]
    return [
        "RECOVERY KITS. They are shown now and never again. Write each on its own sheet and",
        f"give each to another person. {rebuild}",
    ]


def _team(plan: InstallPlan) -> list[str]:
    if plan.team is None:
        return []
    people = output.count(len(plan.team.approvers), "approver")
    return [f"  a team: {plan.team.approvals} of {people} must approve what opens keys"]


def kit_rows(words: Sequence[str]) -> list[str]:
    """Return the words of a kit as numbered rows."""
    return [
        "    "
        + "  ".join(
            f"{at + 1:2d} {words[at]:<9}" for at in range(row, row + WORDS_IN_A_ROW)
        ).rstrip()
        for row in range(0, len(words), WORDS_IN_A_ROW)
    ]


def _every_night(face: Face) -> list[str]:
    # Neither cron nor systemd looks where a shell looks, nor at STRONGROOM_HOME.
    program = shutil.which("strongroom") or f"{sys.executable} -m strongroom"
    return [
        "Every night, by a line for `crontab -e`:",
        f"  17 2 * * *  {program} --home {face.home} backup --all --quiet",
        "or by systemd, in strongroom.service and strongroom.timer of ~/.config/systemd/user,",
        "then `systemctl --user enable --now strongroom.timer` and `loginctl enable-linger`:",
        "  [Service]",
        "  Type=oneshot",
        f"  ExecStart={program} --home {face.home} backup --all --quiet",
        "",
        "  [Timer]",
        "  OnCalendar=02:17",
        "  Persistent=true",
        "  [Install]",
        "  WantedBy=timers.target",
    ]
