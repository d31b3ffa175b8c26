"""`strongroom snapshots`: what is kept of a client."""

from collections.abc import Sequence

from strongroom.cli import output
from strongroom.cli.face import With
from strongroom.clients import Snapshot
from strongroom.vault import Vault


def snapshots(client: str, /, *, face: With) -> None:
    """List a client's snapshots, oldest first, and what the keep policy would keep.

    Names of files and tables need a release to read, so only counts, times and sizes are shown.
    """
    with face.deployment() as deployment:
        found = deployment.registry.client(client)
        with deployment.tools.history(found.id) as history:
            listed = history.snapshots()
    keep = found.keep
    verdicts = {
        verdict.id: verdict.reasons
        for verdict in Vault.keep_plan(
            [
                Vault.Candidate(one.hash, one.received_at or one.created_at, one.state == "good")
                for one in listed
                if one.goes_at is None
            ],
            Vault.Policy(keep.daily, keep.weekly, keep.monthly, keep.floor),
        )
    }
    rows = [
        {
            "snapshot": one.hash,
            "state": one.state,
            "created_at": one.created_at,
            "received_at": one.received_at,
            "sources": one.summary.get("sources"),
            "entries": one.summary.get("entries"),
            "read_bytes": one.summary.get("read_bytes"),
            "stored_bytes": one.summary.get("stored_bytes"),
            "receipts": one.receipts,
            "keep": ", ".join(verdicts.get(one.hash, ())),
            "goes_at": one.goes_at,
        }
        for one in listed
    ]
    face.table(
        (
            "snapshot",
            "state",
            "received",
            "sources",
            "entries",
            "read",
            "stored",
            "receipts",
            "keep",
        ),
        [
            (
                one.hash[:12],
                one.state,
                output.moment(one.received_at or one.created_at),
                str(one.summary.get("sources", "")),
                str(one.summary.get("entries", "")),
                _size(one.summary.get("read_bytes")),
                _size(one.summary.get("stored_bytes")),
                str(one.receipts),
                _keep(one, verdicts.get(one.hash, ())),
            )
            for one in listed
        ],
        rows,
    )
    if not listed:
        face.tell(f"Nothing is kept of {client} yet. Run: {face.command(f'backup {client}')}")


def _keep(one: Snapshot, reasons: Sequence[str]) -> str:
    """Return why a snapshot stays, or when it goes."""
    if one.goes_at is not None:
        return f"goes after {output.moment(one.goes_at)}"
    return ", ".join(_short(reason) for reason in reasons) or "-"


def _short(reason: str) -> str:
    """Return a word for a table; the JSON has the whole reason."""
    return "floor" if reason.startswith("one of the") else reason.removesuffix(" good")


def _size(count: object) -> str:
    return output.size(count) if isinstance(count, int) else "-"
