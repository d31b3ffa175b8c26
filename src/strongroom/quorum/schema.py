"""The tables of a custodian's database, as migration steps; a step that was released never changes.

Journal and witness have tables of their own in it; `store` reads and writes the others.
"""

from typing import Final

from strongroom.facts import FACT_TABLE
from strongroom.ledger import Witness

MIGRATIONS: Final = (
    """
CREATE TABLE custodian (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  install TEXT NOT NULL,
  id TEXT NOT NULL,
  member_index INTEGER NOT NULL,
  name TEXT NOT NULL,
  identity BLOB NOT NULL,
  identity_sealed BLOB NOT NULL,
  kit_key_sealed BLOB NOT NULL,
  kit_secret_sealed BLOB,
  roster_id TEXT,
  created_at TEXT NOT NULL
) STRICT;
CREATE TABLE roster (
  version INTEGER PRIMARY KEY,
  envelope BLOB NOT NULL
) STRICT;
CREATE TABLE client (
  client TEXT PRIMARY KEY,
  vault TEXT NOT NULL UNIQUE,
  class TEXT NOT NULL,
  serial INTEGER NOT NULL,
  public BLOB NOT NULL,
  seed_sealed BLOB NOT NULL,
  created_at TEXT NOT NULL
) STRICT;
CREATE TABLE writer (
  number INTEGER PRIMARY KEY,
  client TEXT NOT NULL REFERENCES client (client),
  writer TEXT NOT NULL UNIQUE,
  key BLOB NOT NULL,
  revoked_after INTEGER
) STRICT;
CREATE TABLE receipt (
  writer TEXT NOT NULL REFERENCES writer (writer),
  sequence INTEGER NOT NULL,
  snapshot TEXT NOT NULL,
  envelope BLOB NOT NULL,
  PRIMARY KEY (writer, sequence)
) STRICT;
CREATE TABLE release (
  request TEXT PRIMARY KEY,
  client TEXT NOT NULL,
  snapshot TEXT NOT NULL,
  sessions INTEGER NOT NULL,
  recipient BLOB NOT NULL,
  requested_at TEXT NOT NULL,
  released_at TEXT NOT NULL,
  answer BLOB NOT NULL
) STRICT;
CREATE TABLE kit_entry (
  path TEXT PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;
""",
    FACT_TABLE,
    """
CREATE TABLE witness (
  one INTEGER PRIMARY KEY CHECK (one = 1),
  seed_sealed BLOB NOT NULL,
  card BLOB NOT NULL
) STRICT
""",
    *Witness.SCHEMA,
    """
CREATE TABLE policy (
  version INTEGER PRIMARY KEY,
  envelope BLOB NOT NULL
) STRICT
""",
    """
CREATE TABLE client_log (
  client TEXT PRIMARY KEY,
  origin TEXT NOT NULL
) STRICT;
CREATE TABLE waiting (
  digest TEXT PRIMARY KEY,
  since TEXT NOT NULL
) STRICT;
CREATE TABLE refused (
  digest TEXT PRIMARY KEY,
  at TEXT NOT NULL
) STRICT
""",
    """
CREATE TABLE former_key (
  client TEXT NOT NULL REFERENCES client (client),
  serial INTEGER NOT NULL,
  seed_sealed BLOB NOT NULL,
  PRIMARY KEY (client, serial)
) STRICT
""",
    """
CREATE TABLE hearing (
  digest TEXT PRIMARY KEY,
  envelope BLOB NOT NULL
) STRICT
""",
    """
CREATE TABLE beginning (
  writer TEXT PRIMARY KEY REFERENCES writer (writer),
  sequence INTEGER NOT NULL,
  snapshot TEXT NOT NULL
) STRICT
""",
    """
CREATE TABLE deed (
  request TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  envelope BLOB NOT NULL
) STRICT
""",
    """
CREATE TABLE erased (
  client TEXT PRIMARY KEY,
  told TEXT NOT NULL
) STRICT
""",
    # An answer of before has ended: nobody knows which request it was given to.
    """
ALTER TABLE release ADD COLUMN digest TEXT NOT NULL DEFAULT '';
ALTER TABLE release ADD COLUMN expires TEXT NOT NULL DEFAULT '';
CREATE INDEX release_kept ON release (expires) WHERE answer <> x'';
""",
    # A recovery that was answered allows one new writer of its client, until it ends.
    """
CREATE TABLE succession (
  client TEXT PRIMARY KEY,
  writer BLOB,
  digest TEXT NOT NULL,
  expires TEXT NOT NULL
) STRICT
""",
    # The orders that destroyed something of which a file of the database may hold the bytes yet.
    """
CREATE TABLE unscoured (
  request TEXT PRIMARY KEY
) STRICT
""",
    # What the last order to deal anew allows, and what was signed for that was dealt so.
    """
CREATE TABLE redealing (
  request TEXT PRIMARY KEY,
  digest TEXT NOT NULL,
  roster TEXT NOT NULL,
  recipient TEXT NOT NULL,
  expires TEXT NOT NULL
) STRICT;
CREATE TABLE reheld (
  session TEXT NOT NULL,
  roster TEXT NOT NULL,
  client TEXT NOT NULL,
  keys TEXT NOT NULL,
  receipt BLOB NOT NULL,
  PRIMARY KEY (session, roster)
) STRICT
""",
)
