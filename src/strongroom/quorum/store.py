"""A custodian's tables: who it is, whom it has pinned, what it has receipted and released.

Secrets lie in rows only sealed under the custodian's KEK, each bound to its custodian and its
purpose, so that a row copied elsewhere does not open. The release table is the journal: a row is
durable before an answer leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from strongroom.clock import format_instant, parse_instant
from strongroom.crypto.framing import frame
from strongroom.crypto.sealing import SALT_BYTES, open_sealed, seal
from strongroom.database import Transaction
from strongroom.errors import Damaged
from strongroom.ids import ClientId, CustodianId, InstallId, Token, VaultId, WriterId
from strongroom.quorum.key_table import ClientEntry, ClientPin, FormerKey, PinnedWriter
from strongroom.quorum.release import Release, ReleaseRequest
from strongroom.quorum.request import ActRequest
from strongroom.quorum.roster import Member
from strongroom.quorum.rules import Standing

ROW_KIND = "custodian-row"
JOURNAL_PAGE = 500


@dataclass(frozen=True, slots=True)
class RowSeal:
    """The KEK at work: seals and opens the secrets of one custodian's rows."""

    kek: bytes = field(repr=False)
    install: InstallId
    custodian: CustodianId

    def close(self, purpose: str, secret: bytes, token: Token) -> bytes:
        """Return what goes into the row."""
        salt = token(SALT_BYTES)
        return salt + seal(self.kek, ROW_KIND, salt, self._context(purpose), secret)

    def open(self, purpose: str, stored: bytes) -> bytes:
        """Return the secret; raise Damaged under another KEK or for another row's bytes."""
        salt, sealed = stored[:SALT_BYTES], stored[SALT_BYTES:]
        if len(salt) < SALT_BYTES:
            raise Damaged(f"the sealed row of {purpose} does not open", "it was cut short")
        return open_sealed(self.kek, ROW_KIND, salt, self._context(purpose), sealed)

    def _context(self, purpose: str) -> bytes:
        return frame(bytes.fromhex(self.install), bytes.fromhex(self.custodian), purpose.encode())


@dataclass(frozen=True, slots=True)
class SelfRow:
    """The one row of the table `custodian`; sealed columns as they are stored."""

    install: InstallId
    member: Member
    identity_sealed: bytes = field(repr=False)
    kit_key_sealed: bytes = field(repr=False)
    kit_secret_sealed: bytes | None = field(repr=False)
    roster_id: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Released:
    """What is kept of a request for keys; the answer is empty once it was wiped."""

    recipient: bytes = field(repr=False)
    snapshot: str
    answer: bytes = field(repr=False)
    digest: str


def write_self(transaction: Transaction, row: SelfRow) -> None:
    """Write who this custodian is; there is one per database."""
    member = row.member
    transaction.run(
        "INSERT INTO custodian VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            row.install,
            member.id,
            member.index,
            member.name,
            member.identity,
            row.identity_sealed,
            row.kit_key_sealed,
            row.kit_secret_sealed,
            row.roster_id,
            format_instant(row.created_at),
        ),
    )


def read_self(transaction: Transaction) -> SelfRow | None:
    """Return who this custodian is, or None in an empty database."""
    row = transaction.row(
        "SELECT install, id, member_index, name, identity, identity_sealed, kit_key_sealed, "
        "kit_secret_sealed, roster_id, created_at FROM custodian"
    )
    if row is None:
        return None
    install, custodian, index, name, identity, *sealed, roster_id, created_at = row
    return SelfRow(
        install=InstallId(install),
        member=Member(index, CustodianId(custodian), name, identity),
        identity_sealed=sealed[0],
        kit_key_sealed=sealed[1],
        kit_secret_sealed=sealed[2],
        roster_id=roster_id,
        created_at=parse_instant(created_at),
    )


def forget_kit_secret(transaction: Transaction) -> None:
    """Wipe the recovery key."""
    transaction.run("UPDATE custodian SET kit_secret_sealed = NULL")


def write_roster(transaction: Transaction, version: int, roster_id: str, envelope: bytes) -> None:
    """Keep a roster and pin it."""
    transaction.run("INSERT INTO roster VALUES (?, ?)", (version, envelope))
    transaction.run("UPDATE custodian SET roster_id = ?", (roster_id,))


def read_roster(transaction: Transaction) -> bytes | None:
    """Return the newest roster's bytes, or None before the first."""
    row = transaction.row("SELECT envelope FROM roster ORDER BY version DESC LIMIT 1")
    return None if row is None else row[0]


def read_rosters(transaction: Transaction) -> list[bytes]:
    """Return every roster that was pinned, oldest first."""
    return [data for (data,) in transaction.rows("SELECT envelope FROM roster ORDER BY version")]


def write_client(transaction: Transaction, entry: ClientEntry, safe: RowSeal, token: Token) -> None:
    """Write a client's pin and seeds, or the newer state of them."""
    pin = entry.pin
    transaction.run(
        "INSERT INTO client VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (client) DO UPDATE SET "
        "serial = excluded.serial, public = excluded.public, "
        "seed_sealed = excluded.seed_sealed, created_at = excluded.created_at",
        (
            pin.client,
            pin.vault,
            pin.vault_class,
            pin.serial,
            pin.public,
            safe.close(f"client/{pin.client}", entry.seed, token),
            format_instant(pin.created_at),
        ),
    )
    transaction.run_many(
        "INSERT INTO writer (client, writer, key, revoked_after) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (writer) DO UPDATE SET revoked_after = excluded.revoked_after",
        [(pin.client, writer.id, writer.key, writer.revoked_after) for writer in pin.writers],
    )
    transaction.run("DELETE FROM former_key WHERE client = ?", (pin.client,))
    transaction.run_many(
        "INSERT INTO former_key VALUES (?, ?, ?)",
        [
            (pin.client, key.serial, safe.close(_former(pin.client, key.serial), key.seed, token))
            for key in entry.former
        ],
    )


def read_pin(transaction: Transaction, client: ClientId) -> ClientPin | None:
    """Return what is pinned for a client, or None."""
    row = transaction.row(
        "SELECT vault, class, serial, public, created_at FROM client WHERE client = ?", (client,)
    )
    if row is None:
        return None
    vault, vault_class, serial, public, created_at = row
    writers = transaction.rows(
        "SELECT key, revoked_after FROM writer WHERE client = ? ORDER BY number", (client,)
    )
    former = transaction.rows(
        "SELECT serial FROM former_key WHERE client = ? ORDER BY serial", (client,)
    )
    return ClientPin(
        client,
        VaultId(vault),
        vault_class,
        serial,
        public,
        parse_instant(created_at),
        tuple(PinnedWriter(key, revoked_after) for key, revoked_after in writers),
        tuple(serial for (serial,) in former),
    )


def read_pins(transaction: Transaction) -> list[ClientPin]:
    """Return the pin of every client, in order of their ids."""
    clients = transaction.rows("SELECT client FROM client ORDER BY client")
    pins = [read_pin(transaction, ClientId(client)) for (client,) in clients]
    return [pin for pin in pins if pin is not None]


def count_clients(transaction: Transaction) -> tuple[int, int]:
    """Return how many clients were ever enrolled, erased ones too, and how many writers."""
    row = transaction.row(
        "SELECT (SELECT count(*) FROM client) + (SELECT count(*) FROM erased), "
        "(SELECT count(*) FROM writer)"
    )
    return (0, 0) if row is None else (row[0], row[1])


def read_current_writer(transaction: Transaction, vault: VaultId) -> WriterId | None:
    """Return the writer of a vault that is not revoked, or None when the vault is unknown."""
    row = transaction.row(
        "SELECT writer FROM writer JOIN client USING (client) "
        "WHERE vault = ? AND revoked_after IS NULL",
        (vault,),
    )
    return None if row is None else WriterId(row[0])


def has_writer(transaction: Transaction, writer: WriterId) -> bool:
    """Return whether a writer is pinned for any client."""
    return transaction.row("SELECT 1 FROM writer WHERE writer = ?", (writer,)) is not None


def read_entry(transaction: Transaction, client: ClientId, safe: RowSeal) -> ClientEntry | None:
    """Return a client's pin and seeds, or None."""
    pin = read_pin(transaction, client)
    row = transaction.row("SELECT seed_sealed FROM client WHERE client = ?", (client,))
    if pin is None or row is None:
        return None
    rows = transaction.rows(
        "SELECT serial, seed_sealed FROM former_key WHERE client = ? ORDER BY serial", (client,)
    )
    former = tuple(
        FormerKey(serial, safe.open(_former(client, serial), sealed)) for serial, sealed in rows
    )
    return ClientEntry(pin, safe.open(f"client/{client}", row[0]), former)


def _former(client: ClientId, serial: int) -> str:
    return f"former/{client}/{serial:08d}"


def write_receipt(
    transaction: Transaction, writer: WriterId, standing: Standing, envelope: bytes
) -> None:
    """Keep a receipt that was signed."""
    transaction.run(
        "INSERT INTO receipt VALUES (?, ?, ?, ?)",
        (writer, standing.sequence, standing.hash, envelope),
    )


def read_receipt(
    transaction: Transaction, writer: WriterId, sequence: int
) -> tuple[str, bytes] | None:
    """Return the snapshot's hash and the receipt's bytes, or None."""
    row = transaction.row(
        "SELECT snapshot, envelope FROM receipt WHERE writer = ? AND sequence = ?",
        (writer, sequence),
    )
    return None if row is None else (row[0], row[1])


def read_standing(transaction: Transaction, writer: WriterId) -> Standing:
    """Return the highest snapshot of a writer that has a receipt, or after which it began."""
    row = transaction.row(
        "SELECT sequence, snapshot FROM receipt WHERE writer = ? ORDER BY sequence DESC LIMIT 1",
        (writer,),
    ) or transaction.row("SELECT sequence, snapshot FROM beginning WHERE writer = ?", (writer,))
    return Standing() if row is None else Standing(row[0], row[1])


def write_beginning(transaction: Transaction, writer: WriterId, standing: Standing) -> None:
    """Note the snapshot of a writer after which this custodian began."""
    transaction.run(
        "INSERT INTO beginning VALUES (?, ?, ?)", (writer, standing.sequence, standing.hash)
    )


def write_release(
    transaction: Transaction,
    request: ReleaseRequest,
    client: ClientId,
    release: Release,
    answer: bytes,
    act: ActRequest,
) -> None:
    """Journal a release together with the answer that will be given until the act has ended."""
    transaction.run(
        "INSERT INTO release (request, client, snapshot, sessions, recipient, requested_at, "
        "released_at, answer, digest, expires) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            request.request,
            client,
            release.snapshot,
            len(release.sessions),
            request.recipient,
            format_instant(request.requested_at),
            format_instant(release.released_at),
            answer,
            act.digest,
            format_instant(act.expires),
        ),
    )


def read_release(transaction: Transaction, request: str) -> Released | None:
    """Return what is kept of a request that was answered, or None."""
    row = transaction.row(
        "SELECT recipient, snapshot, answer, digest FROM release WHERE request = ?", (request,)
    )
    return None if row is None else Released(*row)


def has_answers(transaction: Transaction, ended: datetime) -> bool:
    """Return whether the answer to a request is kept that had ended by then."""
    row = transaction.row(
        "SELECT 1 FROM release WHERE expires < ? AND answer <> x''", (format_instant(ended),)
    )
    return row is not None


def wipe_answers(transaction: Transaction, ended: datetime) -> None:
    """Wipe the answers to requests that had ended by then; that they were given stays."""
    transaction.run(
        "UPDATE release SET answer = x'' WHERE expires < ? AND answer <> x''",
        (format_instant(ended),),
    )


def write_policy(transaction: Transaction, version: int, envelope: bytes) -> None:
    """Keep a team policy and pin it."""
    transaction.run("INSERT INTO policy VALUES (?, ?)", (version, envelope))


def read_policy(transaction: Transaction) -> bytes | None:
    """Return the pinned team policy's bytes, or None before the first."""
    row = transaction.row("SELECT envelope FROM policy ORDER BY version DESC LIMIT 1")
    return None if row is None else row[0]


def write_client_log(transaction: Transaction, client: ClientId, origin: str) -> None:
    """Pin the log in which a client's keys are announced, in the place of an earlier one."""
    transaction.run(
        "INSERT INTO client_log VALUES (?, ?) "
        "ON CONFLICT (client) DO UPDATE SET origin = excluded.origin",
        (client, origin),
    )


def read_client_log(transaction: Transaction, client: ClientId) -> str | None:
    """Return the origin of the log in which a client's keys are announced, or None."""
    row = transaction.row("SELECT origin FROM client_log WHERE client = ?", (client,))
    return None if row is None else row[0]


def write_waiting(transaction: Transaction, digest: str, since: datetime) -> None:
    """Note since when a request that is approved waits."""
    transaction.run("INSERT INTO waiting VALUES (?, ?)", (digest, format_instant(since)))


def read_waiting(transaction: Transaction, digest: str) -> datetime | None:
    """Return since when a request waits, or None before it was first asked for."""
    row = transaction.row("SELECT since FROM waiting WHERE digest = ?", (digest,))
    return None if row is None else parse_instant(row[0])


def write_refused(transaction: Transaction, digest: str, at: datetime) -> None:
    """Note for good that an approver has refused a request."""
    transaction.run("INSERT INTO refused VALUES (?, ?)", (digest, format_instant(at)))


def is_refused(transaction: Transaction, digest: str) -> bool:
    """Return whether an approver has refused a request."""
    return transaction.row("SELECT 1 FROM refused WHERE digest = ?", (digest,)) is not None


def write_hearing(transaction: Transaction, digest: str, envelope: bytes) -> None:
    """Keep the word that this custodian was told of a recovery."""
    transaction.run("INSERT INTO hearing VALUES (?, ?)", (digest, envelope))


def read_hearing(transaction: Transaction, digest: str) -> bytes | None:
    """Return the word given about a recovery, or None where none was."""
    row = transaction.row("SELECT envelope FROM hearing WHERE digest = ?", (digest,))
    return None if row is None else row[0]


def write_deed(transaction: Transaction, request: ActRequest, envelope: bytes) -> None:
    """Keep the deed of an order for good."""
    transaction.run(
        "INSERT INTO deed VALUES (?, ?, ?)", (request.request, request.digest, envelope)
    )


def read_deed(transaction: Transaction, request: str) -> tuple[str, bytes] | None:
    """Return the digest of the request of this id that was done, and the deed, or None."""
    row = transaction.row("SELECT digest, envelope FROM deed WHERE request = ?", (request,))
    return None if row is None else (row[0], row[1])


def has_clients(transaction: Transaction) -> bool:
    """Return whether any client was ever enrolled."""
    return transaction.row("SELECT 1 FROM client UNION ALL SELECT 1 FROM erased") is not None


def write_witness(transaction: Transaction, seed_sealed: bytes, card: bytes) -> None:
    """Keep the witness key, sealed, and its card for good."""
    transaction.run("INSERT INTO witness VALUES (1, ?, ?)", (seed_sealed, card))


def read_witness(transaction: Transaction) -> tuple[bytes, bytes] | None:
    """Return the sealed witness key and its card, or None before it was made."""
    row = transaction.row("SELECT seed_sealed, card FROM witness")
    return None if row is None else (row[0], row[1])


def write_kit_entries(transaction: Transaction, entries: Sequence[tuple[str, bytes]]) -> None:
    """Keep entries of the key table for good."""
    transaction.run_many("INSERT INTO kit_entry VALUES (?, ?)", entries)


def read_kit_entries(
    transaction: Transaction, beginning: str, after: str = "", most: int = -1
) -> list[tuple[str, bytes]]:
    """Return the entries of the key table whose paths begin so, the same bytes each time.

    At most so many, those behind the path `after`. One that was wiped, for a key that it held was
    dropped, is left out.
    """
    # No character of a path sorts after the tilde, so this is one stretch of the primary key.
    rows = transaction.rows(
        "SELECT path, bytes FROM kit_entry WHERE path BETWEEN ? AND ? AND path > ? "
        "AND bytes <> x'' ORDER BY path LIMIT ?",
        (beginning, f"{beginning}~", after, most),
    )
    return [(path, data) for path, data in rows]
