"""Both ends of a question to a custodian on another machine, without what carries it.

`answer` puts a question that came in to the custodian that is here; `AskedCustodian` is a custodian
that is elsewhere: it puts each question into bytes and hands them to whoever carries them. Which
peer may ask what, and which error comes back, is here too, so that no carrier decides it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Final, Literal, TypeAlias

from strongroom.crypto.envelope import Envelope, Statement
from strongroom.errors import Damaged, Refused, StrongroomError, UsageError
from strongroom.facts import Fact
from strongroom.ids import ClientId, VaultId, WriterId
from strongroom.ledger import Checkpoint, Witness
from strongroom.quorum import error_report, messages, recovery_messages, redeal_messages
from strongroom.quorum.header import SnapshotHeader
from strongroom.quorum.invitation import Introduction, Invitation
from strongroom.quorum.key_table import ClientPin, newest
from strongroom.quorum.kit import EntryPlace, is_last_page
from strongroom.quorum.messages import WITNESS_PARTS_MAX
from strongroom.quorum.order import Order
from strongroom.quorum.policy_change import PolicyChange
from strongroom.quorum.protocol import Custodian
from strongroom.quorum.release import ReleaseRequest
from strongroom.quorum.request import ActRequest
from strongroom.quorum.roster import Member
from strongroom.quorum.rules import NO_PAST, Past, Standing

ENTRIES_MAX: Final = 200_000
"""How many entries a key table has at most: of each client several, for keys and writers change."""
PART_BYTES_MAX: Final = 64 << 20
"""How many bytes the entries of one subject have at most, of all their serials together."""
TABLE_BYTES_MAX: Final = 256 << 20
Ask: TypeAlias = Callable[[str, bytes], bytes]
"""Carry a question of this name to a custodian, and return its answer or raise its error."""

_OF_WORKERS: Final = frozenset(
    {
        "card",
        "ingest",
        "standing",
        "witness-card",
        "witness-registered",
        "witness-latest",
        "witness-add-checkpoints",
        "witness-monitor",
        "witness-evidence",
    }
)


def _card(custodian: Custodian, data: bytes) -> bytes:
    messages.read_question("card", data, 0)
    return messages.card_answer(custodian.card())


def _adopt_roster(custodian: Custodian, data: bytes) -> bytes:
    custodian.adopt_roster(messages.read_adopt_roster_question(data))
    return messages.answer("adopt-roster")


def _adopt_policy(custodian: Custodian, data: bytes) -> bytes:
    custodian.adopt_policy(*messages.read_adopt_policy_question(data))
    return messages.answer("adopt-policy")


def _enrol(custodian: Custodian, data: bytes) -> bytes:
    certificate = custodian.enrol(*messages.read_enrol_question(data))
    return messages.envelope_answer("enrol", certificate)


def _ingest(custodian: Custodian, data: bytes) -> bytes:
    receipt = custodian.ingest(*messages.read_ingest_question(data))
    return messages.envelope_answer("ingest", receipt)


def _hear(custodian: Custodian, data: bytes) -> bytes:
    return messages.envelope_answer("hear", custodian.hear(*messages.read_hear_question(data)))


def _pinned(custodian: Custodian, data: bytes) -> bytes:
    messages.read_question("pinned", data, 0)
    return recovery_messages.pinned_answer(*custodian.pinned())


def _pins(custodian: Custodian, data: bytes) -> bytes:
    messages.read_question("pins", data, 0)
    return recovery_messages.pins_answer(custodian.pins())


def _replace_writer(custodian: Custodian, data: bytes) -> bytes:
    asked = recovery_messages.read_replace_writer_question(data)
    return messages.envelope_answer("replace-writer", custodian.replace_writer(*asked))


def _release(custodian: Custodian, data: bytes) -> bytes:
    return messages.envelope_answer("release", custodian.release(_release_request(data)))


def _obey(custodian: Custodian, data: bytes) -> bytes:
    return messages.envelope_answer("obey", custodian.obey(messages.read_obey_question(data)))


def _refuse(custodian: Custodian, data: bytes) -> bytes:
    custodian.refuse(*messages.read_refuse_question(data))
    return messages.answer("refuse")


def _reopen(custodian: Custodian, data: bytes) -> bytes:
    asked = redeal_messages.read_reopen_question(data)
    return messages.envelope_answer("reopen", custodian.reopen(*asked))


def _rehold(custodian: Custodian, data: bytes) -> bytes:
    asked = redeal_messages.read_rehold_question(data)
    return messages.envelope_answer("rehold", custodian.rehold(*asked))


def _prove(custodian: Custodian, data: bytes) -> bytes:
    asked = messages.read_prove_question(data)
    return messages.envelope_answer("prove", custodian.prove(*asked))


def _standing(custodian: Custodian, data: bytes) -> bytes:
    return messages.standing_answer(custodian.standing(messages.read_standing_question(data)))


def _journal(custodian: Custodian, data: bytes) -> bytes:
    return messages.journal_answer(custodian.journal(messages.read_journal_question(data)))


def _kit_entries(custodian: Custodian, data: bytes) -> bytes:
    asked = messages.read_kit_entries_question(data)
    return messages.kit_entries_answer(custodian.kit_page(*asked))


def _kit_confirmed(custodian: Custodian, data: bytes) -> bytes:
    messages.read_question("kit-confirmed", data, 0)
    return messages.flags_answer("kit-confirmed", [custodian.kit_confirmed])


def _witness_card(custodian: Custodian, data: bytes) -> bytes:
    messages.read_question("witness-card", data, 0)
    return messages.envelope_answer("witness-card", custodian.witness_card())


def _registered(custodian: Custodian, data: bytes) -> bytes:
    name = "witness-registered"
    origins = messages.read_texts_question(name, data, WITNESS_PARTS_MAX)
    return messages.flags_answer(name, custodian.witness.registered(origins))


def _register(custodian: Custodian, data: bytes) -> bytes:
    custodian.witness.register(messages.read_register_question(data))
    return messages.answer("witness-register")


def _latest(custodian: Custodian, data: bytes) -> bytes:
    origins = messages.read_texts_question("witness-latest", data, WITNESS_PARTS_MAX)
    return messages.latest_answer(custodian.witness.latest(origins))


def _add_checkpoints(custodian: Custodian, data: bytes) -> bytes:
    requests = messages.read_question("witness-add-checkpoints", data, 0, WITNESS_PARTS_MAX)
    answers = custodian.witness.add_checkpoints(requests)
    return messages.witness_answer("witness-add-checkpoints", answers)


def _monitor(custodian: Custodian, data: bytes) -> bytes:
    (wanted,) = messages.read_texts_question("witness-monitor", data, 1)
    return messages.witness_answer("witness-monitor", [custodian.witness.monitor(wanted)])


def _evidence(custodian: Custodian, data: bytes) -> bytes:
    (origin,) = messages.read_texts_question("witness-evidence", data, 1)
    return messages.evidence_answer(custodian.witness.evidence(origin))


_ANSWERS: Final[Mapping[str, Callable[[Custodian, bytes], bytes]]] = {
    "card": _card,
    "adopt-roster": _adopt_roster,
    "adopt-policy": _adopt_policy,
    "enrol": _enrol,
    "ingest": _ingest,
    "hear": _hear,
    "pinned": _pinned,
    "pins": _pins,
    "replace-writer": _replace_writer,
    "release": _release,
    "obey": _obey,
    "reopen": _reopen,
    "rehold": _rehold,
    "refuse": _refuse,
    "prove": _prove,
    "standing": _standing,
    "journal": _journal,
    "kit-entries": _kit_entries,
    "kit-confirmed": _kit_confirmed,
    "witness-card": _witness_card,
    "witness-registered": _registered,
    "witness-register": _register,
    "witness-latest": _latest,
    "witness-add-checkpoints": _add_checkpoints,
    "witness-monitor": _monitor,
    "witness-evidence": _evidence,
}


def _release_request(data: bytes) -> ReleaseRequest:
    (request,) = messages.read_question("release", data, 1)
    return ReleaseRequest.decode(request)


class AskedCustodian:
    """A custodian that is elsewhere; safe to share between threads where `ask` is.

    Nothing that it answers is believed here: what is signed is verified where it is used, as that
    of a custodian in this process is.
    """

    def __init__(self, member: Member, ask: Ask) -> None:
        self._member = member
        self._ask = ask
        self._witness = AskedWitness(ask)

    def card(self) -> Member:
        """Return whom the roster says this is; `meet` asks for it."""
        return self._member

    def meet(self) -> None:
        """Ask who is there; raise Refused unless it is the one that the roster names."""
        found = messages.read_card_answer(self._ask("card", messages.question("card")))
        if found != self._member:
            raise Refused(
                f"{self._member} is not where it is said to be",
                f"{found} answers there, with another id or identity key",
                hint="Compare the URLs of `strongroom custodian list` with where each runs.",
            )

    def adopt_roster(self, envelope: Envelope) -> object:
        """Have a roster pinned; the same one again changes nothing."""
        messages.read_answer(
            "adopt-roster", self._ask("adopt-roster", messages.adopt_roster_question(envelope)), 0
        )
        return None

    def adopt_policy(self, envelope: Envelope, change: PolicyChange | None = None) -> object:
        """Have a team policy pinned; the same one again changes nothing."""
        asked = messages.adopt_policy_question(envelope, change)
        messages.read_answer("adopt-policy", self._ask("adopt-policy", asked), 0)
        return None

    def enrol(
        self,
        client: ClientId,
        vault: VaultId,
        vault_class: Literal["normal", "high"],
        writer: bytes,
        past: Past = NO_PAST,
    ) -> Envelope:
        """Have a client's vault and writer key pinned; return the certificate."""
        asked = messages.enrol_question(client, vault, vault_class, writer, past)
        return messages.read_envelope_answer("enrol", self._ask("enrol", asked))

    def ingest(self, snapshot: Statement, keys: Sequence[Envelope]) -> Envelope:
        """Show a snapshot and its fresh keys objects; return the receipt."""
        asked = messages.ingest_question(snapshot, keys)
        return messages.read_envelope_answer("ingest", self._ask("ingest", asked))

    def hear(self, request: ActRequest, approvals: Sequence[Envelope]) -> Envelope:
        """Tell it of an approved recovery; return its word that it was told."""
        asked = messages.hear_question(request, approvals)
        return messages.read_envelope_answer("hear", self._ask("hear", asked))

    def pinned(self) -> tuple[Envelope, Envelope | None]:
        """Ask for the pinned roster and the team policy, where there is one."""
        answered = self._ask("pinned", messages.question("pinned"))
        return recovery_messages.read_pinned_answer(answered)

    def pins(self) -> list[ClientPin]:
        """Ask for what is pinned for every client."""
        return recovery_messages.read_pins_answer(self._ask("pins", messages.question("pins")))

    def replace_writer(
        self, client: ClientId, writer: bytes, revoked_after: Mapping[WriterId, int]
    ) -> Envelope:
        """Have the one new writer pinned that a recovery allows; return the certificate."""
        asked = recovery_messages.replace_writer_question(client, writer, revoked_after)
        answered = self._ask("replace-writer", asked)
        return messages.read_envelope_answer("replace-writer", answered)

    def release(self, request: ReleaseRequest) -> Envelope:
        """Ask for this custodian's shares, sealed to the recipient."""
        asked = messages.question("release", request.encode())
        return messages.read_envelope_answer("release", self._ask("release", asked))

    def obey(self, order: Order) -> Envelope:
        """Have done what was approved; return the signed deed."""
        asked = messages.obey_question(order)
        return messages.read_envelope_answer("obey", self._ask("obey", asked))

    def reopen(self, request: str, keys: Statement, recipient: bytes) -> Envelope:
        """Ask for its shares of one session, to deal it anew."""
        asked = redeal_messages.reopen_question(request, keys, recipient)
        return messages.read_envelope_answer("reopen", self._ask("reopen", asked))

    def rehold(self, request: str, former: Envelope, anew: Envelope) -> Envelope:
        """Show what a session was dealt anew with; return the receipt."""
        asked = redeal_messages.rehold_question(request, former, anew)
        return messages.read_envelope_answer("rehold", self._ask("rehold", asked))

    def refuse(self, request: ActRequest, word: Envelope) -> None:
        """Have it remembered for good that an approver refuses a request."""
        answered = self._ask("refuse", messages.refuse_question(request, word))
        messages.read_answer("refuse", answered, 0)

    def prove(self, challenge: str, keys: Sequence[Statement]) -> Envelope:
        """Have its shares of these keys objects opened again; return its signed avowal."""
        asked = messages.prove_question(challenge, keys)
        return messages.read_envelope_answer("prove", self._ask("prove", asked))

    @property
    def witness(self) -> Witness.Like:
        """Return the witness at that custodian's side."""
        return self._witness

    def witness_card(self) -> Envelope:
        """Return the certificate of the witness's key."""
        asked = messages.question("witness-card")
        return messages.read_envelope_answer("witness-card", self._ask("witness-card", asked))

    def standing(self, vault: VaultId) -> Standing:
        """Return the highest snapshot receipted for the vault's current writer."""
        answered = self._ask("standing", messages.standing_question(vault))
        return messages.read_standing_answer(answered)

    def journal(self, after: int) -> list[Fact]:
        """Return the next facts of its journal, oldest first, without the first `after`."""
        answered = self._ask("journal", messages.journal_question(after))
        return messages.read_journal_answer(answered)

    @property
    def kit_confirmed(self) -> bool:
        """Ask whether somebody has typed words of the kit."""
        answered = self._ask("kit-confirmed", messages.question("kit-confirmed"))
        return messages.read_flags_answer("kit-confirmed", answered, 1)[0]

    def kit_entries(self, of: str = "") -> list[tuple[str, bytes]]:
        """Return path and bytes of the key table's entries whose names begin so."""
        entries: list[tuple[str, bytes]] = []
        total, most = 0, PART_BYTES_MAX if of else TABLE_BYTES_MAX
        # All of them are held at once: it is the number of bytes that keeps the asker's memory.
        while len(entries) <= ENTRIES_MAX and total <= most:
            page = self.kit_page(of, entries[-1][0] if entries else "")
            entries += page
            total += sum(len(data) for _, data in page)
            if is_last_page(page) and total <= most:
                return entries
        what = f"over {most} bytes" if total > most else f"over {ENTRIES_MAX} entries"
        raise Damaged(f"the key table of {self._member} has no end", what)

    def kit_page(self, of: str, after: str) -> list[tuple[str, bytes]]:
        """Return the next of these entries behind a path."""
        asked = messages.kit_entries_question(of, after)
        entries = messages.read_kit_entries_answer(self._ask("kit-entries", asked))
        # They are put where they say that they lie, so a custodian says it of its own alone.
        places = [EntryPlace.parse(path) for path, _ in entries]
        if newest(places) and any(place.custodian != self._member.id for place in places):
            raise Damaged(f"{self._member} gave a kit entry that is not its own")
        if not all(place.name.startswith(of) for place in places):
            raise Damaged(f"{self._member} gave a kit entry that was not asked for", f"not of {of}")
        before = after
        for path, _ in entries:
            if path <= before:
                raise Damaged(f"{self._member} gave kit entries that are not in their order")
            before = path
        return entries


class AskedWitness:
    """The witness at the side of a custodian that is elsewhere."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def register(self, logs: Sequence[Witness.Log]) -> None:
        """Have these logs witnessed from now on."""
        answered = self._ask("witness-register", messages.register_question(logs))
        messages.read_answer("witness-register", answered, 0)

    def registered(self, origins: Sequence[str]) -> list[bool]:
        """Return for each origin whether its key is known there."""
        name = "witness-registered"
        answered = self._ask(name, messages.texts_question(name, origins))
        return messages.read_flags_answer(name, answered, len(origins))

    def latest(self, origins: Sequence[str]) -> list[Checkpoint | None]:
        """Return the newest checkpoint cosigned of each log; None where there is none."""
        answered = self._ask("witness-latest", messages.texts_question("witness-latest", origins))
        return messages.read_latest_answer(answered, origins)

    def add_checkpoints(self, requests: Sequence[bytes]) -> list[Witness.Answer]:
        """Show several checkpoints; each is answered as if it had come alone, in order."""
        name = "witness-add-checkpoints"
        answered = self._ask(name, messages.question(name, *requests))
        return messages.read_witness_answer(name, answered, len(requests))

    def monitor(self, wanted: str) -> Witness.Answer:
        """Return the newest note cosigned of the log whose origin has this SHA-256."""
        name = "witness-monitor"
        answered = self._ask(name, messages.texts_question(name, [wanted]))
        return messages.read_witness_answer(name, answered, 1)[0]

    def evidence(self, origin: str = "") -> list[Witness.Evidence]:
        """Return the contradictions that were kept there, of one log where it is named."""
        name = "witness-evidence"
        answered = self._ask(name, messages.texts_question(name, [origin]))
        return messages.read_evidence_answer(answered)


class Wire:
    """What a carrier needs, and nothing that it could decide."""

    Asked: TypeAlias = AskedCustodian
    Ask: TypeAlias = Ask
    Invitation: TypeAlias = Invitation
    Introduction: TypeAlias = Introduction
    Member: TypeAlias = Member
    TooManyAsked: TypeAlias = error_report.TooManyAsked
    BYTES_MAX: ClassVar = messages.MESSAGE_BYTES_MAX
    """How many bytes a question or an answer has at most."""
    NAMES: ClassVar = tuple(_ANSWERS)

    @staticmethod
    def check_asker(role: str, name: str) -> None:
        """Raise UsageError where there is no such question, and Refused where it is not theirs."""
        if name not in _ANSWERS:
            raise UsageError(f"there is no question {name!r:.40}", "it is not in custodian-v1")
        if role != "server" and not (role == "worker" and name in _OF_WORKERS):
            raise Refused(f"a {role} may not ask {name}", "only the server may")

    @staticmethod
    def answer(custodian: Custodian, name: str, data: bytes) -> bytes:
        """Put a question that came in to a custodian; return its answer or raise its error."""
        return _ANSWERS[name](custodian, data)

    @staticmethod
    def client_of_release(data: bytes) -> ClientId:
        """Return the client that a question `release` says it is of; nothing of it is verified."""
        return SnapshotHeader.read(_release_request(data).snapshot).client

    @staticmethod
    def writers_of_enrolment(data: bytes) -> int:
        """Return how many writers a question `enrol` would have pinned, former ones too."""
        *_, past = messages.read_enrol_question(data)
        return 1 + len(past.former)

    @staticmethod
    def report(err: BaseException) -> tuple[int, bytes]:
        """Return status and body for an error."""
        return error_report.report(err)

    @staticmethod
    def read_report(data: bytes, who: str) -> StrongroomError:
        """Return the error that came instead of an answer, to be raised."""
        return error_report.read_report(data, who)
