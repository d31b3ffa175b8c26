"""`client erase`: every custodian destroys its keys of a client, and signs for it.

It is asked for and approved as any procedure; custodians judge the order themselves, each on its
own. With the first that has obeyed there is no way back: from then on nothing of the client is
backed up or restored, and the same command goes on until every custodian has signed and every
location is cleared. docs/how-to/erase-a-client.md.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from strongroom.clients import Client, Registry
from strongroom.crypto import canonical
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.operations.clear_client import Cleared, clear_exports, clear_vault
from strongroom.operations.credentials import Credential, seal_password
from strongroom.operations.deployment import Deployment
from strongroom.operations.intent import intend
from strongroom.operations.orders import give_order
from strongroom.operations.requesting import Wish, permitted
from strongroom.operations.witnessing import OpenLog
from strongroom.procedures import Plan
from strongroom.quorum import Acts


@dataclass(frozen=True, slots=True)
class ClientErased:
    """What an erasure came to."""

    client: str
    erased_at: datetime
    """When every custodian had destroyed its keys."""
    custodians: list[str]
    """Who has signed for it."""
    deleted_exports: int
    deleted_objects: int
    deleted_bytes: int
    exports_left: list[str]
    """Sealed exports that must be deleted by hand, as `LOCATION: PATH`."""
    problems: list[str]


@dataclass(frozen=True, slots=True)
class Destroyed:
    """What one custodian has signed that it destroyed of a client."""

    custodian: str
    index: int
    erased_at: datetime
    keys: int
    exports: list[str]
    """The paths at which sealed exports of them may lie at any location."""
    answers: int
    deed: Envelope

    def plain(self) -> dict[str, object]:
        """Return it for machines; the deed by its hash."""
        shown = ("custodian", "index", "erased_at", "keys", "exports", "answers")
        return {
            **{name: getattr(self, name) for name in shown},
            "deed": self.deed.statement.hash.hex(),
        }


def destroyed(deployment: Deployment, client: Client) -> list[Destroyed]:
    """Return what each custodian has signed that it destroyed, in order of their index."""
    found: dict[int, Destroyed] = {}
    for act in deployment.desk.acts():
        request = act.request
        if (request.procedure, request.client) != (Acts.Procedure.CLIENT_ERASURE, client.id):
            continue
        for index, data in deployment.desk.deeds(request.request).items():
            envelope = decode_envelope(data, f"the deed of custodian {index}")
            deed = Acts.Deed.read(envelope)
            told = Acts.Erasure.of(deed.told, client.id)
            found[index] = Destroyed(
                _name_of(deployment, deed),
                index,
                told.erased_at,
                len(told.keys),
                told.exports(deployment.install, deed.custodian),
                told.answers,
                envelope,
            )
    return [found[index] for index in sorted(found)]


def _name_of(deployment: Deployment, deed: Acts.Deed) -> str:
    """Return the name of who signed; one that was replaced since has none here."""
    members = {member.id: member.name for member in deployment.roster.members}
    return members.get(deed.custodian, f"custodian {deed.custodian[:8]}")


def erase_client(
    deployment: Deployment, client: Client, given: Credential | None = None
) -> ClientErased:
    """Erase a client, or go on where an earlier run of the same stopped.

    `given` is the janitor's credential for locations where none is sealed. Raises Waiting until
    it is approved and its delay has passed, and PartlyDone while a custodian has not obeyed.
    """
    with deployment.tools.lock(client.vault):
        client = deployment.registry.known_client(client.name)
        erasure = client.erasure
        if erasure is None or erasure.erased_at is None:
            erasure = _destroy(deployment, client, given)
        cleared = _clear(deployment, client, erasure, given)
    return ClientErased(
        client.name,
        erasure.erased_at or erasure.begun_at,
        [one.custodian for one in destroyed(deployment, client)],
        cleared.exports,
        cleared.objects,
        cleared.bytes,
        [f"{name}: {path}" for name, paths in sorted(cleared.left.items()) for path in paths],
        list(cleared.problems.values()),
    )


def _destroy(deployment: Deployment, client: Client, given: Credential | None) -> Registry.Erasure:
    """Have every custodian destroy its keys; return how far that has come: to its end."""
    registry = deployment.registry
    with (
        deployment.tools.history(client.id) as history,
        permitted(deployment, (client, history), _wish(client)) as permit,
    ):
        orders = give_order(deployment, permit)
        now = deployment.tools.clock.now()
        erasure = client.erasure or Registry.Erasure(now)
        if not orders.absent:
            erasure = replace(erasure, erased_at=now)
        fact = deployment.fact(
            "client.erased",
            client.id,
            request=next(deed.request for deed in orders.deeds.values()),
            custodians=list(orders.deeds),
            whole=not orders.absent,
        )
        registry.note_erasure(client, erasure, fact)
        deployment.forget_worker_keys(client)
        for source in history.sources():
            seal_password(deployment.tools.secrets, source, None)
        if orders.absent:
            # What can be done is done now: t of those exports would still give a key back.
            _clear(deployment, client, erasure, given)
            orders.check_complete(f"{client.name} is erased")
    return erasure


def _wish(client: Client) -> Wish:
    """Return what an approver gets to see of an erasure, and signs.

    Nothing in it changes meanwhile: not with the next backup, nor with another custodian.
    """
    plan = Plan.of(
        f"erase client {client.name}, for ever",
        "every custodian destroys its keys of it: nobody restores any backup of it then",
        "sealed exports of these keys, and its vault, are deleted at every location",
        "a copy of an export that somebody kept elsewhere still opens, with that custodian's kit",
    )
    order = canonical.dumps({"procedure": "client-erasure", "client": client.id}).decode()
    return Wish(Acts.Procedure.CLIENT_ERASURE, {}, plan, order)


def _clear(
    deployment: Deployment, client: Client, erasure: Registry.Erasure, given: Credential | None
) -> Cleared:
    """Clear every location of exports and, of a client that is wholly erased, of its vault."""
    cleared = Cleared()
    intent = deployment.intent("client.cleared", client.id)
    intend(deployment, OpenLog.of_server(deployment), intent)
    named = [path for one in destroyed(deployment, client) for path in one.exports]
    clear_exports(deployment, client, named, given, cleared)
    if erasure.erased_at is not None:
        clear_vault(deployment, client, given, cleared)
        at = deployment.tools.clock.now() if cleared.whole else None
        erasure = replace(erasure, cleared_at=at)
    left = sum(len(paths) for paths in cleared.left.values())
    result = deployment.result(intent, exports=cleared.exports, objects=cleared.objects, left=left)
    deployment.registry.note_erasure(client, erasure, result)
    return cleared
