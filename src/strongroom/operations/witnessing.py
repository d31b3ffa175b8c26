"""Having logs witnessed: sign what was recorded, show it to every custodian, keep what they say.

The custodians are asked side by side, with one transaction each, however many logs there are. What
a witness has seen is compared before anything is shown to it: a log that is behind, or another, is
not pushed. A checkpoint counts as cosigned when a quorum of the deployment's policy has signed it.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final, TypeVar

from strongroom.clients import Client, History
from strongroom.crypto.envelope import Envelope, decode_envelope
from strongroom.errors import Damaged, Refused, Stale, StrongroomError
from strongroom.facts import Fact
from strongroom.ids import ClientId
from strongroom.ledger import Checkpoint, Log, Policy, Witness
from strongroom.operations.asking import Asking
from strongroom.operations.deployment import Deployment
from strongroom.operations.log_keys import LogKeys
from strongroom.quorum import Custodian

ROUNDS_MAX: Final = 3
"""How often a log is shown again that another command signed in between."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OpenLog:
    """A log that is open, and how people call it; the server's is of no client."""

    name: str
    client: ClientId | None
    log: Log
    record: Callable[[Fact], None]

    @classmethod
    def of_client(cls, client: Client, history: History) -> "OpenLog":
        """Return the log of a client whose database is open."""
        return cls(f"the log of {client.name}", client.id, history.log, history.record)

    @classmethod
    def of_server(cls, deployment: Deployment) -> "OpenLog":
        """Return the server's log."""
        registry = deployment.registry
        return cls("the server's log", None, registry.log, registry.record)

    @property
    def is_witnessed(self) -> bool:
        """Whether the newest fact is in a checkpoint that the quorum has cosigned."""
        signed = self.log.checkpoint(cosigned=True)
        return (signed.size if signed else 0) == self.log.size()


@dataclass(slots=True)
class Witnessed:
    """What came of it for one log; `problems` tells by custodian who did not cosign, and why."""

    log: OpenLog
    needed: int
    note: bytes = b""
    checkpoint: Checkpoint | None = None
    cosigned: int = 0
    problems: dict[str, StrongroomError] = field(default_factory=dict)

    @property
    def enough(self) -> bool:
        """Whether the quorum has cosigned."""
        return bool(self.note) and self.cosigned >= self.needed

    @property
    def told(self) -> str:
        """Return how many cosigned, as the rest of a sentence about the log."""
        return f"witnessed by {self.cosigned} of {self.needed} custodians needed"

    @property
    def reasons(self) -> str:
        """Return who did not cosign, and why."""
        # Some errors name their custodian, with where it is.
        said = ((who, str(err)) for who, err in sorted(self.problems.items()))
        return "; ".join(text if text.startswith(who) else f"{who}: {text}" for who, text in said)


@dataclass(frozen=True, slots=True)
class Witnesses:
    """The witnesses of a deployment by the index of their custodian, and how many must cosign."""

    keys: Mapping[int, Witness.Key]
    needed: int

    @classmethod
    def met(cls, deployment: Deployment) -> "Witnesses":
        """Return the known witnesses, after keeping the cards of custodians that are new."""
        _keep_cards(deployment)
        return cls.known(deployment)

    @classmethod
    def known(cls, deployment: Deployment) -> "Witnesses":
        """Return the witnesses whose cards are kept, checked.

        Needed is the default quorum, or all there are where a recovery brought back fewer; never
        fewer than open a key, however many cards are gone.
        """
        roster = deployment.roster
        keys = _keys(deployment)
        quorum = Policy.default_quorum(len(roster.members), roster.threshold)
        return cls(keys, min(quorum, max(roster.threshold, len(keys))))

    def policy(self, *logs: Witness.Key) -> Policy:
        """Return by what checkpoints of these logs are judged.

        Raises Refused where too few witnesses are known for a quorum.
        """
        if len(self.keys) < self.needed:
            raise Refused(
                f"the keys of {len(self.keys)} of {self.needed} witnesses needed are known",
                hint="Bring custodians back: the next command keeps what they show.",
            )
        named = {f"custodian-{index}": key for index, key in self.keys.items()}
        return Policy.of(logs, named, self.needed)


def name_of(index: int) -> str:
    """Return how people call a custodian's witness."""
    return f"custodian {index}"


def what_was_seen(
    custodians: Mapping[int, Custodian], asking: Asking, keys: Callable[[], LogKeys]
) -> Log.Seen:
    """Return what tells, of a log by its origin, the newest checkpoint that each custodian saw.

    Only what the log's own key signed counts: a custodian alone cannot make a log seem put back.
    """

    def seen(origin: str, _placed: int) -> list[tuple[str, Checkpoint]]:
        signed_by_it = Policy.of([keys().key(origin)], {}, 0)
        wanted = hashlib.sha256(origin.encode()).hexdigest()
        found: dict[int, Checkpoint] = {}
        questions = {index: partial(_monitor, one, wanted) for index, one in custodians.items()}
        for index, outcome in asking.each(questions):
            # One that does not answer now, or lies, does not cosign later, which is told then.
            with suppress(StrongroomError):
                answer = outcome.result()
                if answer.status == 200:
                    found[index] = signed_by_it.check(answer.body).checkpoint
        return [(name_of(index), found[index]) for index in sorted(found)]

    return seen


def _monitor(custodian: Custodian, wanted: str) -> Witness.Answer:
    return custodian.witness.monitor(wanted)


def watched(
    histories: Callable[[ClientId], AbstractContextManager[History]],
    seen: Callable[[ClientId], Log.Seen],
) -> Callable[[ClientId], AbstractContextManager[History]]:
    """Return what opens a client's database, with a log that is compared before it takes a fact."""

    @contextmanager
    def opened(client: ClientId) -> Iterator[History]:
        with histories(client) as history:
            history.log.watch(seen(client))
            yield history

    return opened


def have_witnessed(deployment: Deployment, logs: Sequence[OpenLog]) -> list[Witnessed]:
    """Sign these logs and have them cosigned by every custodian that answers; keep the result.

    Raises nothing for a log or a custodian that fails: that is in the answer.
    """
    # What is signed stays, so what opens it has to be on the disk first.
    deployment.tools.privacy.files.settle()
    witnesses = Witnesses.met(deployment)
    keys = LogKeys.read(deployment.install, deployment.tools.secrets, deployment.tools.token)
    found = {id(one): Witnessed(one, witnesses.needed) for one in logs}
    left = list(logs)
    for _ in range(ROUNDS_MAX):
        shown = [_Shown(one, witnesses) for one in left]
        for one in shown:
            one.sign(deployment, keys)
        _show(deployment, [one for one in shown if one.note])
        for one in shown:
            found[id(one.log)] = one.keep()
        # Another command has signed later; what it signed holds our facts, too.
        left = [one.log for one in shown if one.overtaken and not found[id(one.log)].enough]
        if not left:
            break
    for index, err in deployment.absent_custodians.items():
        for witnessed in found.values():
            witnessed.problems.setdefault(name_of(index), err)
    return list(found.values())


class _Shown:
    """One log on its way through the custodians."""

    def __init__(self, log: OpenLog, witnesses: Witnesses) -> None:
        self.log = log
        self.note = b""
        self.checkpoint = Checkpoint("", 0, b"")
        self.overtaken = False
        self.problems: dict[str, StrongroomError] = {}
        self.key: Witness.Key | None = None
        self._witnesses = witnesses
        self._cosigned = log.log.checkpoint(cosigned=True)
        self._lines: dict[int, bytes] = {}
        self._proofs: dict[int, list[bytes]] = {}

    def sign(self, deployment: Deployment, keys: LogKeys) -> None:
        """Sign the log as it is; a damaged one has no note."""
        log, now = self.log.log, deployment.tools.clock.now()
        try:
            epoch = keys.begin(log, self.log.client, now)
            if epoch.origin is None or epoch.vkey is None:
                raise Log.Damaged(f"{self.log.name} cannot be signed", "it has no key")
            note = log.sign(keys.seed(epoch.origin), now)
            self.key = Checkpoint.Key.parse(epoch.vkey)
            self.checkpoint = Policy.of([self.key], {}, 0).check(note).checkpoint
            self.note = note
        except StrongroomError as err:
            self.problems["the log"] = err

    def request(self, who: str, seen: Checkpoint | None) -> bytes | None:
        """Return what to ask a witness that has seen this; None when another command was faster.

        Raises LogBehind where a witness has seen what this log is not.
        """
        log, size = self.log.log, self.checkpoint.size
        self._note_put_back(who, 0 if seen is None else seen.size)
        if seen is None:
            return Witness.request(0, (), self.note)
        log.check_seen(seen, who)
        if seen.size > size:
            self.overtaken = True
            return None
        if seen.size not in self._proofs:
            self._proofs[seen.size] = log.consistency(seen.size, size)
        return Witness.request(seen.size, self._proofs[seen.size], self.note)

    def _note_put_back(self, who: str, seen: int) -> None:
        """Note a witness that knows less than it has cosigned: it will cosign, and forgot."""
        before = self._cosigned
        if before is not None and who in self._named(before.witnesses) and seen < before.size:
            self.problems[who] = Stale(
                f"{who} is older than what it has cosigned",
                f"it knows {seen} facts of {self.log.name}, and has cosigned {before.size}",
                hint="It was put back from an older copy; find out by whom.",
            )

    def _named(self, keys: Sequence[Witness.Key]) -> set[str]:
        return {name_of(index) for index, key in self._witnesses.keys.items() if key in keys}

    def take(self, index: int, answer: Witness.Answer) -> None:
        """Take the answer of a custodian's witness."""
        who = name_of(index)
        if answer.status == 200:
            self._lines[index] = answer.body
        elif answer.status == 409:
            self.overtaken = True
        else:
            why = answer.body.decode("utf-8", "replace").strip()
            hint = "Compare the log with what others have: `strongroom ledger verify`."
            self.problems[who] = Damaged(f"{who} did not cosign {self.log.name}", why, hint)

    def keep(self) -> Witnessed:
        """Keep the note with its cosignatures where the quorum is met; return what came of it."""
        found = Witnessed(self.log, self._witnesses.needed, problems=self.problems)
        if self.key is None:
            return found
        try:
            policy = self._witnesses.policy(self.key)
        except Refused as err:
            found.problems["the witnesses"] = err
            return found
        note, verdict = self._with_cosignatures(), None
        with suppress(StrongroomError):
            verdict = policy.check(note)
        if verdict is None or len(verdict.cosigned) < len(self._lines):
            self._drop_false_ones(self.key)
            note = self._with_cosignatures()
            verdict = policy.check(note)
        found.note, found.cosigned = note, len(verdict.cosigned)
        found.checkpoint = verdict.checkpoint
        if verdict.quorum_met:
            self.log.log.cosigned(note, list(self._witnesses.keys.values()))
        return found

    def _with_cosignatures(self) -> bytes:
        lines = (self._lines[index] for index in sorted(self._lines))
        return b"".join([_without_cosignatures(self.note), *lines])

    def _drop_false_ones(self, key: Witness.Key) -> None:
        """Leave out what is no cosignature by the witness that gave it, and name that one."""
        own = _without_cosignatures(self.note)
        for index, line in list(self._lines.items()):
            who, witness = name_of(index), self._witnesses.keys.get(index)
            named = {} if witness is None else {f"custodian-{index}": witness}
            try:
                held = bool(Policy.of([key], named, 0).check(own + line).cosigned)
            except StrongroomError:
                held = False
            if not held:
                del self._lines[index]
                self.problems[who] = Damaged(
                    f"{who} did not cosign {self.log.name}",
                    "what it gave is no signature of its witness",
                    "Do not trust this custodian; find out what happened there.",
                )


def _show(deployment: Deployment, logs: Sequence[_Shown]) -> None:
    """Show the logs to every witness, side by side, each in one transaction.

    What they answer is judged in this thread: what comes too late changes nothing any more.
    """
    custodians = deployment.custodians
    meetings = {index: partial(_meet, one, logs) for index, one in custodians.items()}
    requests: dict[int, list[tuple[_Shown, bytes]]] = {}
    for index, seen in _answers(deployment, meetings, logs):
        for one, checkpoint in zip(logs, seen, strict=True):
            try:
                request = one.request(name_of(index), checkpoint)
            except StrongroomError as err:
                one.problems[name_of(index)] = err
            else:
                requests.setdefault(index, []).extend([] if request is None else [(one, request)])
    questions = {
        index: partial(_cosign, custodians[index], [request for _, request in asked])
        for index, asked in requests.items()
        if asked
    }
    for index, answers in _answers(deployment, questions, logs):
        for (one, _), answer in zip(requests[index], answers, strict=True):
            one.take(index, answer)


def _answers(
    deployment: Deployment, questions: Mapping[int, Callable[[], T]], logs: Sequence[_Shown]
) -> Iterator[tuple[int, T]]:
    """Yield what the custodians answer; why one did not is noted at each of the logs."""
    for index, outcome in deployment.asking.each(questions):
        try:
            yield index, outcome.result()
        except StrongroomError as err:
            for one in logs:
                one.problems[name_of(index)] = err


def _meet(custodian: Custodian, logs: Sequence[_Shown]) -> list[Checkpoint | None]:
    """Let a custodian witness these logs from now on; return what it has seen of each."""
    witness = custodian.witness
    origins = [one.checkpoint.origin for one in logs]
    fresh = [
        Witness.Log(one.checkpoint.origin, str(one.key), "client" if one.log.client else "server")
        for one, known in zip(logs, witness.registered(origins), strict=True)
        if not known
    ]
    if fresh:
        witness.register(fresh)
    return witness.latest(origins)


def _cosign(custodian: Custodian, requests: Sequence[bytes]) -> list[Witness.Answer]:
    return custodian.witness.add_checkpoints(requests)


def _without_cosignatures(note: bytes) -> bytes:
    """Return a note with the log's own signature only, which stands first."""
    text, _, lines = note.rpartition(b"\n\n")
    return text + b"\n\n" + lines[: lines.index(b"\n") + 1]


def _keys(deployment: Deployment) -> dict[int, Witness.Key]:
    """Return the witness keys by the index of their custodian, from the cards that are kept.

    That of a custodian whose seat another one took counts for nothing.
    """
    kept = {
        index: decode_envelope(data, "a witness card")
        for index, data in sorted(deployment.registry.witness_cards().items())
    }
    seated = {member.id for member in deployment.roster.members}
    return {
        index: _key(deployment, index, card)
        for index, card in kept.items()
        if deployment.rosters.check_witness(card).custodian in seated
    }


def _key(deployment: Deployment, index: int, card: Envelope) -> Witness.Key:
    found = deployment.roster.check_witness(card)
    if found.index != index:
        raise Damaged(
            f"custodian {index} has no such witness",
            f"the card is of {found.index}",
            "Somebody changed server.db: put back the home, or recover.",
        )
    return found.key


def _keep_cards(deployment: Deployment) -> None:
    """Keep the card of each custodian that shows another than is kept."""
    kept = deployment.registry.witness_cards()
    shown = {index: one.witness_card for index, one in deployment.custodians.items()}
    for index, outcome in deployment.asking.each(shown):
        try:
            card = outcome.result()
            if card.encode() == kept.get(index):
                continue
            key = _key(deployment, index, card).public.hex()
        except StrongroomError:
            # Whoever shows no card of its own cosigns nothing either, which is told then.
            continue
        fact = deployment.fact(
            "custodian.witness_kept", deployment.roster.member(index).id, key=key
        )
        deployment.registry.keep_witness_card(index, card.encode(), fact)
