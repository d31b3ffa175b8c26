"""Policies: the specification's example, who counts and who does not, what is refused."""

import pytest

from strongroom.crypto import signing
from strongroom.ledger import Checkpoint, Policy
from strongroom.ledger.cosignature import cosign, witness_key
from strongroom.ledger.note import LOG_KEY, NoteInvalid, VerifierKey, sign
from strongroom.ledger.policy import PolicyInvalid

AT = 1_767_323_045
SEED = b"\x01" * 32
LOG = VerifierKey("log.example/a", LOG_KEY, signing.public_key(SEED))
SEEDS = {name: bytes([at]) * 32 for at, name in enumerate(("X1", "X2", "X3", "Y1", "Y2", "Y3"), 2)}
KEYS = {name: witness_key(f"key-{name}.example", seed) for name, seed in SEEDS.items()}
TEXT = Checkpoint(LOG.name, 7, bytes(32)).encode()
NOTE = sign(TEXT, LOG.name, SEED)
EXAMPLE = f"""
# The example of C2SP tlog-policy.
log {LOG} https://log.example/
witness X1 {KEYS["X1"]}
  witness X2\t{KEYS["X2"]}  https://x2.example/
witness X3 {KEYS["X3"]}
group X-witnesses 2 X1 X2 X3
witness Y1 {KEYS["Y1"]}
witness Y2 {KEYS["Y2"]}
witness Y3 {KEYS["Y3"]}
group Y-witnesses any Y1 Y2 Y3
group X-and-Y all X-witnesses Y-witnesses
quorum X-and-Y
""".encode()


def cosigned(*names: str) -> bytes:
    lines = [cosign(TEXT, AT + at, KEYS[name].name, SEEDS[name]) for at, name in enumerate(names)]
    return NOTE + b"".join(lines)


@pytest.mark.parametrize(
    ("names", "met"),
    [
        (["X1", "X2", "Y1"], True),
        (["X1", "X2", "X3", "Y1", "Y2", "Y3"], True),
        (["X1", "X2"], False),
        (["X1", "Y1", "Y2", "Y3"], False),
        ([], False),
    ],
)
def test_the_example_of_the_specification_counts_by_groups(names: list[str], met: bool) -> None:
    verdict = Policy.parse(EXAMPLE).check(cosigned(*names))
    assert verdict.checkpoint.size == 7
    assert verdict.log == LOG
    assert verdict.cosigned == {name: AT + at for at, name in enumerate(names)}
    assert verdict.quorum_met is met


def test_a_policy_reads_back() -> None:
    policy = Policy.parse(EXAMPLE)
    assert Policy.parse(policy.encode()) == policy
    assert policy.urls == {LOG: "https://log.example/", KEYS["X2"]: "https://x2.example/"}
    odd = EXAMPLE.replace(b" X1", b" X\xff").replace(b" X2", " é".encode())
    assert Policy.parse(Policy.parse(odd).encode()).groups["X-witnesses"].needed == 2


def test_a_witness_counts_once_and_by_its_latest_time() -> None:
    policy = Policy.of([LOG], {name: KEYS[name] for name in ("X1", "X2")}, 2)
    note = cosigned("X1", "X1", "X1")
    verdict = policy.check(note)
    assert verdict.cosigned == {"X1": AT + 2}
    assert not verdict.quorum_met
    assert policy.check(cosigned("X2", "X1")).quorum_met


def test_without_a_quorum_a_log_alone_is_enough() -> None:
    policy = Policy.of([LOG], {}, 0)
    assert policy.check(NOTE).quorum_met
    assert policy.encode() == f"log {LOG}\nquorum none\n".encode()


def test_a_checkpoint_of_no_known_log_is_not_trusted() -> None:
    others = Policy.of([VerifierKey(LOG.name, LOG_KEY, bytes(32))], {"X1": KEYS["X1"]}, 1)
    with pytest.raises(NoteInvalid, match="no log of the policy"):
        others.check(cosigned("X1"))
    with pytest.raises(NoteInvalid, match="no key that is known"):
        others.check(NOTE)
    # A log signs under its own origin, and under no other.
    foreign = sign(Checkpoint("log.example/b", 7, bytes(32)).encode(), LOG.name, SEED)
    with pytest.raises(NoteInvalid, match="under its origin"):
        Policy.of([LOG], {}, 0).check(foreign)


@pytest.mark.parametrize(
    ("members", "threshold", "quorum", "tolerated"),
    [(3, 2, 2, 0), (5, 3, 4, 1), (5, 4, 4, 2), (1, 1, 1, 0), (3, 1, 3, 0), (2, 2, 1, 0)],
)
def test_the_default_quorum_meets_every_threshold(
    members: int, threshold: int, quorum: int, tolerated: int
) -> None:
    assert Policy.default_quorum(members, threshold) == quorum
    assert Policy.tolerated(members, threshold, quorum) == tolerated


A, B = KEYS["X1"], KEYS["X2"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        f"log {LOG}",
        "quorum none\nquorum none",
        "quorum X",
        f"quorum X\nwitness X {A}",
        f"log {A}\nquorum none",
        f"witness X {LOG}\nquorum X",
        "log\nquorum none",
        f"log {LOG} u v\nquorum none",
        f"log {LOG}\nlog {LOG}\nquorum none",
        f"witness X {A}\nwitness Y {A}\nquorum X",
        f"witness X {A}\nwitness X {B}\nquorum X",
        f"witness X {A}\nwitness Y {witness_key('other', SEEDS['X1'])}\nquorum X",
        f"log {LOG}\nwitness X {witness_key('w', SEED)}\nquorum X",
        f"witness none {A}\nquorum none",
        f"witness X {A}\ngroup G 1 none\nquorum G",
        f"witness X {A}\ngroup X 1 X\nquorum X",
        f"witness X {A}\ngroup G 1 G\nquorum G",
        f"witness X {A}\ngroup G 1\nquorum G",
        f"witness X {A}\ngroup G 0 X\nquorum G",
        f"witness X {A}\ngroup G 2 X\nquorum G",
        f"witness X {A}\ngroup G 1 X X\nquorum G",
        f"witness X {A}\ngroup G 1 X\ngroup H 1 X\nquorum G",
        f"witness X {A}\ngroup G \u0661 X\nquorum G",
        f"witness X {A}\ngroup G some X\nquorum G",
        f"witness X {A}\ngroup G 1 Y\nquorum G",
        f"witness X {A}x\nquorum X",
        "log vkey\nquorum none",
        "quorum none\nmirror x",
        "quorum none\r",
        "quorum\u00a0none",
        "quorum none\x7f",
        "#" + "x" * (300 << 10) + "\nquorum none",
    ],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(PolicyInvalid):
        Policy.parse(text.encode())
    with pytest.raises(PolicyInvalid):
        Policy.parse(text.encode() + b"\n")


def test_a_policy_that_nobody_can_meet_is_not_made() -> None:
    with pytest.raises(PolicyInvalid, match="from 1 to 1"):
        Policy.of([LOG], {"X1": A}, 2)


def test_a_policy_of_too_many_keys_is_refused() -> None:
    lines = [f"witness w{at} {witness_key('w', at.to_bytes(32, 'big'))}\n" for at in range(257)]
    with pytest.raises(PolicyInvalid, match="more than 256 keys"):
        Policy.parse("".join([*lines, "quorum none\n"]).encode())


def test_a_policy_of_too_many_groups_is_refused() -> None:
    lines = [f"witness w0 {A}\n", *(f"group w{at} 1 w{at - 1}\n" for at in range(1, 258))]
    assert Policy.parse("".join([*lines[:257], "quorum w256\n"]).encode()).groups
    with pytest.raises(PolicyInvalid, match="more than 256 groups"):
        Policy.parse("".join([*lines, "quorum none\n"]).encode())
