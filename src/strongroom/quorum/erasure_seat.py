"""The end of a client at a custodian's side: every seed destroyed, and never another one made."""

import hashlib
from contextlib import suppress
from dataclasses import dataclass

from strongroom.crypto import public_sealing
from strongroom.database import Transaction
from strongroom.errors import Damaged, StrongroomError
from strongroom.ids import ClientId
from strongroom.quorum import erasure_rows, store
from strongroom.quorum.erasure import ENTRIES_MAX, Erasure
from strongroom.quorum.kit import EntryPlace
from strongroom.quorum.own import Own


@dataclass(frozen=True, slots=True)
class ErasureSeat:
    """Destroys what a custodian holds of a client."""

    _own: Own

    def erase(self, transaction: Transaction, client: ClientId) -> Erasure:
        """Destroy all of a client, in the transaction of the order that says so.

        What is left is that it was erased, and the journal. A client that was never known here is
        not enrolled from now on either. Asked again, it tells of the first time. The rows are gone
        with the transaction; that the bytes are is for whoever ends it.
        """
        done = erasure_rows.read_erasure(transaction, client)
        if done is not None:
            return done
        keys = self._keys(transaction, client)
        own = EntryPlace(self._own.install, self._own.member.id, f"{client}-")
        entries = erasure_rows.read_kit_paths(transaction, own.path)
        if len(entries) > ENTRIES_MAX:
            raise StrongroomError(
                f"{self._own.member} cannot tell what it would destroy of client {client[:8]}",
                f"its key table has {len(entries)} entries, a deed names {ENTRIES_MAX}",
            )
        erasure_rows.forget_kit_entries(transaction, entries)
        erasure = Erasure(
            erased_at=self._own.clock.now(),
            keys=keys,
            entries=tuple(path.rpartition("/")[2] for path in entries),
            answers=erasure_rows.forget_client(transaction, client),
        )
        erasure_rows.write_erasure(transaction, client, erasure)
        told = {
            "keys": len(erasure.keys),
            "entries": len(erasure.entries),
            "answers": erasure.answers,
        }
        self._own.record(transaction, "client.keys_destroyed", client, told, client)
        return erasure

    def _keys(self, transaction: Transaction, client: ClientId) -> tuple[str, ...]:
        """Return the ids of the keys that go: the current one, then the former ones."""
        pin = store.read_pin(transaction, client)
        if pin is None:
            return ()
        former: list[bytes] = []
        # A row that is damaged is destroyed like any other; what it was cannot be told.
        with suppress(Damaged):
            entry = store.read_entry(transaction, client, self._own.safe)
            if entry is not None:
                former = [public_sealing.public_key(key.seed) for key in entry.former]
        return tuple(hashlib.sha256(one).hexdigest() for one in (pin.public, *former))
