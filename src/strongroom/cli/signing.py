"""How whoever runs a command signs for it, and deletes: secrets in files, never in arguments."""

from dataclasses import dataclass

from strongroom.cli.face import SecretFile, read_secret_file
from strongroom.errors import UsageError
from strongroom.operations.credentials import Credential


@dataclass(frozen=True, slots=True)
class Signing:
    """Opens the operator's key where something has to be approved."""

    passphrase_file: SecretFile | None = None
    """A file with the passphrase of the operator's key, or - for stdin; else it is asked for where
    there is one."""


ASKED = Signing()


@dataclass(frozen=True, slots=True)
class Means:
    """With what it is signed, and deleted."""

    passphrase_file: SecretFile | None = None
    """A file with the passphrase of the operator's key, or - for stdin; else it is asked for where
    one person decides."""
    janitor_credential_file: SecretFile | None = None
    """The credential that may delete at object stores, where none is sealed here: the key id on
    one line, the secret on the next; - is stdin."""

    def janitor(self) -> Credential | None:
        """Read the credential that may delete, where a file is named."""
        named = self.janitor_credential_file
        if named is None:
            return None
        if named == self.passphrase_file == "-":
            raise UsageError(
                "only one thing can be read from stdin", hint="Put the other in a file."
            )
        return Credential.read(read_secret_file(named, "the janitor's credential"))


NO_MEANS = Means()
