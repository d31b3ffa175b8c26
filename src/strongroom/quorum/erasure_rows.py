"""What a custodian's tables hold of erased clients: that they were, and what was destroyed."""

import json
from collections.abc import Sequence

from strongroom.database import Transaction
from strongroom.ids import ClientId
from strongroom.quorum.erasure import Erasure


def write_erasure(transaction: Transaction, client: ClientId, erasure: Erasure) -> None:
    """Note for good that a client was erased."""
    told = json.dumps(erasure.told)
    transaction.run("INSERT INTO erased VALUES (?, ?)", (client, told))


def read_erasure(transaction: Transaction, client: ClientId) -> Erasure | None:
    """Return what was destroyed of a client, or None where it was not erased."""
    row = transaction.row("SELECT told FROM erased WHERE client = ?", (client,))
    return None if row is None else Erasure.parse(json.loads(row[0]), client)


def forget_client(transaction: Transaction, client: ClientId) -> int:
    """Delete every row about a client but the journals; return how many stored answers went.

    The row of a release stays, for a request is used once, and tells no secret without its answer.
    """
    wiped = transaction.run(
        "UPDATE release SET answer = x'' WHERE client = ? AND answer <> x''", (client,)
    )
    for statement in (
        "DELETE FROM receipt WHERE writer IN (SELECT writer FROM writer WHERE client = ?)",
        "DELETE FROM beginning WHERE writer IN (SELECT writer FROM writer WHERE client = ?)",
        "DELETE FROM reheld WHERE client = ?",
        "DELETE FROM former_key WHERE client = ?",
        "DELETE FROM writer WHERE client = ?",
        "DELETE FROM client WHERE client = ?",
        "DELETE FROM client_log WHERE client = ?",
        "DELETE FROM succession WHERE client = ?",
    ):
        transaction.run(statement, (client,))
    return wiped


def forget_kit_entries(transaction: Transaction, paths: list[str]) -> None:
    """Delete entries of the key table."""
    transaction.run_many("DELETE FROM kit_entry WHERE path = ?", [(path,) for path in paths])


def wipe_kit_entries(transaction: Transaction, paths: list[str]) -> None:
    """Delete what entries hold, and remember that they were handed out."""
    transaction.run_many(
        "UPDATE kit_entry SET bytes = x'' WHERE path = ?", [(path,) for path in paths]
    )


def read_kit_paths(transaction: Transaction, beginning: str) -> list[str]:
    """Return the paths that begin so of all entries that were ever handed out, wiped ones too."""
    rows = transaction.rows(
        "SELECT path FROM kit_entry WHERE path BETWEEN ? AND ? ORDER BY path",
        (beginning, f"{beginning}~"),
    )
    return [path for (path,) in rows]


def write_unscoured(transaction: Transaction, request: str) -> None:
    """Note that a file of the database may hold what this order destroyed."""
    transaction.run("INSERT INTO unscoured VALUES (?)", (request,))


def read_unscoured(transaction: Transaction) -> list[str]:
    """Return the orders of which a file of the database may hold what they destroyed."""
    return [request for (request,) in transaction.rows("SELECT request FROM unscoured")]


def forget_unscoured(transaction: Transaction, requests: Sequence[str]) -> None:
    """Note that no file of the database holds any more what these orders destroyed."""
    transaction.run_many(
        "DELETE FROM unscoured WHERE request = ?", [(request,) for request in requests]
    )
