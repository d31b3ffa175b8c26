"""Trust policies: which logs, which witnesses, and how many of them a checkpoint needs.

The text is C2SP's tlog-policy. Whoever verifies brings it from outside: a log that chose its own
witnesses would prove nothing. Normative page: docs/formats/ledger-v1.md.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from strongroom.errors import UsageError
from strongroom.ledger.checkpoint import Checkpoint
from strongroom.ledger.note import LOG_KEY, WITNESS_KEY, NoteInvalid, VerifierKey, open_note

NO_QUORUM: Final = "none"
POLICY_BYTES_MAX: Final = 256 << 10
MEMBERS_MAX: Final = 256
_CONTROL: Final = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")
_QUORUM_GROUP: Final = "quorum-of-witnesses"


class PolicyInvalid(UsageError):
    """A trust policy that is not one."""

    hint = "A policy has lines `log KEY`, `witness NAME KEY`, `group NAME K NAMES`, `quorum NAME`."


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses and groups of which so many must have cosigned."""

    needed: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Keys of logs, keys of witnesses by name, groups by name, and what is the quorum."""

    @dataclass(frozen=True, slots=True)
    class Verdict:
        """What a note shows under a policy: who cosigned it, and when, in seconds since 1970."""

        checkpoint: Checkpoint
        log: VerifierKey
        cosigned: Mapping[str, int]
        quorum_met: bool

    logs: tuple[VerifierKey, ...]
    witnesses: Mapping[str, VerifierKey]
    quorum: str = NO_QUORUM
    groups: Mapping[str, Group] = field(default_factory=dict)
    urls: Mapping[VerifierKey, str] = field(default_factory=dict)
    """Where the log or the witness that has a key is reached, where the policy says so."""

    @staticmethod
    def default_quorum(members: int, threshold: int) -> int:
        """Return q: how many of n custodians must cosign where t of them open keys."""
        return members if threshold == 1 else max(1, members - 1)

    @staticmethod
    def tolerated(members: int, threshold: int, quorum: int) -> int:
        """Return f: how many malicious custodians it takes at least, less one, to hide a release.

        Any t that open and any q that cosign share more than f of them.
        """
        return threshold + quorum - members - 1

    @classmethod
    def of(
        cls, logs: Iterable[VerifierKey], witnesses: Mapping[str, VerifierKey], needed: int
    ) -> "Policy":
        """Return the policy that so many of these witnesses must have cosigned."""
        groups = {_QUORUM_GROUP: Group(needed, tuple(witnesses))} if needed else {}
        quorum = _QUORUM_GROUP if needed else NO_QUORUM
        return cls.parse(cls(tuple(logs), dict(witnesses), quorum, groups).encode())

    @classmethod
    def parse(cls, data: bytes) -> "Policy":
        """Read a policy's text; raise PolicyInvalid and name the line where it is none."""
        return _Reader().read(data)

    def encode(self) -> bytes:
        """Return the text: logs, witnesses, groups, quorum."""
        lines = [_line("log", str(key), self.urls.get(key, "")) for key in self.logs]
        lines += [
            _line("witness", name, str(key), self.urls.get(key, ""))
            for name, key in self.witnesses.items()
        ]
        lines += [
            _line("group", name, str(group.needed), *group.members)
            for name, group in self.groups.items()
        ]
        lines.append(_line("quorum", self.quorum))
        return "".join(lines).encode("utf-8", "surrogateescape")

    def check(self, note: bytes) -> Verdict:
        """Return what a note shows; raise NoteInvalid unless a log of this policy signed it.

        Whether enough witnesses did is in the answer: `quorum_met`.
        """
        opened = open_note(note, [*self.logs, *self.witnesses.values()])
        checkpoint = Checkpoint.parse(opened.text)
        signed = {(one.name, one.key_id): one for one in opened.signatures}
        for log in self.logs:
            if log.name == checkpoint.origin and (log.name, log.id) in signed:
                break
        else:
            raise NoteInvalid(
                "a checkpoint is not trusted", "no log of the policy signed it under its origin"
            )
        cosigned: dict[str, int] = {}
        for name, key in self.witnesses.items():
            times = [
                one.seconds
                for one in opened.signatures
                if (one.name, one.key_id) == (key.name, key.id)
            ]
            if times:
                cosigned[name] = max(times)
        return Policy.Verdict(checkpoint, log, cosigned, self._met(self.quorum, cosigned))

    def _met(self, name: str, cosigned: Mapping[str, int]) -> bool:
        if name == NO_QUORUM or name in cosigned:
            return True
        group = self.groups.get(name)
        if group is None:
            return False
        return sum(self._met(one, cosigned) for one in group.members) >= group.needed


class _Reader:
    """Reads the lines of a policy in order; a name is known from its own line on."""

    def __init__(self) -> None:
        self._logs: list[VerifierKey] = []
        self._witnesses: dict[str, VerifierKey] = {}
        self._groups: dict[str, Group] = {}
        self._urls: dict[VerifierKey, str] = {}
        self._quorum: str | None = None
        self._members: set[str] = set()
        self._keys: set[bytes] = set()
        self._number = 0

    def read(self, data: bytes) -> Policy:
        if len(data) > POLICY_BYTES_MAX:
            raise PolicyInvalid("a policy is too long", f"at most {POLICY_BYTES_MAX} bytes")
        if _CONTROL.search(data):
            raise PolicyInvalid("a policy is malformed", "it holds control characters")
        # Names are octets, whatever they mean to a reader.
        for line in data.decode("utf-8", "surrogateescape").split("\n"):
            self._number += 1
            words = line.replace("\t", " ").split(" ")
            words = [word for word in words if word]
            if words and not words[0].startswith("#"):
                self._take(words[0], words[1:])
        if self._quorum is None:
            raise PolicyInvalid("a policy is malformed", "it has no line `quorum`")
        return Policy(tuple(self._logs), self._witnesses, self._quorum, self._groups, self._urls)

    def _take(self, word: str, rest: list[str]) -> None:
        match word, len(rest):
            case "log", 1 | 2:
                key = self._key(rest[0], LOG_KEY)
                self._logs.append(key)
                self._url(key, rest[1:])
            case "witness", 2 | 3:
                name = self._fresh(rest[0])
                key = self._witnesses[name] = self._key(rest[1], WITNESS_KEY)
                self._url(key, rest[2:])
            case "group", count if count >= 3:
                name = self._fresh(rest[0])
                self._groups[name] = self._group(rest[1], tuple(rest[2:]))
            case "quorum", 1:
                self._take_quorum(rest[0])
            case _:
                raise self._refuse("it is no line of a policy")

    def _key(self, text: str, kind: int) -> VerifierKey:
        try:
            key = VerifierKey.parse(text)
        except NoteInvalid as err:
            raise self._refuse(err.what) from err
        if key.kind != kind:
            raise self._refuse("the key is of the other kind")
        if key.public in self._keys:
            raise self._refuse("the same public key stands there twice")
        self._keys.add(key.public)
        if len(self._keys) > MEMBERS_MAX:
            raise self._refuse(f"it has more than {MEMBERS_MAX} keys")
        return key

    def _fresh(self, name: str) -> str:
        if name == NO_QUORUM or name in self._witnesses or name in self._groups:
            raise self._refuse("its name is taken")
        if len(self._groups) >= MEMBERS_MAX:
            raise self._refuse(f"it has more than {MEMBERS_MAX} groups")
        return name

    def _group(self, needed: str, members: tuple[str, ...]) -> Group:
        for name in members:
            if name not in self._witnesses and name not in self._groups:
                raise self._refuse("a member is not defined above it")
            if name in self._members:
                raise self._refuse("a member is in a group already")
            self._members.add(name)
        words = {"all": len(members), "any": 1}
        number = int(needed) if needed.isascii() and needed.isdecimal() and len(needed) < 4 else 0
        count = words.get(needed, number)
        if not 1 <= count <= len(members):
            raise self._refuse(f"it needs all, any or a number from 1 to {len(members)}")
        return Group(count, members)

    def _take_quorum(self, name: str) -> None:
        if self._quorum is not None:
            raise self._refuse("there is a quorum already")
        if name != NO_QUORUM and name not in self._witnesses and name not in self._groups:
            raise self._refuse("the quorum is not defined above it")
        self._quorum = name

    def _url(self, key: VerifierKey, urls: list[str]) -> None:
        if urls:
            self._urls[key] = urls[0]

    def _refuse(self, why: str) -> PolicyInvalid:
        return PolicyInvalid(f"line {self._number} of a policy is malformed", why)


def _line(*words: str) -> str:
    return " ".join(word for word in words if word) + "\n"
