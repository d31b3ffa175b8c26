"""`strongroom ledger resume`: let the logs of a home that was put back go on."""

from strongroom.cli import output
from strongroom.cli.face import With
from strongroom.errors import PartlyDone
from strongroom.operations.resume_ledger import ResumedLog, resume_ledger


def resume(*, without_absent: bool = False, face: With) -> int:
    """Let the logs go on after this home was put back from an older copy.

    A log takes the facts that the locations have of it, or begins a new epoch behind them; what
    was signed before is never signed again in another form. Exits 3 when facts are lost.

    Parameters
    ----------
    without_absent
        Go on although a location does not answer, which may have facts that no other has.
    """
    with face.deployment() as deployment:
        rows = resume_ledger(deployment, without_absent=without_absent)
    face.show(rows)
    face.tell(*(_said(row) for row in rows if row.state != "whole"))
    whole = sum(row.state == "whole" for row in rows)
    if whole:
        face.tell(f"{output.count(whole, 'log')} of {len(rows)} are what was seen of them.")
    return PartlyDone.exit_code if any(row.lost for row in rows) else 0


def _said(row: ResumedLog) -> str:
    came = f"{output.count(row.facts, 'fact')} came from the locations"
    if row.state == "resumed":
        return f"{row.log} goes on: {came}"
    lost = f", {output.count(row.lost, 'fact')} are lost" if row.lost else ""
    return f"{row.log} begins a new epoch: {came}{lost}"
