"""`client add`, `source add`: begin to keep somebody's data.

A client gets a vault, a worker's keys (sealed), and one key pair at every custodian, made there.
The client's row is written last; an interruption before it leaves unused keys and no client.
"""

from dataclasses import dataclass
from typing import Literal

from strongroom.clients import Client, ClientSource, Keep
from strongroom.errors import Refused, UsageError
from strongroom.ids import ClientId, SourceId, VaultId, new_id
from strongroom.operations.credentials import check_password, seal_password
from strongroom.operations.deployment import Deployment
from strongroom.operations.enrol_writer import RECOVER_WITH_ALL, enrol_writer
from strongroom.operations.intent import announced, intend
from strongroom.operations.witnessing import OpenLog
from strongroom.placement import Parity, place_id
from strongroom.vault import WorkerKeys


@dataclass(frozen=True, slots=True)
class NewClient:
    """What `client add` was asked for."""

    name: str
    vault_class: Literal["normal", "high"]
    keep: Keep
    parity: int = 0
    """How many parity shards each pack has over all locations; 0 for full copies."""


def add_client(deployment: Deployment, wanted: NewClient) -> Client:
    """Add a client; needs every custodian, because each makes its own key for the client."""
    tools = deployment.tools
    Client.check_name(wanted.name)
    taken = {client.name: client for client in deployment.registry.clients()}.get(wanted.name)
    if taken is not None:
        erased = "it is erased, and its log keeps the name" if taken.erasure else ""
        raise UsageError(
            f"there already is a client {wanted.name}", erased, hint="Choose another name."
        )
    for index, reason in deployment.absent_custodians.items():
        raise Refused(
            f"a client needs a key at every custodian, and custodian {index} is not there",
            str(reason),
            hint=f"{RECOVER_WITH_ALL} Backups of other clients go on meanwhile.",
        )
    keys = WorkerKeys.draw(tools.token)
    parity = _parity(deployment, keys, wanted.parity) if wanted.parity else None
    client = Client(
        ClientId(new_id(tools.token)),
        wanted.name,
        VaultId(new_id(tools.token)),
        wanted.vault_class,
        wanted.keep,
        tools.clock.now(),
        parity,
    )
    deployment.seal_worker_keys(client, keys)
    with tools.history(client.id) as history:
        enrol_writer(deployment, client, history, keys)
    with tools.index(client.id) as opened:
        # Its tables are made here, so that a first backup of hundreds of clients is quicker.
        deployment.vault(client, opened, keys)
    deployment.registry.add_client(
        client,
        deployment.fact(
            "client.added",
            client.id,
            private={"name": client.name},
            vault=client.vault,
            vault_class=wanted.vault_class,
            parity=wanted.parity,
        ),
    )
    return client


def _parity(deployment: Deployment, keys: WorkerKeys, parity: int) -> Parity:
    """Return shards over all locations there are; raises UsageError where they are too few."""
    places = deployment.copies.locations.values()
    return Parity.over([place_id(keys.structure, one.url) for one in places], parity)


def add_source(
    deployment: Deployment,
    client: Client,
    name: str,
    kind: str,
    url: str,
    password: str | None = None,
) -> ClientSource:
    """Add a source to a client; the caller has sniffed its kind."""
    tools = deployment.tools
    check_password(password, [kind])
    source = ClientSource(SourceId(new_id(tools.token)), name, url, kind, tools.clock.now())
    fact = deployment.fact(
        "source.added",
        client.id,
        private={"name": name, "url": url},
        source=source.id,
        source_kind=kind,
    )
    # The password first, so that no source is there without the one it was given.
    seal_password(tools.secrets, source, password)
    try:
        with tools.history(client.id) as history:
            history.add_source(source, fact)
    except BaseException:
        seal_password(tools.secrets, source, None)
        raise
    return source


def set_password(deployment: Deployment, client: Client, name: str, password: str) -> ClientSource:
    """Seal another password for a source; the next backup uses it."""
    source = check_source(deployment, client, name)
    check_password(password, [source.kind])
    with deployment.tools.history(client.id) as history:
        log = OpenLog.of_client(client, history)
        intent = deployment.intent("source.password_set", client.id, source=source.id)
        with announced(deployment, log, intent) as told:
            seal_password(deployment.tools.secrets, source, password)
            told["source"] = source.id
    return source


def set_keep(deployment: Deployment, client: Client, keep: Keep) -> None:
    """Change what is kept of a client; nothing is deleted by that."""
    before, after = str(client.keep), str(keep)
    intent = deployment.intent("client.keep_set", client.id, before=before, after=after)
    intend(deployment, OpenLog.of_server(deployment), intent)
    deployment.registry.set_keep(
        client, keep, deployment.result(intent, before=before, after=after)
    )


def remove_source(deployment: Deployment, client: Client, name: str) -> ClientSource:
    """Stop backing up a source; what was kept of it stays restorable."""
    source = check_source(deployment, client, name)
    with deployment.tools.history(client.id) as history:
        history.remove_source(
            source,
            deployment.fact(
                "source.removed",
                client.id,
                private={"name": source.name, "url": source.url},
                source=source.id,
            ),
        )
    seal_password(deployment.tools.secrets, source, None)
    return source


def check_source(deployment: Deployment, client: Client, name: str) -> ClientSource:
    """Return the source of this name; the error lists those there are."""
    with deployment.tools.history(client.id) as history:
        sources = history.sources()
    for source in sources:
        if source.name == name:
            return source
    known = ", ".join(source.name for source in sources) or "none"
    raise UsageError(f"{client.name} has no source {name!r:.80}", f"it has: {known}")
