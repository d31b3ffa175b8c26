"""`conclude`: the end of every command. What it recorded is signed, witnessed, and placed.

The clients' logs come first, a few at a time so that many clients do not need many open files;
the server's log then takes in where they stand, and is witnessed last. Nothing here undoes what a
command did: what fails is told, shows in `status`, and is tried again at the next command.
docs/life-of/a-fact.md.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Final

from strongroom.clients import Client
from strongroom.errors import Damaged, Stale, StrongroomError
from strongroom.operations.deployment import Deployment
from strongroom.operations.place_ledger import Placing
from strongroom.operations.witnessing import OpenLog, Witnessed, have_witnessed

LOGS_AT_ONCE: Final = 64
"""A client's database is three open files; a process may have about a thousand."""
ANCHORS_MAX: Final = 200
"""How many logs one fact tells of; a fact has a largest size."""


def conclude(deployment: Deployment, *, places: bool = True) -> list[str]:
    """Have witnessed what this command recorded; return what did not go well, as sentences.

    Then it goes to the locations, where `places` says so. Raises nothing: it runs after commands
    that failed, too, whose error must be the one that is seen.
    """
    found: list[Witnessed] = []
    try:
        # The last clients' objects are under way while the server's log is witnessed.
        with Placing(deployment) as placing, ExitStack() as stack:
            anchors: list[str] = []
            touched = deployment.touched
            every = deployment.registry.clients() if touched else []
            clients = [client for client in every if client.id in touched]
            for opened in _open_logs(deployment, clients, stack):
                some = have_witnessed(deployment, [one for one in opened if not one.is_witnessed])
                found += some
                anchors += _anchors(some)
                if places:
                    stack.callback(placing.finish)
                    placing.begin(_kept(deployment, opened))
            _record_anchors(deployment, anchors)
            log = OpenLog.of_server(deployment)
            found += [] if log.is_witnessed else have_witnessed(deployment, [log])
            if places:
                stack.callback(placing.finish)
                placing.begin([log])
    except (StrongroomError, OSError, sqlite3.Error) as err:
        return [*_tell(found), f"the ledger was not witnessed to its end: {err}"]
    return [
        *_tell(found),
        *(f"{name} is not placed: {err}" for name, err in placing.problems.items()),
    ]


def witness_again(deployment: Deployment) -> list[str]:
    """Have every log witnessed as it is, also what was before; return what did not go well.

    For when a custodian's witness is another one: what the one before it has cosigned is by a key
    that nobody is known by any more.
    """
    found = have_witnessed(deployment, [OpenLog.of_server(deployment)])
    with ExitStack() as stack:
        for opened in _open_logs(deployment, deployment.registry.clients(), stack):
            found += have_witnessed(deployment, opened)
    return _tell(found)


def _open_logs(
    deployment: Deployment, clients: Sequence[Client], stack: ExitStack
) -> Iterator[list[OpenLog]]:
    """Yield the logs of these clients, some at a time; those before are closed."""
    left = iter(clients)
    while batch := list(islice(left, LOGS_AT_ONCE)):
        stack.close()
        yield [
            OpenLog.of_client(client, stack.enter_context(deployment.tools.history(client.id)))
            for client in batch
        ]


def _kept(deployment: Deployment, logs: Sequence[OpenLog]) -> list[OpenLog]:
    """Return the logs that can be placed: no home has the key to seal an erased client's with."""
    erased = {one.id for one in deployment.registry.clients() if one.erasure is not None}
    return [log for log in logs if log.client not in erased]


def _record_anchors(deployment: Deployment, anchors: Sequence[str]) -> None:
    """Take where the clients' logs stand into the server's."""
    told = iter(anchors)
    while some := list(islice(told, ANCHORS_MAX)):
        fact = deployment.fact("ledger.anchored", deployment.install, logs=some)
        deployment.registry.record(fact)


def _anchors(found: Sequence[Witnessed]) -> list[str]:
    """Return each witnessed log's id, size and root as one text."""
    return [
        f"{at.origin.rpartition('/')[2]} {at.size} {at.root.hex()}"
        for at in (one.checkpoint for one in found if one.enough)
        if at is not None
    ]


def _tell(found: Sequence[Witnessed]) -> list[str]:
    """Return a sentence for each way in which logs are not witnessed, whatever their number.

    A custodian that knows of more, or of another history, is told of even where enough others
    cosigned.
    """
    told: dict[str, list[str]] = {}
    for one in found:
        if not one.enough:
            shortfall = f"{one.told} ({one.reasons})" if one.reasons else one.told
            told.setdefault(shortfall, []).append(one.log.name)
        else:
            for who, err in one.problems.items():
                if isinstance(err, Stale | Damaged):
                    told.setdefault(f"in question: {who}: {err}", []).append(one.log.name)
    return [f"{_names(names)} {what}" for what, names in told.items()]


def _names(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is"
    others = "1 other" if len(names) == 2 else f"{len(names) - 1} others"
    return f"{names[0]} and {others} are"
