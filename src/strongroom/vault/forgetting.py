"""How the index of a vault forgets what is deleted, in two steps, and what is lost, in the first.

Before a tombstone is placed its segments are retired: they can still be read, and dedup never
refers to them again; neither are remembered files taken that lie in them. When they are deleted,
their rows go. Both can be done again.
"""

import json
from collections.abc import Iterable

from strongroom.database import Database


class Forgetting:
    """What the index knows of what was stored by whom, and what of it is to go."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def pack_index(self) -> dict[str, str]:
        """Return the hash of the index object that lists it, of every pack of a snapshot."""
        with self._database.reading() as db:
            rows = db.rows(
                "SELECT p.id, a.index_hash FROM pack p JOIN attempt a ON a.number = p.attempt "
                "WHERE a.index_hash IS NOT NULL"
            )
        return {str(pack): digest.hex() for pack, digest in rows}

    def indexes(self) -> dict[str, str]:
        """Return the hash of its index object for every snapshot made good here."""
        with self._database.reading() as db:
            rows = db.rows("SELECT snapshot, index_hash FROM attempt WHERE state = 'good'")
        return {str(snapshot): digest.hex() for snapshot, digest in rows if digest is not None}

    def sessions(self) -> frozenset[str]:
        """Return every session of which a snapshot has stored a segment."""
        with self._database.reading() as db:
            rows = db.rows(
                "SELECT DISTINCT s.session FROM segment s JOIN attempt a ON a.number = s.attempt "
                "WHERE a.index_hash IS NOT NULL"
            )
        return frozenset(session.hex() for (session,) in rows)

    def retired_by(self) -> frozenset[str]:
        """Return why segments are retired: hashes of tombstones, and keys of lost objects."""
        with self._database.reading() as db:
            return frozenset(str(cause) for (cause,) in db.rows("SELECT cause FROM retired_by"))

    def retire(
        self, causes: Iterable[str], packs: Iterable[str], sessions: Iterable[str] = ()
    ) -> None:
        """Let dedup never refer to the segments of these packs and sessions again."""
        with self._database.transaction() as db:
            db.run(
                "UPDATE segment SET retired = 1 WHERE pack IN (SELECT number FROM pack "
                "WHERE id IN (SELECT value FROM json_each(?)))",
                (json.dumps(list(packs)),),
            )
            db.run(
                "UPDATE segment SET retired = 1 "
                "WHERE lower(hex(session)) IN (SELECT value FROM json_each(?))",
                (json.dumps(list(sessions)),),
            )
            db.run_many(
                "INSERT OR IGNORE INTO retired_by (cause) VALUES (?)", [(one,) for one in causes]
            )

    def drop(self, packs: Iterable[str], snapshots: Iterable[str]) -> None:
        """Forget packs that are deleted, with all in them, and count snapshots no longer."""
        listed = (json.dumps(list(packs)),)
        with self._database.transaction() as db:
            db.run(
                "UPDATE attempt SET deleted = 1 WHERE snapshot IN (SELECT value FROM json_each(?))",
                (json.dumps(list(snapshots)),),
            )
            db.run(
                "DELETE FROM segment WHERE pack IN (SELECT number FROM pack "
                "WHERE id IN (SELECT value FROM json_each(?)))",
                listed,
            )
            dropped = db.run(
                "DELETE FROM pack WHERE id IN (SELECT value FROM json_each(?))", listed
            )
            if dropped:
                db.run("DELETE FROM chunk WHERE segment NOT IN (SELECT number FROM segment)")
