"""Tombstones of what a kept snapshot needs, as a fault of ours could write them."""

from collections.abc import Iterable
from dataclasses import replace

from strongroom.clients import Client
from strongroom.operations.deployment import Deployment
from strongroom.operations.tombs import place_of, read_own
from tests.support.telling import told


def bury(deployment: Deployment, client: Client, objects: Iterable[str]) -> None:
    """Announce, after the newest tombstone and to its time, that these objects go, too."""
    keys, goes = deployment.worker_keys(client), tuple(sorted(objects))
    with deployment.tools.history(client.id) as history:
        last = history.tombs()[-1]
        tomb = read_own(deployment, client, keys, last)
        wrong = replace(
            tomb,
            generation=tomb.generation + 1,
            snapshots=(),
            objects=goes,
            goes=replace(tomb.goes, snapshots=0, objects=len(goes)),
        )
        envelope = wrong.sign(place_of(deployment, client), keys.writer_seed)
        row = replace(
            last,
            hash=envelope.statement.hash.hex(),
            generation=wrong.generation,
            record=envelope.encode(),
        )
        history.begin_tomb(row, [], told())
