"""The type of the facts to restore by, spelled as in the vault's protocols.

The vault's front door has no room for the aliases; as they are structural, mypy compares the two
wherever a source or target is handed to the vault.
"""

from collections.abc import Mapping

from strongroom.adapters.sources.errors import printable
from strongroom.errors import Damaged

Fact = str | int | bool | None | dict[str, int] | dict[str, str] | list[str]
Facts = Mapping[str, Fact]


class Comparison:
    """Compares facts with what a restore found, and remembers which were there to compare."""

    def __init__(self, facts: Facts, place: bytes) -> None:
        self._facts = facts
        self._place = place
        self.names: list[str] = []

    def check(self, name: str, found: Fact) -> None:
        """Raise Damaged where the fact is recorded and another one."""
        if name not in self._facts:
            return
        if self._facts[name] != found:
            raise Damaged(
                f"the restored {printable(self._place)} is not what was backed up",
                f"its {name} differs from the fact recorded at the backup",
            )
        self.names.append(name)
