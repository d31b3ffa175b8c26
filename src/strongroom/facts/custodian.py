"""What a custodian does, in its own journal; it signs for each of these."""

from typing import Final

from strongroom.facts.kinds import COUNT, HASH, ID, PUBLIC_KEY, many, one_of
from strongroom.facts.op import Op
from strongroom.facts.procedure import PROCEDURE

_CLIENT: Final = ("client", ID)

OPS: Final = (
    Op(
        "roster.adopted",
        "A",
        "update",
        "A custodian has pinned a roster.",
        ("roster", HASH),
        must={"version": COUNT},
    ),
    Op(
        "policy.adopted",
        "A",
        "update",
        "A custodian has pinned a team policy: by it alone it judges what is asked for.",
        ("policy", HASH),
        must={"version": COUNT},
    ),
    Op(
        "client.enrolled",
        "B",
        "create",
        "A custodian has made its key for a client, and pinned vault and writer.",
        _CLIENT,
        must={"vault": ID},
    ),
    Op(
        "client.keys_destroyed",
        "A",
        "delete",
        "A custodian has destroyed every key that it had for a client, the `entries` of its key "
        "table with them, and the `answers` that it had stored.",
        _CLIENT,
        must={"keys": COUNT, "entries": COUNT, "answers": COUNT},
    ),
    Op(
        "writer.succeeded",
        "A",
        "update",
        "A custodian has pinned a new writer of a client and revoked the others.",
        _CLIENT,
        must={"writer": ID},
    ),
    Op(
        "writers.adopted",
        "A",
        "update",
        "A custodian has learnt which writers others pinned while it was away.",
        _CLIENT,
        must={"count": COUNT},
    ),
    Op(
        "client.key_rotated",
        "A",
        "update",
        "A custodian has made a new key for what is dealt to a client from now on; what was dealt "
        "before still opens with former ones.",
        _CLIENT,
        must={"serial": COUNT},
    ),
    Op(
        "client.former_keys_dropped",
        "A",
        "delete",
        "A custodian has destroyed so many keys of a client that were rotated away before.",
        _CLIENT,
        must={"serial": COUNT, "dropped": COUNT},
    ),
    Op(
        "snapshot.receipted",
        "B",
        "create",
        "A custodian has signed for a snapshot.",
        ("snapshot", HASH),
        must={"vault": ID, "sequence": COUNT},
    ),
    Op(
        "share.released",
        "A",
        "read",
        "A custodian has journalled its answer to a request; then it left.",
        ("request", ID),
        must={"snapshot": HASH, "sessions": COUNT},
    ),
    Op(
        "share.repeated",
        "A",
        "read",
        "A custodian gave the answer that it had given to a request again, to the same recipient.",
        ("request", ID),
        must={"snapshot": HASH},
    ),
    Op(
        "share.reopened",
        "A",
        "read",
        "A custodian gave its shares of a session, of the keys object of this hash, to the process "
        "that deals it anew, as an order allows; then they left.",
        ("session", ID),
        must={"request": ID, "keys": HASH},
    ),
    Op(
        "share.reheld",
        "A",
        "update",
        "A custodian has signed that it holds shares of a session that was dealt anew.",
        ("session", ID),
        must={"request": ID, "keys": HASH},
    ),
    Op(
        "shares.proved",
        "C",
        "read",
        "Custodians were asked to open their shares of so many `sessions` again, drawn at random "
        "of those that a snapshot needs. Some `proved` it, by their index; some `failed`. Whoever "
        "did not answer is in neither list.",
        _CLIENT,
        must={"snapshot": HASH, "sessions": COUNT, "proved": many(COUNT), "failed": many(COUNT)},
    ),
    Op(
        "request.waits",
        "A",
        "update",
        "A custodian was asked for what is approved, and waits for a veto until then, in seconds "
        "since 1970.",
        ("request", ID),
        must={"until": COUNT},
    ),
    Op(
        "recovery.heard",
        "A",
        "update",
        "A custodian was told of a recovery that is approved, which begins to use this log, by the "
        "hash of its origin. None is answered before a quorum of custodians was told.",
        ("request", ID),
        must={"log": HASH},
    ),
    Op(
        "request.obeyed",
        "A",
        "update",
        "A custodian has done what was approved, and signed a deed, named by its hash; then it "
        "left.",
        ("request", ID),
        must={"procedure": PROCEDURE, "deed": HASH},
    ),
    Op(
        "request.vetoed",
        "A",
        "update",
        "A custodian was shown an approver's refusal: from then on it releases and does nothing "
        "for this request. What it did before is done.",
        ("request", ID),
    ),
    Op(
        "log.pinned",
        "A",
        "update",
        "A custodian takes this log, by the hash of its origin, for the one in which a client's "
        "keys are announced.",
        ("log", HASH),
    ),
    Op(
        "log.registered",
        "B",
        "create",
        "A custodian's witness takes a log under its eyes, and pins its key. The log is named by "
        "the hash of its origin.",
        ("log", HASH),
        must={"purpose": one_of("client", "server")},
    ),
    Op(
        "log.contradicted",
        "A",
        "detect",
        "A custodian's witness was shown a checkpoint that does not go on from what it saw last, "
        "of so many facts; it keeps both as evidence.",
        ("log", HASH),
        must={"size": COUNT},
    ),
    Op(
        "custodian.joined",
        "B",
        "create",
        "A custodian that is a process of its own has proved its join code, and has a badge. Where "
        "it had another server before, `authority` is the one that it believes from now on.",
        ("custodian", ID),
        must={"index": COUNT},
        may={"authority": HASH},
        private=frozenset({"url"}),
    ),
    Op(
        "custodian.handed_over",
        "A",
        "update",
        "Whoever runs a custodian let another server join it in the place of the last: it believes "
        "this authority from now on, by the hash of its certificate.",
        ("custodian", ID),
        must={"authority": HASH},
    ),
    Op(
        "custodian.newcomer",
        "B",
        "create",
        "A custodian was made, or joined, that is to take the seat of another; it holds nothing "
        "yet.",
        ("custodian", ID),
        must={"index": COUNT, "replaces": ID},
        private=frozenset({"url"}),
    ),
    Op(
        "custodian.dropped",
        "B",
        "delete",
        "A custodian that was to take a seat does not: nobody asks for it any more.",
        ("custodian", ID),
        must={"index": COUNT},
    ),
    Op(
        "roster.signed",
        "A",
        "create",
        "The operator has signed the next roster; it counts for a custodian that was ordered to "
        "follow it.",
        ("roster", HASH),
        must={"version": COUNT},
    ),
    Op(
        "custodian.seated",
        "A",
        "update",
        "A custodian has taken the seat of another: from the roster of this version on it is dealt "
        "to instead.",
        ("custodian", ID),
        must={"index": COUNT, "replaces": ID, "version": COUNT},
    ),
    Op(
        "custodian.witness_kept",
        "B",
        "update",
        "The server keeps the certificate of a custodian's witness key, to judge cosignatures by.",
        ("custodian", ID),
        must={"key": PUBLIC_KEY},
    ),
    Op(
        "kit.confirmed",
        "A",
        "update",
        "Somebody has typed words of a kit; its words were wiped.",
        ("custodian", ID),
    ),
    Op(
        "kit.sheet_written",
        "B",
        "update",
        "Somebody has said that the recovery sheet with a kit names this roster now.",
        ("custodian", ID),
        must={"roster": HASH},
    ),
)
