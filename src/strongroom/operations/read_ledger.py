"""Reading the ledger: every log of the home, what is found in them, and what proves it.

What is shown comes from the logs; the private side of a fact comes from beside them, and is gone
where it was erased. Reading changes nothing and is itself in no log.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from strongroom.clients import Client
from strongroom.errors import Damaged, UsageError
from strongroom.facts import Fact
from strongroom.facts.ocsf import LeafPlace, ocsf_event
from strongroom.ids import ClientId
from strongroom.ledger import Checkpoint, Log, Policy, Proof, Search
from strongroom.operations.deployment import Deployment
from strongroom.operations.privacy import Disclosed
from strongroom.operations.witnessing import Witnesses

SERVER = "server"

Disclose = Callable[[Fact], Disclosed]


@dataclass(frozen=True, slots=True)
class OneLog:
    """A log that is open for reading, and its search."""

    name: str
    client: ClientId | None
    log: Log
    search: Search
    disclose: Disclose


@dataclass(frozen=True, slots=True)
class Proven:
    """Where a leaf stands in what was witnessed. Without a note, it is in no checkpoint yet."""

    cosigned: Mapping[str, int]
    """When each witness cosigned the checkpoint, in seconds since 1970."""
    size: int = 0
    proof: Proof | None = None

    @property
    def witnessed(self) -> bool:
        """Whether a quorum has cosigned a checkpoint that the leaf is in."""
        return self.proof is not None


@dataclass(frozen=True, slots=True)
class FoundFact:
    """A fact with the log and the leaf it was read from."""

    log: str
    epoch: int
    number: int
    leaf: bytes
    fact: Fact
    disclosed: Disclosed
    proven: Proven | None = None

    @property
    def leaf_hash(self) -> bytes:
        """Return the hash under which the leaf is in the tree."""
        return Log.leaf_hash(self.leaf)


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """What to look for, in one client's log or in all."""

    text: str
    client: str | None = None
    since: datetime | None = None
    who: str | None = None
    limit: int = 50
    verify: bool = False
    scan: bool = False


@dataclass(frozen=True, slots=True)
class SearchOutcome:
    """What was found, newest first; `matched` counts all where every leaf was read."""

    facts: Sequence[FoundFact]
    matched: int | None
    logs: int


def logs_of(deployment: Deployment, client: str | None = None) -> Iterator[OneLog]:
    """Yield the server's log and every client's, or one client's, each open until the next."""
    clients = deployment.registry.clients()
    if client is None:
        with _opened(deployment, None, deployment.registry.log) as one:
            yield one
    else:
        clients = [deployment.registry.known_client(client)]
    for each in clients:
        with (
            deployment.tools.history(each.id) as history,
            _opened(deployment, each, history.log) as one,
        ):
            yield one


def search_ledger(deployment: Deployment, request: SearchRequest) -> SearchOutcome:
    """Return the newest facts that are found; with `scan`, after every leaf was read."""
    query = Search.Query.parse(_with_person(deployment, request), request.since)
    found: list[FoundFact] = []
    matched = logs = 0
    witnesses = Witnesses.known(deployment) if request.verify else None
    for one in logs_of(deployment, request.client):
        logs += 1
        if request.scan:
            hits, count = one.search.scan(query, request.limit)
            matched += count
        else:
            hits = one.search.find(query, request.limit)
        found += [_found(one, hit, witnesses) for hit in hits]
    found.sort(key=lambda one: (one.fact.at, one.log, one.epoch, one.number), reverse=True)
    return SearchOutcome(found[: request.limit], matched if request.scan else None, logs)


def show_fact(deployment: Deployment, wanted: str) -> FoundFact:
    """Return the one fact whose id begins so, with its proof."""
    query = Search.Query.parse(f"id:{wanted}*")
    witnesses = Witnesses.known(deployment)
    found = [
        _found(one, hit, witnesses)
        for one in logs_of(deployment)
        for hit in one.search.find(query, 2)
    ]
    if len(found) != 1:
        several = f"{len(found)} facts begin so: give more of the id" if found else ""
        raise UsageError(
            f"there is no one fact {wanted!r:.40}",
            several,
            hint="`strongroom ledger search TEXT --json` shows whole ids.",
        )
    return found[0]


@dataclass(frozen=True, slots=True)
class Tail:
    """Facts in the order of the log; `cursor` is where to go on."""

    facts: Sequence[FoundFact]
    cursor: int
    events: Sequence[Mapping[str, object]]
    """The same facts as events of OCSF."""


def tail_ledger(deployment: Deployment, client: str | None, cursor: int | None, limit: int) -> Tail:
    """Return facts of one log from a cursor on, oldest first; without one, the last."""
    with _log_of(deployment, client) as one:
        views = one.log.epochs()
        sizes = [view.size() for view in views]
        total = sum(sizes)
        start = max(total - limit, 0) if cursor is None else cursor
        if start > total:
            raise UsageError(
                f"the cursor {start} is beyond the log of {one.name}",
                f"it has {total} facts",
                hint="A cursor is of one log; this home may have been put back.",
            )
        found, events = list[FoundFact](), list[Mapping[str, object]]()
        before = 0
        for view, size in zip(views, sizes, strict=True):
            first, stop = max(start - before, 0), min(size, start + limit - before)
            epoch = view.epoch()
            for number, leaf in enumerate(view.leaves(first, max(first, stop)), first):
                hit = Search.Hit(epoch.number, number, "", leaf)
                found.append(_found(one, hit, None))
                place = LeafPlace(
                    epoch.origin or "", number, found[-1].leaf_hash, before + number + 1
                )
                events.append(ocsf_event(found[-1].fact, place))
            before += size
        return Tail(found, min(start + limit, total), events)


@contextmanager
def _log_of(deployment: Deployment, client: str | None) -> Iterator[OneLog]:
    if client is None:
        with _opened(deployment, None, deployment.registry.log) as one:
            yield one
        return
    found = deployment.registry.known_client(client)
    with (
        deployment.tools.history(found.id) as history,
        _opened(deployment, found, history.log) as one,
    ):
        yield one


@contextmanager
def _opened(deployment: Deployment, client: Client | None, log: Log) -> Iterator[OneLog]:
    client_id = None if client is None else client.id
    with deployment.tools.privacy.reading() as disclose:
        search = Search(
            log,
            lambda anew: deployment.tools.search_file(client_id, anew),
            lambda leaf: _values(disclose, leaf),
        )
        try:
            yield OneLog(client.name if client else SERVER, client_id, log, search, disclose)
        finally:
            search.close()


def _values(disclose: Disclose, leaf: bytes) -> list[str]:
    """Return the private values of a leaf; none where they are not those it commits to."""
    try:
        return [value for value in disclose(Fact.parse(leaf)).values.values() if value]
    except Damaged:
        # `show` tells of it. What is not proved to be of the leaf does not find it.
        return []


def _with_person(deployment: Deployment, request: SearchRequest) -> str:
    """Return the text with the pseudonym of the person that is asked for."""
    if request.who is None:
        return request.text
    with deployment.tools.privacy.disclosures(None) as disclosures:
        person = disclosures.find(request.who)
    if person is None:
        raise UsageError(
            f"nobody is known here as {request.who!r:.60}",
            "a person who was erased is found by no name",
            hint="Names are those given to `init` and with --on-behalf-of.",
        )
    return f"{request.text} who:{person.pseudonym}"


def _found(one: OneLog, hit: Search.Hit, witnesses: Witnesses | None) -> FoundFact:
    fact = Fact.parse(hit.leaf)
    proven = None if witnesses is None else _prove(one, hit, witnesses)
    return FoundFact(one.name, hit.epoch, hit.number, hit.leaf, fact, one.disclose(fact), proven)


def _prove(one: OneLog, hit: Search.Hit, witnesses: Witnesses) -> Proven:
    """Return what the newest cosigned checkpoint proves of a leaf; raise Damaged where it lies."""
    view = {view.epoch().number: view for view in one.log.epochs()}[hit.epoch]
    signed, vkey = view.checkpoint(cosigned=True), view.epoch().vkey
    if signed is None or vkey is None or hit.number >= signed.size:
        return Proven({})
    policy: Policy = witnesses.policy(Checkpoint.Key.parse(vkey))
    hashes = tuple(view.inclusion(hit.number, signed.size))
    proof = Proof(hit.number, hashes, signed.note)
    verdict = proof.verify(hit.leaf, policy)
    if not verdict.quorum_met:
        return Proven(verdict.cosigned)
    return Proven(verdict.cosigned, signed.size, proof)
