"""`strongroom diff`: what changed from one snapshot to another."""

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from strongroom.cli import output
from strongroom.cli.face import With
from strongroom.cli.signing import ASKED, Signing
from strongroom.errors import PartlyDone, printable
from strongroom.operations.diff import DIFFERENCES_MAX, Difference, DiffReport, DiffRequest
from strongroom.operations.diff import diff as compare


@dataclass(frozen=True, slots=True)
class How:
    """How closely, and how much of it is listed."""

    source: str | None = None
    """Only this source."""
    read_data: bool = False
    """Read also files of one size and time that were stored apart, as class high always does."""
    limit: Annotated[int, Parameter(validator=Number(gte=1))] = DIFFERENCES_MAX
    """List at most so many differences (10000); all are counted, and the command exits 3."""


def diff(
    client: str,
    before: str,
    after: str = "latest",
    /,
    *,
    how: Annotated[How, Parameter(name="*")] = How(),
    sign: Annotated[Signing, Parameter(name="*")] = ASKED,
    face: With,
) -> int:
    """Say what changed from one snapshot of a client to another.

    Parameters
    ----------
    client
        The client's name.
    before
        The earlier snapshot: the beginning of an id, or a time (the last good one at or before it).
    after
        The later one; without it, the latest.
    """
    request = DiffRequest(before, after, how.source, how.read_data, how.limit)
    with face.deployment(sign.passphrase_file) as deployment:
        report = compare(deployment, deployment.registry.client(client), request)
    face.show(report)
    if not face.json:
        face.table(
            ("change", "kind", "before", "after", "what", "path"),
            [_row(one) for one in report.differences],
            (),
        )
    face.tell(_summary(report))
    if report.assumed_equal:
        face.warn(
            f"note: {output.count(report.assumed_equal, 'file')} of the same size and time, stored "
            "apart, taken as equal; --read-data reads them"
        )
    if not report.left_out:
        return 0
    face.warn(f"{report.left_out} more are not listed; --limit N lists up to N.")
    return PartlyDone.exit_code


def _row(one: Difference) -> tuple[str, ...]:
    rows = one.kind == "table"
    amounts = (one.before_rows, one.after_rows) if rows else (one.before_bytes, one.after_bytes)
    before, after = (
        "-" if amount is None else f"{amount} rows" if rows else output.size(amount)
        for amount in amounts
    )
    path = f"{one.source}/{one.path}" if one.path else one.source
    return (one.change, one.kind, before, after, one.what or "-", printable(path))


def _summary(report: DiffReport) -> str:
    counts = (
        (report.added, "added"),
        (report.removed, "removed"),
        (report.changed, "changed"),
        (report.retyped, "of another kind"),
    )
    told = ", ".join(f"{number} {word}" for number, word in counts if number)
    return f"From {report.before[:12]} to {report.after[:12]}: {told or 'nothing changed'}."
