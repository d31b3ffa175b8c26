"""What an object must be to be copied to another location.

Objects are written once, so a damaged copy that is spread can never be replaced by a good one.
Every kind is therefore checked before it is copied, without any content key: by the hash in its
name, by the signature of whoever wrote it, or by comparing it with what a custodian holds.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Literal

from strongroom.crypto.envelope import Statement, decode_envelope
from strongroom.crypto.hashing import content_hash
from strongroom.errors import Damaged, StrongroomError
from strongroom.ledger import Checkpoint, Log, Witness
from strongroom.operations.deployment import Deployment
from strongroom.operations.placing import rosters_to_place
from strongroom.operations.policies import check_own_change, check_own_policy
from strongroom.operations.strangers import WHO_MAY_KNOW
from strongroom.operations.tombs import objects_of, place_of
from strongroom.quorum import Acts, Dealing, SnapshotHeader
from strongroom.vault import Vault

Accept = Callable[[bytes], None]

_ID: Final = "[0-9a-f]{32}"
_HASH: Final = "[0-9a-f]{64}"
_KINDS: Final = {
    "roster": re.compile("roster/([0-9]{8})"),
    "policy": re.compile("policy/([0-9a-f]{64})"),
    "policy-change": re.compile("policy-changes/([0-9a-f]{64})"),
    "kit": re.compile(f"kits/({_ID})/([0-9a-z-]+)"),
    "client-key": re.compile(f"client-keys/({_ID})/({_ID})/([0-9]{{8}})"),
    "pack": re.compile(f"vaults/({_ID})/packs/([0-9a-f]{{2}})/({_HASH})"),
    "shard": re.compile(f"vaults/({_ID})/packs/([0-9a-f]{{2}})/({_HASH})\\.[0-9]{{1,3}}"),
    "index": re.compile(f"vaults/({_ID})/index/({_HASH})"),
    "keys": re.compile(f"vaults/({_ID})/keys/({_ID})"),
    "redealt": re.compile(f"vaults/({_ID})/redealt/([0-9]{{8}})/({_ID})"),
    "redeal-receipt": re.compile(f"vaults/({_ID})/redeal-receipts/([0-9]{{8}})/({_ID})/({_ID})"),
    "snapshot": re.compile(f"vaults/({_ID})/snapshots/({_ID})/([0-9]{{8}})"),
    "receipt": re.compile(f"vaults/({_ID})/receipts/({_ID})/([0-9]{{8}})/({_ID})"),
    "tomb": re.compile(f"vaults/({_ID})/tombs/({_ID})-([0-9]{{8}})"),
    "config": re.compile(f"vaults/({_ID})/config/({_ID})-([0-9]{{8}})"),
    "stretch": re.compile(f"ledger/({_ID})/([0-9]{{10}})"),
}
_REDEALT: Final = frozenset({"redealt", "redeal-receipt"})
"""Kinds of objects that came when a session was dealt anew; their keys name it."""
_NAMING_WRITER: Final = frozenset({"config", "snapshot", "tomb"})
"""Kinds of objects that one writer signs and whose keys name it."""


class UnknownWriter(Damaged):
    """No writer that is known here has signed it."""

    code = "unknown_writer"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Knows the keys of every writer and the entries of every custodian that is here."""

    deployment: Deployment
    rosters: Mapping[str, bytes]
    """Every roster there was, by its path."""
    kit_entries: Mapping[str, bytes]
    away: frozenset[str]
    """The ids of the custodians that do not answer."""
    writers: Mapping[str, tuple[bytes, ...]]
    """Public keys of the writers of each vault."""
    deleted: frozenset[str]
    """Objects that this home has deleted, or begun to: they are copied nowhere. What waits is not
    among them: until it is deleted it is as whole as what stays. Neither is what was rescued."""
    erased: frozenset[str]
    """The ids of clients that are erased, and of their vaults: nothing of them is copied."""
    logs: Mapping[str, Witness.Key]
    """The key of every log that this home has written or recovered, by the log's id."""

    @classmethod
    def of(cls, deployment: Deployment) -> "Acceptance":
        """Gather what objects are compared with."""
        writers: dict[str, tuple[bytes, ...]] = {}
        deleted: frozenset[str] = frozenset()
        logs = keys_of_logs(deployment.registry.log)
        erased: set[str] = set()
        for client in deployment.registry.clients():
            with deployment.tools.history(client.id) as history:
                logs |= keys_of_logs(history.log)
                if client.erasure is not None:
                    erased.update((client.id, client.vault))
                    continue
                writers[client.vault] = tuple(key for key, _ in history.writers())
                deleted |= objects_of(deployment, client, history.begun_tombs())
        entries, away = _kit_entries(deployment)
        rosters = rosters_to_place(deployment)
        return cls(deployment, rosters, entries, away, writers, deleted, frozenset(erased), logs)

    def of_key(self, key: str) -> Accept | None:
        """Return what checks the object of this key, or None when nothing here can tell."""
        prefix = f"{self.deployment.install}/"
        if not key.startswith(prefix):
            return None
        for kind, pattern in _KINDS.items():
            found = pattern.fullmatch(key[len(prefix) :])
            if found is not None and kind == "stretch":
                return self._by_log(key, found[1])
            if found is not None:
                return self._checks(kind, key, found.groups())
        return None

    def is_gone(self, key: str) -> bool:
        """Return whether this home has deleted the object of this key, or erased its client."""
        kind, _, below = key.removeprefix(f"{self.deployment.install}/").partition("/")
        if kind == "kits":
            below = below.rpartition("/")[2].partition("-")[0]
        return key in self.deleted or below.partition("/")[0] in self.erased

    def kind_of(self, key: str) -> str:
        """Return what the object of this key is (`pack`, `keys`, ...), or nothing."""
        prefix = f"{self.deployment.install}/"
        rest = key[len(prefix) :] if key.startswith(prefix) else ""
        return next((kind for kind, one in _KINDS.items() if one.fullmatch(rest)), "")

    def redealt_session(self, key: str) -> str:
        """Return of which session that was dealt anew this object tells, or nothing."""
        kind = self.kind_of(key)
        return key.split("/")[5] if kind in _REDEALT else ""

    def why_none(self, key: str) -> tuple[Literal["unauthenticated", "unknown"], str]:
        """Say of a key that nothing here can check whether it is nobody's, or whose is away."""
        if self.kind_of(key) == "kit" and key.split("/")[2] in self.away:
            why = "the custodian that could compare it is not here"
            return "unknown", f"{why}: bring it back, or recover with all kits"
        if self.away and self.kind_of(key) in _NAMING_WRITER:
            return "unknown", WHO_MAY_KNOW
        return "unauthenticated", "nobody we know makes an object of this name"

    def _checks(self, kind: str, key: str, parts: tuple[str, ...]) -> Accept | None:
        if kind == "roster":
            return _equal_to(self.rosters.get(key, b""), key)
        if kind == "shard":
            return None  # Its place says what it must be: a placement judges it.
        if kind == "kit":
            known = self.kit_entries.get(key)
            return None if known is None else _equal_to(known, key)
        if kind in {"pack", "policy", "policy-change"}:
            return lambda data: self._check_named(kind, data, key, parts[-1])
        if kind == "client-key":
            return lambda data: self._check_client_key(data, key, parts)
        return self._signed(kind, key, parts)

    def _check_named(self, kind: str, data: bytes, key: str, name: str) -> None:
        """Raise Damaged unless it is what its name says; of a policy anybody could make that."""
        if kind == "pack":
            _check_hash(content_hash(data).hex(), name, key)
            return
        if kind == "policy-change":
            check_own_change(self.deployment, name, data)
            return
        policy = Acts.Policy.parse(decode_envelope(data, "a policy"))
        _check_hash(policy.id, name, key)
        check_own_policy(self.deployment, policy)

    def _by_log(self, key: str, log: str) -> Accept | None:
        vkey = self.logs.get(log)
        return None if vkey is None else lambda data: Log.stretch.judge_stretch(data, key, vkey)

    def _signed(self, kind: str, key: str, parts: tuple[str, ...]) -> Accept | None:
        writers = self.writers.get(parts[0])
        if writers is None:
            return None
        checks: dict[str, Accept] = {
            "receipt": lambda data: self._check_receipt(data, key, parts),
            "redealt": lambda data: self._check_redealt(data, key, parts, writers),
            "redeal-receipt": lambda data: self._check_redeal_receipt(data, key, parts),
            "index": lambda data: _check_index(_statement(data, key), key, parts[1], writers),
            "keys": lambda data: _check_keys(_statement(data, key), key, parts, writers),
            "tomb": lambda data: self._check_tomb(data, key, parts, writers),
        }
        return checks.get(kind) or _by_one_writer(kind, key, parts, writers)

    def _check_client_key(self, data: bytes, key: str, parts: tuple[str, ...]) -> None:
        found = self.deployment.rosters.check_client_key(decode_envelope(data, key))
        if (found.client, found.custodian, f"{found.serial:08d}") != parts:
            raise Damaged(f"{key} is a certificate of another place", "it was moved there")

    def _check_receipt(self, data: bytes, key: str, parts: tuple[str, ...]) -> None:
        found = self.deployment.rosters.check_receipt(decode_envelope(data, key))
        place = (found.vault, found.writer, f"{found.sequence:08d}", found.custodian)
        if place != parts:
            raise Damaged(f"{key} is a receipt of another place", "it was moved there")

    def _check_redealt(
        self, data: bytes, key: str, parts: tuple[str, ...], writers: tuple[bytes, ...]
    ) -> None:
        statement, (vault, version, session) = _statement(data, key), parts
        dealing = Dealing.parse(statement)
        label, roster = dealing.label, self.deployment.rosters.version(int(version))
        found = (label.vault, label.roster_id, label.session)
        if found != (vault, roster.id, session) or dealing.redealt is None:
            raise Damaged(f"{key} was dealt anew to another place", "it was moved there")
        check_signed_by_one_of(statement, writers, key)

    def _check_redeal_receipt(self, data: bytes, key: str, parts: tuple[str, ...]) -> None:
        vault, version, session, custodian = parts
        roster = self.deployment.rosters.version(int(version))
        found = Acts.Redealing.read_receipt(decode_envelope(data, key), roster)
        if (found.vault, found.session, found.custodian) != (vault, session, custodian):
            raise Damaged(f"{key} is a receipt of another place", "it was moved there")

    def _check_tomb(
        self, data: bytes, key: str, parts: tuple[str, ...], writers: tuple[bytes, ...]
    ) -> None:
        of_vault = [one for one in self.deployment.registry.clients() if one.vault == parts[0]]
        signers = [one for one in writers if SnapshotHeader.writer_id(one) == parts[1]]
        if not of_vault or not signers:
            raise Damaged(f"{key} is a tombstone of nobody we know", "its writer is unknown here")
        Vault.Tomb.parse(data, place_of(self.deployment, of_vault[0]), signers[0], key)


def keys_of_logs(log: Log) -> dict[str, Witness.Key]:
    """Return the key of each epoch of a log that has one, by the id under which it is placed."""
    found: dict[str, Witness.Key] = {}
    for epoch in (one.epoch() for one in log.epochs()):
        if epoch.origin is not None and epoch.vkey is not None:
            found[Log.stretch.log_of(epoch.origin)] = Checkpoint.Key.parse(epoch.vkey)
    return found


def _by_one_writer(
    kind: str, key: str, parts: tuple[str, ...], writers: tuple[bytes, ...]
) -> Accept | None:
    """Return what checks an object whose path names its writer; None for a writer unknown here."""
    named = [one for one in writers if SnapshotHeader.writer_id(one) == parts[1]]
    if not named:
        return None
    if kind == "config":
        return lambda data: _check_config(_statement(data, key), key, parts, named[0])
    return lambda data: _check_snapshot(_statement(data, key), key, parts, named[0])


def _statement(data: bytes, key: str) -> Statement:
    return decode_envelope(data, key).statement


def _kit_entries(deployment: Deployment) -> tuple[dict[str, bytes], frozenset[str]]:
    """Return the entries of the custodians that answer, and the ids of the others."""
    away = {deployment.roster.member(index).id for index in deployment.absent_custodians}
    entries: dict[str, bytes] = {}
    questions = {index: one.kit_entries for index, one in deployment.custodians.items()}
    for index, answer in deployment.asking.each(questions):
        try:
            entries.update(answer.result())
        except Damaged:
            raise
        except StrongroomError:
            away.add(deployment.roster.member(index).id)
    return entries, frozenset(away)


def _equal_to(known: bytes, key: str) -> Accept:
    def accept(data: bytes) -> None:
        if data != known:
            raise Damaged(f"{key} is not what was put there", "its bytes differ")

    return accept


def _check_hash(found: str, wanted: str, key: str) -> None:
    if found != wanted:
        raise Damaged(f"{key} is not what it is named by", "its hash differs")


def _check_index(statement: Statement, key: str, digest: str, writers: tuple[bytes, ...]) -> None:
    # Its name is its own hash, which anybody can compute: the signature says that it is ours.
    _check_hash(statement.hash.hex(), digest, key)
    check_signed_by_one_of(statement, writers, key)


def _check_keys(
    statement: Statement, key: str, parts: tuple[str, ...], writers: tuple[bytes, ...]
) -> None:
    label = Dealing.parse(statement).label
    if (label.vault, label.session) != parts:
        raise Damaged(f"{key} holds the keys of another session", "it was moved there")
    check_signed_by_one_of(statement, writers, key)


def _check_config(statement: Statement, key: str, parts: tuple[str, ...], writer: bytes) -> None:
    # Under a later name a copy of it would stand in the way of the next one, and be spread.
    statement.verify(writer, key)
    fields = statement.fields("config")
    if [fields.get(one) for one in ("vault", "generation")] != [parts[0], int(parts[2])]:
        raise Damaged(f"{key} is the config of another place", "it was moved there")


def _check_snapshot(statement: Statement, key: str, parts: tuple[str, ...], writer: bytes) -> None:
    header = SnapshotHeader.parse(statement, writer)
    if (header.vault, f"{header.sequence:08d}") != (parts[0], parts[2]):
        raise Damaged(f"{key} is a snapshot of another place", "it was moved there")


def check_signed_by_one_of(statement: Statement, writers: Iterable[bytes], culprit: str) -> None:
    """Raise UnknownWriter unless one of these writers signed the statement."""
    for writer in writers:
        with suppress(Damaged):
            statement.verify(writer, culprit)
            return
    raise UnknownWriter(
        f"{culprit} is signed by no writer that is known here", "forged, or altered since"
    )
