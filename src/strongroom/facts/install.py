"""What happens to the install: it begins, it is recovered."""

from typing import Final

from strongroom.facts.kinds import COUNT, HASH, ID, one_of
from strongroom.facts.op import Op

_INSTALL: Final = ("install", ID)

OPS: Final = (
    Op(
        "install.begun",
        "A",
        "create",
        "`init` has made the home, the custodians and the roster.",
        _INSTALL,
        must={"custodians": COUNT, "threshold": COUNT},
    ),
    Op(
        "install.recovered",
        "A",
        "create",
        "`recover` has made a home anew from the locations and so many kits, or from custodians "
        "that live where there was none.",
        _INSTALL,
        must={"kits": COUNT, "threshold": COUNT},
    ),
    Op(
        "policy.signed",
        "A",
        "update",
        "There is a team policy: so many approvers, by mode, and so many custodians must cosign "
        "that keys are to be opened.",
        ("policy", HASH),
        must={
            "version": COUNT,
            "mode": one_of("single", "team"),
            "approvers": COUNT,
            "cosignatures": COUNT,
        },
    ),
    Op(
        "install.operator_changed",
        "A",
        "update",
        "Another person, or the same one under another pseudonym, operates the install.",
        _INSTALL,
        must={"operator": ID},
    ),
)
