"""`strongroom client`: whose data is kept."""

from typing import Literal

from cyclopts import App as Commands

from strongroom.cli import output, sources
from strongroom.cli.face import With
from strongroom.clients import Client, Keep
from strongroom.errors import UsageError
from strongroom.operations.add_client import NewClient, add_client
from strongroom.operations.deployment import Deployment

commands = Commands(name="client", help="Clients: whose data is kept.")


@commands.command
def add(
    name: str,
    /,
    *,
    source: list[str] | None = None,
    class_: Literal["normal", "high"] = "normal",
    keep: str | None = None,
    face: With,
) -> None:
    """Add a client, with its sources.

    Parameters
    ----------
    name
        A name of your own for it: a-z, 0-9, '.', '_', '-'. It never leaves the home in clear.
    source
        A path or URL, or NAME=URL; once for each.
    class_
        high: everything is encrypted twice, under two independently dealt keys.
    keep
        The keep policy, such as 7d5w12m3f.
    """
    # All sources are looked at first, so that a wrong path does not leave half a client.
    typed = [sources.sniffed(face.app, text) for text in source or []]
    if len({name for name, _, _ in typed}) < len(typed):
        raise UsageError("two sources would have the same name", hint="Name them: NAME=URL.")
    with face.deployment() as deployment:
        policy = Keep.parse(keep or deployment.tools.keep)
        client = add_client(deployment, NewClient(name, class_, policy))
        for text in source or []:
            sources.add(face.app, deployment, client, text)
        described = describe(deployment, client)
    face.show(described)
    face.tell(
        f"Added client {name}, class {class_}.",
        *(f"  source {name}: {kind} {url}" for name, kind, url in typed),
        f"Next: strongroom backup {name}",
    )


@commands.command(name="set")
def set_(name: str, /, *, keep: str, face: With) -> None:
    """Change a client's keep policy.

    Parameters
    ----------
    keep
        The new keep policy, such as 7d5w12m3f.
    """
    with face.deployment() as deployment:
        client = deployment.registry.client(name)
        policy = Keep.parse(keep)
        deployment.registry.set_keep(
            client,
            policy,
            deployment.fact(
                "client.keep_set", client.id, before=str(client.keep), after=str(policy)
            ),
        )
    face.show({"client": name, "keep": str(policy)})
    face.tell(f"{name} keeps {policy}. Shown by `strongroom snapshots {name}`; nothing is deleted.")


@commands.command(name="list")
def list_(*, face: With) -> None:
    """List the clients."""
    with face.deployment() as deployment:
        rows = [describe(deployment, client) for client in deployment.registry.clients()]
    face.table(
        ("client", "class", "sources", "good", "newest good snapshot"),
        [
            (
                str(row["name"]),
                str(row["class"]),
                str(row["sources"]),
                str(row["snapshots_good"]),
                str(row["newest_good_at"] or "none"),
            )
            for row in rows
        ],
        rows,
    )
    if not rows:
        face.tell("No client yet. Add one: strongroom client add NAME --source PATH")


@commands.command
def show(name: str, /, *, face: With) -> None:
    """Show one client and its sources."""
    with face.deployment() as deployment:
        client = deployment.registry.client(name)
        described = describe(deployment, client)
        with deployment.tools.history(client.id) as history:
            rows = history.sources()
    face.show({**described, "source_list": rows})
    face.tell(*(f"{key.replace('_', ' ')}: {value}" for key, value in described.items()))
    face.tell(*(f"source {row.name}: {row.kind} {row.url}" for row in rows))


def describe(deployment: Deployment, client: Client) -> dict[str, object]:
    """Return a client as a flat object."""
    with deployment.tools.history(client.id) as history:
        snapshots = history.snapshots()
        count = len(history.sources())
    good = [snapshot for snapshot in snapshots if snapshot.state == "good"]
    newest = good[-1].received_at if good else None
    return {
        "name": client.name,
        "id": client.id,
        "class": client.vault_class,
        "vault": client.vault,
        "keep": str(client.keep),
        "sources": count,
        "snapshots": len(snapshots),
        "snapshots_good": len(good),
        "newest_good_at": output.plain(newest) if newest else None,
    }
