"""Nothing changes or is released without a fact, but for what is named here, with its reason.

`tests/cli/test_every_command_tells.py` looks at the same from the other end: it runs every command.
"""

import pytest

from tests.house.deeds import untold_deeds, untold_writes
from tests.house.tree import PACKAGE

# Rows that are written without a fact, by module and method.
WRITES = {
    "clients/registry.py": {
        "keep_certificate": "the same peer and key for another day",
        "note_missed": "what was noticed of custodians; nothing was done to them",
        "note_deny_list": "that what `network.denied` told of has come to a custodian",
    },
    "clients/rosters.py": {
        "adopt_former": "found at the locations; the recovery tells of the install",
        "keep_certificate": "the same peer and key for another day",
    },
    "clients/history.py": {
        "adopt_client_keys": "found at the locations; the recovery tells of the client",
        "adopt_snapshots": "the same",
        "revoke_writer": "the same",
    },
    "clients/tombs.py": {
        "place_tomb": "notes where a tombstone lies that was told of when it was made",
        "adopt_buried": "found at the locations; the recovery tells of the client",
    },
    "clients/copy_notes.py": {
        "write": "what was seen of copies; the check or scrub that looked tells",
        "forget": "the same",
        "begin_round": "how far a scrub has come",
        "end_round": "the same",
    },
    "procedures/desk.py": {
        "unchanged": "writes nothing; it keeps other commands from writing meanwhile",
    },
    "quorum/custodian.py": {
        "create": "adopting the first roster tells",
        "adopt_policy": "its gate journals it",
        "take_policy": "the same",
        "restore": "adopting the first roster tells; the home tells of the recovery",
    },
    "quorum/client_seat.py": {
        "succeed": "it tells in the transaction that it gives to `succeed_within`",
    },
    "quorum/kit_seat.py": {
        "forget": "whoever calls gives it the fact",
    },
    "quorum/receipt_seat.py": {
        "resume": "its own receipts again, which it told of when it signed them",
    },
    "quorum/release_seat.py": {
        "release": "what answers it journals it, and its gate does",
        "wipe_ended": "answers whose end was told with the request; nothing is done to it",
    },
}
# Modules that reach out for others, who tell.
DEEDS = {
    "cli/custodian_process.py": "the custodian tells in its own journal that its kit is confirmed",
    "operations/check_credentials.py": "a canary, on which `vault.checked` tells the answer",
    "operations/clear_client.py": "deletes what `client.cleared` tells of, in `erase_client`",
    "operations/place_ledger.py": "places the facts themselves",
    "operations/placing.py": "only places; whoever has something to place tells",
    "operations/prune_delete.py": "deletes what `prune.begun` has told of; `prune.done` counts it",
    "operations/rebuild_custodian.py": "the custodian tells in its own journal what it pins",
    "operations/side_by_side.py": "a queue within this process",
    "operations/tombs.py": "places what `prune.planned` has told of",
    "operations/vault_config.py": "part of `writer.enrolled` and `prune.planned`",
}


def test_planted_silence_is_found() -> None:
    silent = "class A:\n def f(self):\n  with self.d.transaction() as t:\n   t.run('')\n"
    assert untold_writes(silent) == ["f"]
    assert untold_writes(silent + "   self.log.append(t, fact)\n") == []
    assert untold_writes(silent.replace("transaction", "reading")) == []
    assert untold_deeds("copies.put(a, b)\n") == ["put"]
    assert untold_deeds("def f(d):\n custodian.release(x)\n d.fact('a.b', c)\n") == []
    assert untold_deeds("location.delete(x)\nfuture.result()\n") == ["delete"]


@pytest.mark.parametrize(
    "module",
    [
        "clients/registry.py",
        "clients/rosters.py",
        "clients/history.py",
        "clients/tombs.py",
        "clients/copy_notes.py",
        "procedures/desk.py",
        "quorum/custodian.py",
        "quorum/client_seat.py",
        "quorum/kit_seat.py",
        "quorum/receipt_seat.py",
        "quorum/release_seat.py",
    ],
)
def test_rows_change_together_with_a_fact(module: str) -> None:
    found = untold_writes((PACKAGE / module).read_text("utf-8"))
    assert set(found) == WRITES.get(module, {}).keys()


def test_rows_are_written_nowhere_else_but_by_engines() -> None:
    """A room that keeps rows of its own is added to the test above, or is one of these."""
    engines = {
        "vault": "its index can be rebuilt from the locations",
        "ledger": "it keeps the facts",
        "adapters": "it is what transactions are made of",
    }
    rooms = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if untold_writes(path.read_text("utf-8"))
    }
    assert rooms - engines.keys() == {"clients", "procedures", "quorum"}


def test_operations_that_reach_out_tell_of_it() -> None:
    found = {
        str(path.relative_to(PACKAGE)): deeds
        for room in ("operations", "cli", "app")
        for path in sorted((PACKAGE / room).rglob("*.py"))
        if (deeds := untold_deeds(path.read_text("utf-8")))
    }
    assert found.keys() == DEEDS.keys(), found
