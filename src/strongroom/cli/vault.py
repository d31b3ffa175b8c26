"""`strongroom vault`: look at what is stored, read it again, mend it."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated

from cyclopts import App as Commands
from cyclopts import Parameter

from strongroom.cli import output
from strongroom.cli.face import Face, SecretFile, With, read_secret_file
from strongroom.cli.prune import prune
from strongroom.cli.rights import tell_rights
from strongroom.cli.signing import ASKED, Signing
from strongroom.clients import Client
from strongroom.errors import Damaged, PartlyDone, Stale, UsageError
from strongroom.operations.check_vault import CheckOutcome, CheckRequest, Problem, check_vault
from strongroom.operations.credentials import Credential
from strongroom.operations.deployment import Deployment
from strongroom.operations.fill_locations import Filled, repair_client
from strongroom.operations.scrub import ScrubReport, ScrubRequest, scrub_vault

SHOWN_MAX = 50
ID_SHOWN = 12
HIT_SHOWN = 3
_SHARE = re.compile(r"1/([1-9][0-9]{0,5})")
_RATE = re.compile(r"([1-9][0-9]{0,8})(|k|M|G)B?")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}
_GRAVE = frozenset({"damaged", "unauthenticated"})
_MENDED = frozenset({"damaged", "missing"})

commands = Commands(name="vault", help="Vaults: check, read again and mend what is stored.")
commands.command(prune)

Every = Annotated[bool, Parameter(name="--all")]


@commands.command
def check(
    client: str,
    /,
    *,
    read: bool = False,
    read_data: bool = False,
    sign: Annotated[Signing, Parameter(name="*")] = ASKED,
    face: With,
) -> int:
    """Check that every location holds what was put there.

    Damaged: other bytes than were signed. Missing: not there. Unauthenticated: something that
    nobody we know has signed. Unknown: it could not be looked at, or only a custodian that is not
    here could compare it, or knows who signed it. What `vault scrub` has found is said until it is
    mended.

    Exits 40 when something is damaged or unauthenticated, 20 when the locations show an older
    state than was kept, 3 when something is missing or unknown.

    Parameters
    ----------
    client
        The client's name.
    read
        Read every byte at every location and hash it again; needs no key.
    read_data
        Also let the custodians open the newest good snapshot, decrypt everything in it and
        compute every chunk's id again.
    """
    opened = face.deployment(sign.passphrase_file)
    with opened as deployment, face.progress(client) as progress:
        found = check_vault(
            deployment,
            deployment.registry.client(client),
            CheckRequest(read, read_data),
            progress,
        )
    face.show(found)
    if found.problems and not face.json:
        face.table(
            ("problem", "location", "snapshots", "object", "why"),
            [
                (one.kind, one.location or "-", _hit(one), _short(one.object), one.why)
                for one in found.problems[:SHOWN_MAX]
            ],
            found.problems,
        )
    _tell(face, found, CheckRequest(read, read_data))
    kinds = {one.kind for one in found.problems}
    if kinds & _GRAVE:
        return Damaged.exit_code
    if "stale" in kinds:
        return Stale.exit_code
    return PartlyDone.exit_code if kinds else 0


@commands.command
def scrub(
    client: str | None = None,
    /,
    *,
    every: Every = False,
    share: str = "1/30",
    rate: str = "50MB",
    face: With,
) -> int:
    """Read what lies at the locations again, and remember what is damaged or missing.

    Every object is compared with its hash or signature; what was read longest ago comes first.
    Needs no key and changes nothing at a location. After an interruption the next run goes on.

    Exits 40 when something is damaged or unauthenticated, 3 when something is missing or a
    location does not answer.

    Parameters
    ----------
    client
        The client's name.
    every
        Scrub every client.
    share
        How much to read: 1/30 reads everything once in 30 runs, `whole` reads it now.
    rate
        At most so many bytes a second: 50MB, 800kB; `none` for no limit.
    """
    request = ScrubRequest(_share(share), _rate(rate))
    with _clients(face, client, every) as (deployment, clients):
        reports: list[ScrubReport] = []
        for one in clients:
            with face.progress(one.name) as progress:
                report = scrub_vault(deployment, one, request, progress)
            _tell_scrub(face, report)
            reports.append(report)
    face.show(reports if every else reports[0])
    if any(one.kind in _GRAVE for report in reports for one in report.problems):
        return Damaged.exit_code
    away = any(report.problems or report.absent for report in reports)
    return PartlyDone.exit_code if away else 0


@commands.command
def repair(
    client: str | None = None,
    /,
    *,
    every: Every = False,
    read: bool = False,
    janitor_credential_file: SecretFile | None = None,
    face: With,
) -> int:
    """Put at every location what it lacks, and good copies in the place of damaged ones.

    Damaged copies are those that `vault scrub` or `vault check` has found; each is deleted with the
    janitor's credential when its bytes were found good elsewhere, put again and read back. Needs
    no content key. Exits 3 when something could not be mended, or a location does not answer.

    Parameters
    ----------
    client
        The client's name.
    every
        Repair every client.
    read
        First read everything, as `vault scrub --share whole --rate none` does.
    janitor_credential_file
        A file with the janitor's key id and secret, one a line, or - for stdin, for locations
        that have none sealed here.
    """
    janitor = None
    if janitor_credential_file is not None:
        text = read_secret_file(janitor_credential_file, "the janitor's credential")
        janitor = Credential.read(text)
    rows: list[dict[str, object]] = []
    mended = True
    with _clients(face, client, every) as (deployment, clients):
        for one in clients:
            if read:
                with face.progress(one.name) as progress:
                    scrub_vault(deployment, one, ScrubRequest(1), progress)
            filled = repair_client(deployment, one, janitor)
            absent = {name: str(err) for name, err in deployment.absent_locations.items()}
            _tell_repair(face, one.name if every else "", filled, absent)
            rows.append(_repaired(one, filled, absent))
            mended = mended and not absent and not any(one.left_out for one in filled.values())
    face.show(rows if every else rows[0])
    return 0 if mended else PartlyDone.exit_code


@contextmanager
def _clients(
    face: Face, client: str | None, every: bool
) -> Iterator[tuple[Deployment, Sequence[Client]]]:
    """Open the home and say which clients are meant: one by name, or all of them."""
    if (client is None) != every:
        raise UsageError(
            "say of which client",
            "a client or --all, not both" if every else "a client or --all",
            hint="`strongroom client list` shows the clients.",
        )
    with face.deployment() as deployment:
        registry = deployment.registry
        yield deployment, registry.kept_clients() if client is None else [registry.client(client)]


def _share(text: str) -> int:
    """Return how many runs read everything once."""
    if text == "whole":
        return 1
    found = _SHARE.fullmatch(text)
    if found is None:
        raise UsageError(f"a share of {text!r:.40} cannot be read", "wanted `whole`, or like 1/30")
    return int(found[1])


def _rate(text: str) -> int | None:
    """Return bytes a second, or None for no limit."""
    if text == "none":
        return None
    found = _RATE.fullmatch(text)
    if found is None:
        raise UsageError(f"the rate {text!r:.40} cannot be read", "wanted `none`, or like 50MB")
    return int(found[1]) * _UNITS[found[2]]


def _tell_scrub(face: Face, report: ScrubReport) -> None:
    if report.problems and not face.json:
        face.table(
            ("problem", "location", "object", "seen", "why"),
            [
                (one.kind, one.location, _short(one.object), output.moment(one.seen_at), one.why)
                for one in report.problems[:SHOWN_MAX]
            ],
            report.problems,
        )
    _tell_more(face, len(report.problems))
    problems = len(report.problems)
    face.tell(
        f"{report.client}: read {output.size(report.read_bytes)} of "
        f"{output.size(report.total_bytes)} at {output.count(len(report.locations), 'location')}, "
        f"{output.count(report.read_objects, 'object')}, "
        f"{output.duration(report.elapsed_seconds)}; "
        f"{output.count(problems, 'problem') if problems else 'no problem'} known"
    )
    if report.never_read:
        face.tell(f"Not read yet: {output.count(report.never_read, 'object')}.")
    elif report.oldest_read_at is not None:
        face.tell(f"Everything there was read since {output.moment(report.oldest_read_at)}.")
    if report.not_judged:
        face.tell(_not_judged(report.not_judged))
    _tell_lost(face, report.lost_objects)
    if any(one.kind in _MENDED for one in report.problems):
        face.tell(f"To mend: {face.command(f'vault repair {report.client}')}")
    face.warn(
        *(f"warning: location {name} is unknown: {why}" for name, why in report.absent.items())
    )


def _repaired(
    client: Client, filled: dict[str, Filled], absent: dict[str, str]
) -> dict[str, object]:
    rows = [
        {
            "location": name,
            "copied": one.copied,
            "copied_bytes": one.copied_bytes,
            "replaced": one.replaced,
            "left_out": one.left_out,
            "advice": one.advice,
        }
        for name, one in filled.items()
    ]
    lost = _lost_objects(filled)
    return {"client": client.name, "lost_objects": lost, "locations": rows, "absent": absent}


def _tell_repair(face: Face, of: str, filled: dict[str, Filled], absent: dict[str, str]) -> None:
    before = f"{of}: " if of else ""
    for name, one in filled.items():
        replaced = f"; replaced {one.replaced} damaged" if one.replaced else ""
        face.tell(
            f"{before}{name}: copied {output.count(one.copied, 'object')}, "
            f"{output.size(one.copied_bytes)}{replaced}"
        )
    _tell_lost(face, _lost_objects(filled))
    left_out = [f"{name}: {key}" for name, one in filled.items() for key in one.left_out]
    more = [f"... and {len(left_out) - SHOWN_MAX} more; --json shows all."]
    face.warn(
        *(f"warning: not mended at {one}" for one in left_out[:SHOWN_MAX]),
        *(more if len(left_out) > SHOWN_MAX else []),
        *(f"warning: location {name}: {one.advice}" for name, one in filled.items() if one.advice),
        *(f"warning: location {name}: {why}" for name, why in absent.items()),
    )


def _lost_objects(filled: dict[str, Filled]) -> int:
    return max((one.lost_objects for one in filled.values()), default=0)


def _tell_lost(face: Face, objects: int) -> None:
    if objects:
        face.tell(
            f"Lost at every location: {output.count(objects, 'object')}. The next backup stores "
            "that data anew; earlier snapshots stay hit."
        )


def _short(key: str) -> str:
    """Return an object's key for people: without install and vault, ids cut short."""
    parts = key.split("/")
    own = parts[3:] if parts[1:2] == ["vaults"] else parts[1:] or parts
    return "/".join(part[:ID_SHOWN] for part in own)


def _hit(problem: Problem) -> str:
    """Return how many snapshots a problem hits, and the newest few of them."""
    shown = ", ".join(one[:ID_SHOWN] for one in problem.hit[-HIT_SHOWN:])
    more = ", ..." if len(problem.hit) > HIT_SHOWN else ""
    return f"{problem.snapshots}: {shown}{more}" if problem.hit else str(problem.snapshots)


def _not_judged(count: int) -> str:
    what = "object was" if count == 1 else "objects were"
    return f"{count} {what} not compared: only a custodian that is not here could."


def _tell_more(face: Face, problems: int) -> None:
    if problems > SHOWN_MAX:
        face.say(f"... and {problems - SHOWN_MAX} more; --json shows all.")


def _tell(face: Face, found: CheckOutcome, request: CheckRequest) -> None:
    problems = len(found.problems)
    _tell_more(face, problems)
    verdict = f"{output.count(problems, 'problem')}" if problems else "no problem"
    face.tell(
        f"{found.client}: {verdict} in {output.count(found.objects, 'object')} of "
        f"{output.count(found.snapshots, 'good snapshot')} at "
        f"{output.count(found.locations, 'location')}, "
        f"{output.duration(found.elapsed_seconds)}"
    )
    if request.read or request.read_data:
        face.tell(f"Read {output.size(found.read_bytes)} and hashed it again.")
    else:
        face.tell("Only looked: listings, sizes and signatures. --read reads every byte.")
    if request.read_data:
        what = output.count(found.chunks_opened, "chunk")
        face.tell(f"Opened {what} of the newest good snapshot and computed the ids again.")
    if found.not_recomputed:
        face.tell(f"Some ids were not computed again: {found.not_recomputed}.")
    if found.not_judged:
        face.tell(_not_judged(found.not_judged))
    _tell_lost(face, found.lost_objects)
    if found.orphans:
        face.tell(
            f"{output.count(found.orphans, 'orphan')}, left by interrupted backups; harmless."
        )
    face.tell(*tell_rights(found.rights))
