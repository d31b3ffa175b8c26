"""How whoever runs a command signs for it: the passphrase of the operator's key."""

from dataclasses import dataclass

from strongroom.cli.face import SecretFile


@dataclass(frozen=True, slots=True)
class Signing:
    """Opens the operator's key where something has to be approved."""

    passphrase_file: SecretFile | None = None
    """A file with the passphrase of the operator's key, or - for stdin; else it is asked for where
    there is one."""


ASKED = Signing()
