"""An op: one thing that can happen, and the closed body of the fact that tells of it.

Each area lists its ops in a file of its own. An op never changes: another body is another version
of it, beside the old one, so that what was recorded stays readable.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from strongroom.errors import StrongroomError
from strongroom.facts.kinds import Kind

FailureClass = Literal["A", "B", "C"]
"""A: announced and witnessed before the act. B: durable with it, witnessed at the end of the
command. C: durable; what it tells of changes nothing."""
Activity = Literal["create", "read", "update", "delete", "detect"]

CONVERTED: Final = 0
"""The version of what was recorded before facts were closed; any field may be absent."""


class FactRefused(StrongroomError):
    """A fact that is not of the closed vocabulary; a mistake of ours, found before it is kept."""

    code = "fact_refused"
    hint = "Nothing was changed. This is a mistake in Strongroom: please report it."


@dataclass(frozen=True, slots=True)
class Op:
    """One thing that can happen. `subject` names whose id the fact's subject is, and its kind."""

    name: str
    failure_class: FailureClass
    activity: Activity
    about: str
    subject: tuple[str, Kind]
    must: Mapping[str, Kind] = field(default_factory=dict)
    may: Mapping[str, Kind] = field(default_factory=dict)
    private: frozenset[str] = frozenset()
    version: int = 1

    def check(self, body: Mapping[str, object], *, done: bool) -> None:
        """Raise FactRefused, naming the field, for a body of another form.

        What is not `done` has fields that nobody knows yet, or ever: they may be absent.
        """
        if done:
            for name in self.must:
                if name not in body:
                    raise self._refuse(name, "is missing")
        for name, value in body.items():
            kind = self.must.get(name) or self.may.get(name)
            if kind is None:
                raise self._refuse(name, "is not one of its fields")
            if not kind.fits(value):
                raise self._refuse(name, f"is no {kind.says}")

    def check_subject(self, subject: str) -> None:
        """Raise FactRefused for the id of something else."""
        if not self.subject[1].fits(subject):
            raise self._refuse("subject", f"is no id of a {self.subject[0]}")

    def check_private(self, names: Mapping[str, object]) -> None:
        """Raise FactRefused for a private field that this op does not have."""
        for name in names:
            if name not in self.private:
                raise self._refuse(name, "is not one of its private fields")

    def _refuse(self, name: str, why: str) -> FactRefused:
        # The value is not told: it may be what must not be kept.
        return FactRefused(f"a fact {self.name} cannot be recorded", f"its {name!a:.60} {why}")
