"""The type of the facts to restore by, spelled as in the vault's protocols.

The vault's front door has no room for the aliases; as they are structural, mypy compares the two
wherever a source or target is handed to the vault.
"""

from collections.abc import Mapping

Fact = str | int | bool | None | dict[str, int] | dict[str, str] | list[str]
Facts = Mapping[str, Fact]
