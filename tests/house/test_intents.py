"""What is of class A is announced before it is done, or the reason why not stands here."""

import ast
from pathlib import Path

from strongroom.facts.vocabulary import OPS

SOURCE = Path(__file__).parents[2] / "src" / "strongroom"
UNANNOUNCED = {
    "install.begun": "there is no log before it",
    "install.recovered": "the log begins with it",
    "install.operator_changed": "a step of the erasure that is announced",
    "roster.signed": "a step of the run that is announced to custodians",
    "custodian.seated": "the same",
    "session.redealt": "the same",
    "keys.asked": "the first leaf of a log, which is named after it; the announcement follows",
    "policy.signed": "custodians pin the policy themselves, and journal it",
    "client.erased": "the run of the procedure is announced, and custodians look for that",
    "kit.confirmed": "the custodian that wipes the words journals it",
    "settings.changed": "it tells what somebody wrote into a file; nobody asked",
    "writer.enrolled": "custodians pin the writer themselves, and journal it first",
    "browse.done": "it tells what was shown; opening the keys is what is announced",
    "diff.done": "the same",
    "prune.planned": "it announces: the tombstone waits, and the deletion is announced again",
    "prune.begun": "a step of the deletion that is announced",
    "ledger.secret_masked": "nobody does it",
    "ledger.resumed": "the log takes up with it what was witnessed before",
    "ledger.epoch_begun": "the log begins with it",
}


def calls(name: str) -> dict[str, str]:
    """Return every op that is given as text to a method of this name, with the file."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            first = node.args[0] if node.args else None
            if node.func.attr == name and isinstance(first, ast.Constant):
                found[str(first.value)] = path.name
    return found


def test_every_act_of_class_a_is_announced_or_says_why_not() -> None:
    dangerous = {op.name for op in OPS if op.failure_class == "A"}
    noted = {op: file for op, file in calls("fact").items() if op in dangerous}
    assert {op: file for op, file in noted.items() if op not in UNANNOUNCED} == {}


def test_what_is_announced_is_of_class_a() -> None:
    dangerous = {op.name for op in OPS if op.failure_class == "A"}
    announced = calls("intent")
    assert announced.keys() >= {"keys.opened", "restore.done", "prune.done", "ledger.erased"}
    assert announced.keys() <= dangerous
    assert not announced.keys() & UNANNOUNCED.keys()
