"""Evidence bundles: the verifier that shares no code accepts ours, and finds what was altered."""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from strongroom.adapters.database.sqlite import open_sqlite
from strongroom.errors import StrongroomError, UsageError
from strongroom.facts import Fact
from strongroom.ledger import Log, Policy
from strongroom.ledger.disclosure import Disclosure
from strongroom.ledger.note import VerifierKey
from tests.support.logs import NOON, SEED, VKEY, begun, cosigners
from tests.support.telling import told
from tests.support.verifier import verify

SALT = b"\x05" * 16
NAME = "ann@example.com\u202e"


@dataclass(frozen=True, slots=True)
class Made:
    """A log of some facts, one of them with a private value, and the policy to judge it by."""

    log: Log
    facts: list[Fact]
    disclosed: Disclosure
    policy: Path

    def write(self, path: Path, *numbers: int, disclose: bool = True) -> Path:
        """Write a bundle of these facts."""
        evidence = self.log.evidence(self.facts[number].id for number in numbers)
        evidence.write(path, [self.disclosed] if disclose else [], ["a fact"], ["{}"])
        return path


@pytest.fixture(name="made")
def _made(tmp_path: Path) -> Iterator[Made]:
    with closing(open_sqlite(tmp_path / "log.db", durable=False)) as database:
        database.migrate(Log.SCHEMA)
        log = begun(database)
        facts = [told("source.removed") for _ in range(300)]
        value = Disclosure(facts[7].id, "name", SALT, NAME)
        facts[7] = replace(facts[7], sd={"name": value.commitment})
        with database.transaction() as transaction:
            log.append_many(transaction, facts)
        note = log.sign(SEED, NOON)
        witnesses = list(cosigners(3))
        for witness in witnesses:
            note = witness.sign(note, 1_795_000_000)
        log.cosigned(note, [witness.key for witness in witnesses])
        policy = tmp_path / "policy"
        keys = {witness.name: witness.key for witness in witnesses}
        policy.write_bytes(Policy.of([VerifierKey.parse(VKEY)], keys, 2).encode())
        yield Made(log, facts, value, policy)


def test_bundle_is_verified_by_code_that_is_not_ours(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made.write(tmp_path / "evidence.zip", 7, 0, 299)
    assert verify("bundle", path, "--policy", made.policy, "--strict") == 0
    shown = capsys.readouterr().out
    assert shown.startswith("VALID: all 3 facts are in the log, and enough witnesses cosigned it.")
    assert "leaf 7: 2026-11-22T12:00:00.000000Z source.removed note ok" in shown
    assert "name: ann@example.com\\u202e" in shown


def test_value_that_is_not_disclosed_is_said_to_be_missing(
    made: Made, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = made.write(tmp_path / "evidence.zip", 7, disclose=False)
    assert verify("bundle", path, "--policy", made.policy) == 0
    assert "name: not disclosed, or erased" in capsys.readouterr().out


def test_same_evidence_gives_the_same_bytes(made: Made, tmp_path: Path) -> None:
    first, second = (made.write(tmp_path / name, 7, 8) for name in ("a.zip", "b.zip"))
    assert first.read_bytes() == second.read_bytes()


def rewritten(path: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """Return another bundle with some of its files changed."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    change(files)
    other = path.with_suffix(".changed.zip")
    with zipfile.ZipFile(other, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return other


def flip(files: dict[str, bytes], name: str, at: int) -> None:
    data = bytearray(files[name])
    data[at] ^= 1
    files[name] = bytes(data)


@pytest.mark.parametrize("name", ["leaves/7.json", "leaves/7.tlog-proof", "checkpoint"])
def test_flipped_byte_of_what_proves_is_found(made: Made, tmp_path: Path, name: str) -> None:
    path = made.write(tmp_path / "evidence.zip", 7, 8)
    with zipfile.ZipFile(path) as archive:
        length = len(archive.read(name))
    for at in range(0, length, 7):
        changed = rewritten(path, partial(flip, name=name, at=at))
        assert verify("bundle", changed, "--policy", made.policy, "--strict") == 40


def _rename(files: dict[str, bytes]) -> None:
    for kind in ("json", "tlog-proof"):
        files[f"leaves/9.{kind}"] = files.pop(f"leaves/7.{kind}")


def _lie(files: dict[str, bytes]) -> None:
    files["disclosures.jsonl"] = files["disclosures.jsonl"].replace(b"ann@", b"bob@")


def _without_leaf(files: dict[str, bytes]) -> None:
    files.pop("leaves/7.json")


def _more(files: dict[str, bytes]) -> None:
    files["../../etc/passwd"] = b""


def _nothing(files: dict[str, bytes]) -> None:
    for name in [name for name in files if name.startswith("leaves/")]:
        files.pop(name)


def _twice(files: dict[str, bytes]) -> None:
    files["disclosures.jsonl"] *= 2


def _of_nobody(files: dict[str, bytes]) -> None:
    _without_leaf(files)
    files.pop("leaves/7.tlog-proof")


@pytest.mark.parametrize(
    "change", [_rename, _lie, _without_leaf, _more, _nothing, _twice, _of_nobody]
)
def test_bundle_that_was_put_together_otherwise_is_invalid(
    made: Made, tmp_path: Path, change: Callable[[dict[str, bytes]], None]
) -> None:
    path = rewritten(made.write(tmp_path / "evidence.zip", 7, 8), change)
    assert verify("bundle", path, "--policy", made.policy) == 40


def test_what_is_no_zip_is_invalid(made: Made, tmp_path: Path) -> None:
    path = made.write(tmp_path / "evidence.zip", 7)
    held = path.read_bytes()
    for changed in (b"", b"PK", held[:-1], held[: len(held) // 2], bytes(len(held))):
        path.write_bytes(changed)
        assert verify("bundle", path, "--policy", made.policy) == 40


def test_fact_that_is_not_signed_has_no_proof(made: Made, tmp_path: Path) -> None:
    with pytest.raises(Log.Refused, match="this log does not have it"):
        made.log.evidence([told().id])
    with pytest.raises(Log.Refused, match="a bundle of 0 facts"):
        made.log.evidence([])
    with closing(open_sqlite(tmp_path / "new.db", durable=False)) as database:
        database.migrate(Log.SCHEMA)
        log = begun(database, 1)
        with pytest.raises(Log.Refused, match="it is leaf 0, and 0 leaves are signed"):
            log.evidence([log.facts()[0].id])


def test_nothing_is_written_over_and_nothing_is_left(made: Made, tmp_path: Path) -> None:
    path = made.write(tmp_path / "evidence.zip", 7)
    held = path.read_bytes()
    with pytest.raises(UsageError, match="is there already"):
        made.write(path, 8)
    assert path.read_bytes() == held
    with pytest.raises(StrongroomError, match="cannot be written"):
        made.write(tmp_path / "none" / "evidence.zip", 7)
    assert not list(tmp_path.rglob("*.partial"))
