"""Bundling evidence: chosen facts of one log as a file that a stranger can verify.

The fact that tells of it comes first, so nothing leaves the home that its log does not tell of.
Private values stay behind but for the fields that are named. docs/formats/ledger-v1.md.
"""

import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from strongroom.clients import History, Registry
from strongroom.errors import UsageError, printable
from strongroom.facts import Fact
from strongroom.facts.ocsf import LeafPlace, ocsf_event
from strongroom.ids import ClientId
from strongroom.ledger import Disclosures, Log
from strongroom.operations.deployment import Deployment

_PREFIX = re.compile("[0-9a-f]{8,32}")


@dataclass(frozen=True, slots=True)
class EvidenceRequest:
    """Which facts, by their ids or the beginnings of them, and which private fields of them."""

    client: str | None
    """Whose log; None for the server's."""
    facts: Sequence[str]
    disclose: Collection[str]
    path: Path


@dataclass(frozen=True, slots=True)
class BundledEvidence:
    """What was written."""

    path: Path
    facts: int
    disclosed: int


def bundle_evidence(deployment: Deployment, request: EvidenceRequest) -> BundledEvidence:
    """Write chosen facts with their proofs; refuse what has none before anything is told."""
    if request.path.exists():
        raise UsageError(f"{request.path} is there already", hint="Name another file with --to.")
    with _opened(deployment, request.client) as (home, client):
        view, ids = _find_all(home.log, request.facts)
        evidence = view.evidence(ids)
        facts = {number: Fact.parse(leaf) for number, leaf in sorted(evidence.leaves.items())}
        disclosed = _disclosed(deployment, client, facts.values(), request.disclose)
        home.record(
            deployment.fact(
                "ledger.bundled",
                deployment.install,
                client=client or "",
                private={"to": str(request.path.absolute())},
                facts=len(facts),
                disclosed=len(disclosed),
            )
        )
        origin = view.epoch().origin or ""
    events = [
        ocsf_event(fact, LeafPlace(origin, number, Log.leaf_hash(evidence.leaves[number]), 0))
        for number, fact in facts.items()
    ]
    evidence.write(
        request.path,
        disclosed,
        [_line(number, fact) for number, fact in facts.items()],
        [json.dumps(event) for event in events],
    )
    return BundledEvidence(request.path, len(facts), len(disclosed))


@contextmanager
def _opened(
    deployment: Deployment, name: str | None
) -> Iterator[tuple[History | Registry, ClientId | None]]:
    if name is None:
        yield deployment.registry, None
        return
    client = deployment.registry.known_client(name)
    with deployment.tools.history(client.id) as history:
        yield history, client.id


def _find_all(log: Log, wanted: Sequence[str]) -> tuple[Log, list[str]]:
    """Return the epoch that has these facts, and their whole ids; one bundle is of one epoch."""
    views = log.epochs()
    found = [_find(views, one) for one in wanted]
    numbers = {number for number, _ in found}
    if len(numbers) > 1:
        raise UsageError(
            "these facts are of several epochs of the log",
            hint="Make a bundle for each: each has a checkpoint of its own.",
        )
    if not found:
        raise UsageError("no fact is named", hint="Name each with --fact.")
    return views[numbers.pop()], [fact for _, fact in found]


def _find(views: Sequence[Log], wanted: str) -> tuple[int, str]:
    if not _PREFIX.fullmatch(wanted):
        raise UsageError(f"{wanted!r:.60} is not the id of a fact", "give 8 digits of it or more")
    found = [(at, one) for at, view in enumerate(views) for one in view.ids(wanted)]
    if len(found) != 1:
        raise UsageError(
            f"there is no one fact {wanted} in this log",
            f"{len(found)} facts begin so: give more of the id" if found else "",
            hint="`strongroom ledger search TEXT` shows ids, and in which log a fact is.",
        )
    return found[0]


def _disclosed(
    deployment: Deployment,
    client: ClientId | None,
    facts: Iterable[Fact],
    fields: Collection[str],
) -> list[Disclosures.Value]:
    """Return what is kept of these fields; raise UsageError for one that no fact has."""
    with deployment.tools.privacy.disclosures(client) as disclosures:
        kept = [(fact, one) for fact in facts for one in disclosures.of(fact.id)]
    for fact, one in kept:
        one.check(fact.sd.get(one.field, ""))
    missing = set(fields) - {one.field for _, one in kept}
    if missing:
        raise UsageError(
            f"there is nothing to disclose of {', '.join(sorted(missing))}",
            "none of these facts has it, or it was erased",
        )
    return [one for _, one in kept if one.field in fields]


def _line(number: int, fact: Fact) -> str:
    told = " ".join(f"{key}={value}" for key, value in sorted(fact.body.items()))
    outcome = f"{fact.phase} {fact.out} {fact.why}".rstrip()
    at = fact.at.strftime("%Y-%m-%d %H:%M:%S Z")
    line = f"{number}  {at}  {fact.op}  {outcome}  by {fact.who.kind} {fact.who.id}  {told}"
    return printable(line)
