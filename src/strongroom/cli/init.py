"""`strongroom init`: make a home and show its recovery kits, once."""

import sys

from strongroom.cli import output
from strongroom.cli.face import Face, With, read_secret_file
from strongroom.cli.naming import name_locations
from strongroom.errors import UsageError
from strongroom.operations.set_up import InstallPlan, SetUp, set_up

PASSPHRASE_LENGTH_MIN = 12
WORDS_IN_A_ROW = 6


def init(
    *,
    operator: str = "operator",
    custodians: int = 3,
    threshold: int = 2,
    location: list[str] | None = None,
    passphrase_file: str | None = None,
    face: With,
) -> None:
    """Make a home: custodians, recovery kits, roster, locations.

    Parameters
    ----------
    operator
        Who operates this; an e-mail address, kept in facts.
    custodians
        How many custodians hold a piece of every key.
    threshold
        How many of them open a key together.
    location
        Where backups go, a folder or s3://bucket/prefix; once for each. Take three places that
        do not burn together.
    passphrase_file
        A file with the passphrase of the operator's key, or - for stdin. Without one it is asked
        for on a terminal; otherwise the key file seals it, which status calls DEGRADED.
    """
    if not location:
        raise UsageError(
            "no location is given",
            "backups need at least one place to go",
            hint="Name it: `strongroom init --location /mnt/backup --location s3://...`.",
        )
    passphrase = _passphrase(face, passphrase_file)
    install = face.app.new_install()
    plan = InstallPlan(
        install, operator, custodians, threshold, name_locations(location), passphrase
    )
    plan.check()
    tools, registry = face.app.make_home(face.home, install)
    made = set_up(tools, registry, plan)
    face.show(
        {
            "install": made.install,
            "roster": made.roster_id,
            "home": face.home,
            "key_file": tools.key_file,
            "locations": [{"name": name, "url": url} for name, url in made.locations.items()],
            "kits": [{"custodian": kit.custodian, "words": kit.words} for kit in made.kits],
            "degraded": degradations(plan),
        }
    )
    _tell(face, made, plan, str(tools.key_file))


def degradations(plan: InstallPlan) -> list[str]:
    """Return what is weaker than it should be, one sentence each."""
    found = ["DEGRADED: the custodians run on this machine; pieces on one machine are together"]
    found.append("DEGRADED: a key file opens the worker's and the custodians' secrets")
    if plan.passphrase is None:
        found.append("DEGRADED: the operator's key has no passphrase, the key file opens it")
    if len(plan.locations) == 1:
        found.append("DEGRADED: one location; when it is gone, every backup is gone")
    return found


def _passphrase(face: Face, name: str | None) -> str | None:
    if name is not None:
        passphrase = read_secret_file(name, "the passphrase").rstrip("\r\n")
    elif sys.stdin.isatty() and not face.json:
        passphrase = face.ask_secret("Passphrase of the operator's key (12 characters or more)")
        if passphrase != face.ask_secret("The same again"):
            raise UsageError("the two passphrases differ", "nothing was made")
    else:
        return None
    if len(passphrase) < PASSPHRASE_LENGTH_MIN:
        raise UsageError(
            "the passphrase is too short",
            f"{len(passphrase)} characters, wanted {PASSPHRASE_LENGTH_MIN} or more",
        )
    return passphrase


def _tell(face: Face, made: SetUp, plan: InstallPlan, key_file: str) -> None:
    out: list[str] = [
        f"Made the home {face.home}",
        f"  {plan.custodians} custodians, any {plan.threshold} of them open a key",
        *(f"  location {name}: {url}" for name, url in made.locations.items()),
        f"  key file {key_file} (not in the home on purpose)",
        "",
        "RECOVERY KITS. They are shown now and never again. Write each on its own sheet and give",
        f"each to another person. Any {plan.threshold} of them and a location rebuild everything.",
    ]
    for kit in made.kits:
        words = kit.words.split(" ")
        out += ["", f"  Kit of {kit.custodian}"]
        out += [
            "    "
            + "  ".join(
                f"{at + 1:2d} {words[at]:<9}" for at in range(row, row + WORDS_IN_A_ROW)
            ).rstrip()
            for row in range(0, len(words), WORDS_IN_A_ROW)
        ]
    out += [
        "",
        "RECOVERY SHEET. Add this to every kit:",
        f"  install  {made.install}",
        f"  roster   {made.roster_id}",
        *(f"  location {url}" for url in made.locations.values()),
        "",
        *degradations(plan),
        "",
        "Next:",
        "  strongroom kit confirm custodian-1        (for each kit, by two of its words)",
        "  strongroom client add NAME --source PATH",
        "  strongroom backup NAME",
        "",
        "Every night, by cron:     17 2 * * *  strongroom backup --all --quiet",
        "or by a systemd timer:    systemd-run --user --on-calendar=02:17 strongroom backup --all",
    ]
    if not face.json:
        # The kits are the result, so --quiet does not hide them.
        output.stdout().write("".join(f"{line}\n" for line in out))
