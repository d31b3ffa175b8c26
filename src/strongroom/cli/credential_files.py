"""The options by which commands take an object store's two credentials: files, never words."""

from dataclasses import dataclass

from strongroom.cli.face import SecretFile, read_secret_file
from strongroom.errors import UsageError
from strongroom.operations.credentials import Credential, Credentials


@dataclass(frozen=True, slots=True)
class CredentialFiles:
    """Where an object store's credentials are read from, to be kept sealed."""

    credential_file: SecretFile | None = None
    """For object stores: a file with the key id and the secret that backups use, one a line, or -
    for stdin; best is one that may not delete."""
    janitor_credential_file: SecretFile | None = None
    """The same for the credential that may delete, which backups never use. Whoever has this
    machine has it then: better give it only to the commands that delete."""

    def check_stdin(self, *others: str | None) -> None:
        """Raise UsageError where more than one of these and other files is stdin."""
        named = (self.credential_file, self.janitor_credential_file, *others)
        if named.count("-") > 1:
            raise UsageError(
                "only one thing can be read from stdin", hint="Put the other in a file."
            )

    def read(self) -> Credentials:
        """Read what is named; stdin can be only one of the two."""
        self.check_stdin()
        worker, janitor = self.credential_file, self.janitor_credential_file
        return Credentials(
            _read(worker, "the credential"), _read(janitor, "the janitor's credential")
        )


NONE_GIVEN = CredentialFiles()


def _read(name: str | None, what: str) -> Credential | None:
    return None if name is None else Credential.read(read_secret_file(name, what))
