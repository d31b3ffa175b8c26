"""`strongroom client`: whose data is kept."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App as Commands
from cyclopts import Parameter

from strongroom.cli import output, sources
from strongroom.cli.erase_client import describe_destroyed, erase, write_deeds
from strongroom.cli.face import SecretFile, With
from strongroom.clients import Client, Keep
from strongroom.errors import UsageError
from strongroom.operations.add_client import NewClient, add_client, set_keep
from strongroom.operations.credentials import check_password
from strongroom.operations.deployment import Deployment
from strongroom.operations.erase_client import destroyed
from strongroom.operations.failure_domains import look_at_domains

commands = Commands(name="client")
commands.command(erase)


@dataclass(frozen=True, slots=True)
class Keeping:
    """How a client's data is kept."""

    class_: Literal["normal", "high"] = "normal"
    """high: everything is encrypted twice, under two independently dealt keys. normal unless
    you say; it cannot be changed later."""
    keep: str | None = None
    """The keep policy, such as 7d5w12m3f: the newest of 7 days, 5 weeks and 12 months, and never
    fewer than 3."""
    parity: Literal[0, 1, 2] = 0
    """Cut packs into shards, one at each location, of which this many may be lost: less space than
    a full copy everywhere. 0, full copies, unless you say; it cannot be changed later."""


AS_EVER = Keeping()


@commands.command
def add(
    name: str,
    /,
    *,
    source: list[str] | None = None,
    how: Annotated[Keeping, Parameter(name="*")] = AS_EVER,
    password_file: SecretFile | None = None,
    face: With,
) -> None:
    """Add a client, with its sources.

    Parameters
    ----------
    name
        A name of your own for it: a-z, 0-9, '.', '_', '-'. It never leaves the home in clear.
    source
        What to back up: a path or URL, or NAME=URL; once for each.
    password_file
        For one PostgreSQL source: a file with its password, or - for stdin; kept sealed. Without
        it, you are asked on a terminal where the server wants one.
    """
    password = sources.read_password_file(password_file)
    # All sources are looked at first, so that a wrong path does not leave half a client.
    typed = [sources.sniffed(face.app, text) for text in source or []]
    if len({label for label, _, _ in typed}) < len(typed):
        raise UsageError(
            "two sources would have the same name",
            ", ".join(sorted(label for label, _, _ in typed)),
            hint="Name them yourself: --source NAME=PATH.",
        )
    if len({url for _, _, url in typed}) < len(typed):
        raise UsageError("a source is given twice", hint="Name each place once.")
    check_password(password, [kind for _, kind, _ in typed])
    with face.deployment() as deployment:
        policy = Keep.parse(deployment.tools.keep if how.keep is None else how.keep)
        passwords = {
            url: password or sources.ask_password_to_keep(face, url)
            for _, kind, url in typed
            if kind == "postgresql"
        }
        client = add_client(deployment, NewClient(name, how.class_, policy, how.parity))
        for one in typed:
            sources.add(deployment, client, one, passwords.get(one[2]))
        described = describe(deployment, client)
        shared = look_at_domains(deployment) if how.parity else []
    face.show(described)
    face.warn(*(f"warning: {one}, with all shards there" for one in shared))
    face.tell(
        f"Added client {name}, class {how.class_}.",
        *([f"  packs: {_shards(described)}"] if described.parity_shards else []),
        *(f"  source {label}: {kind} {url}" for label, kind, url in typed),
        f"Next: {face.command(f'backup {name}' if typed else f'source add {name} PATH')}",
    )


@commands.command(name="set")
def set_(name: str, /, *, keep: str, face: With) -> None:
    """Change a client's keep policy. Nothing is deleted by that.

    Parameters
    ----------
    name
        The client's name.
    keep
        The new keep policy, such as 7d5w12m3f: the newest of 7 days, 5 weeks and 12 months, and
        never fewer than 3. Parts left out get these numbers.
    """
    with face.deployment() as deployment:
        client = deployment.registry.client(name)
        policy = Keep.parse(keep)
        set_keep(deployment, client, policy)
    face.show({"client": name, "keep": str(policy)})
    face.tell(
        f"{name} keeps the newest of {policy.daily} days, {policy.weekly} weeks and "
        f"{policy.monthly} months, never fewer than {policy.floor}.",
        f"Nothing was deleted. See what it means: {face.command(f'snapshots {name}')}",
    )


@commands.command(name="list")
def list_(*, face: With) -> None:
    """List the clients."""
    with face.deployment() as deployment:
        rows = [describe(deployment, client) for client in deployment.registry.clients()]
    face.table(
        ("client", "class", "keep", "sources", "good", "newest good snapshot"),
        [
            (
                row.name,
                row.vault_class,
                row.keep,
                str(row.sources),
                str(row.snapshots_good),
                _newest(row),
            )
            for row in rows
        ],
        rows,
    )
    if not rows:
        face.tell(f"No client yet. Add one: {face.command('client add NAME --source PATH')}")


@commands.command
def show(name: str, /, *, deeds: Path | None = None, face: With) -> None:
    """Show one client and its sources; of an erased one, what custodians signed.

    Parameters
    ----------
    name
        The client's name.
    deeds
        Write what each custodian has signed that it destroyed into this folder, one file each.
    """
    with face.deployment() as deployment:
        client = deployment.registry.known_client(name)
        described = describe(deployment, client)
        with deployment.tools.history(client.id) as history:
            rows = history.sources()
        gone = destroyed(deployment, client)
    if deeds is not None:
        write_deeds(deeds, gone)
    face.show(
        {
            **output.plain(described),
            "source_list": rows,
            "destroyed": [one.plain() for one in gone],
        }
    )
    face.tell(
        f"client     {described.name}",
        f"class      {described.vault_class}",
        f"keep       {described.keep}",
        f"packs      {_shards(described)}",
        f"snapshots  {described.snapshots}, {described.snapshots_good} of them good",
        f"newest     {_newest(described)}",
        f"vault      {described.vault}",
        f"id         {described.id}",
        *(f"source     {row.name}: {row.kind} {row.url}" for row in rows),
        *(f"destroyed  {describe_destroyed(one)}" for one in gone),
    )
    if not rows and client.erasure is None:
        face.tell(f"No source yet. Add one: {face.command(f'source add {name} PATH')}")


@dataclass(frozen=True, slots=True)
class Described:
    """A client as a flat object."""

    name: str
    id: str
    vault_class: str
    vault: str
    keep: str
    sources: int
    snapshots: int
    snapshots_good: int
    newest_good_at: datetime | None
    data_shards: int
    """How many shards of a pack give it back; 0 where every location holds full copies."""
    parity_shards: int
    erasing_at: datetime | None = None
    """When a first custodian had destroyed its keys; nothing is restored since."""
    erased_at: datetime | None = None
    """When all of them had."""


def describe(deployment: Deployment, client: Client) -> Described:
    """Return what is known of a client."""
    with deployment.tools.history(client.id) as history:
        counts = history.counts()
        newest = history.newest_good()
        count = len(history.sources())
    return Described(
        client.name,
        client.id,
        client.vault_class,
        client.vault,
        str(client.keep),
        count,
        sum(counts.values()),
        counts.get("good", 0) if client.erasure is None else 0,
        newest.received_at if newest else None,
        client.parity.data if client.parity else 0,
        client.parity.parity if client.parity else 0,
        client.erasure.begun_at if client.erasure else None,
        client.erasure.erased_at if client.erasure else None,
    )


def _newest(row: Described) -> str:
    if row.erased_at is not None:
        return f"erased on {output.moment(row.erased_at)}"
    if row.erasing_at is not None:
        return "being erased"
    return output.moment(row.newest_good_at) if row.newest_good_at else "none"


def _shards(described: Described) -> str:
    data, parity = described.data_shards, described.parity_shards
    if not parity:
        return "a full copy at every location"
    times = (data + parity) / data
    return f"{data} + {parity} shards, {times:.3g} times the size of one copy in all"
