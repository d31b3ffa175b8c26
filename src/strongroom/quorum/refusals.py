"""Why a custodian refuses an act, each reason with a code of its own.

Whoever asks, a test of an attack too, tells them apart by the code and never by the words. The
codes travel; they are never used again for another reason.
"""

from strongroom.errors import Refused, Waiting


class NoPolicy(Refused):
    """A custodian that has pinned no team policy yet."""

    code = "no_policy"


class OtherPolicy(Refused):
    """A policy, or a request under one, that is not the one that is pinned."""

    code = "other_policy"
    hint = (
        "A request is judged by the policy that the custodians have pinned: see with `strongroom "
        "policy show` who follows another one, finish `strongroom policy change`, and ask again."
    )


class ForgedApproval(Refused):
    """An approval whose signature its approver did not make."""

    code = "forged_approval"
    hint = "Somebody tries to have keys opened that nobody approved. Find out who."


class OtherRequest(Refused):
    """An approval of another request: the same with one parameter changed is another one."""

    code = "other_request"


class NotAnApprover(Refused):
    """An approval of somebody whom the policy does not name."""

    code = "not_an_approver"


class NotApproved(Refused):
    """Too few approvals."""

    code = "not_approved"
    hint = "`strongroom procedure show` tells who has approved and how many are needed."


class Vetoed(Refused):
    """An approver has refused; no approval outweighs that."""

    code = "vetoed"
    hint = "Talk to who refused. What is still wanted is asked for again, as a new request."


class NoGrant(Refused):
    """A request for keys that carries no grant."""

    code = "no_grant"


class OtherInstall(Refused):
    """A request of another install."""

    code = "other_install"


class OtherAct(Refused):
    """What is asked for is not what was approved: another request, procedure or client."""

    code = "other_act"


class OtherSnapshot(Refused):
    """The keys of another snapshot are asked for than those that were approved."""

    code = "other_snapshot"


class OtherRecipient(Refused):
    """The answer would be sealed to another key than the one that was approved."""

    code = "other_recipient"
    hint = "Somebody tries to have the answer for themselves. Ask again, and find out who."


class RequestUsed(Refused):
    """A request that was answered already, to another question."""

    code = "request_used"


class Unannounced(Refused):
    """The leaf does not announce exactly this request with these approvals."""

    code = "unannounced"


class UnknownLog(Refused):
    """A log that this custodian does not witness as a client's."""

    code = "unknown_log"


class NotInLog(Refused):
    """The checkpoint does not hold the leaf, or its log did not sign it."""

    code = "not_in_log"


class TooFewWitnesses(Refused):
    """Too few custodians have cosigned the checkpoint."""

    code = "too_few_witnesses"
    hint = "Bring custodians back: `strongroom status` names those that do not answer."


class ForkedLog(Refused):
    """The checkpoint and what this custodian saw of the log cannot both be true."""

    code = "forked_log"
    hint = "Somebody shows the custodians two logs. Keep both and find out who."


class LogMoved(Refused):
    """This custodian has seen more, or less, of the log than the checkpoint, and lacks a proof."""

    code = "log_moved"


class OtherLog(Refused):
    """A log that is not the one in which this client's keys were announced so far."""

    code = "other_log"
    hint = "Only a `recovery` begins to use another log for a client."


class Unheard(Refused):
    """A recovery of which too few custodians have been told."""

    code = "unheard"
    hint = "Bring custodians back: `strongroom status` names those that do not answer."


class NotRecovered(Refused):
    """A new writer of a client, without an approved recovery of that client."""

    code = "not_recovered"
    hint = "Only a server that recovers needs one; where none does, find out who asked."


class ClockOff(Refused):
    """What was witnessed is too old by this custodian's clock."""

    code = "clock_off"
    hint = "Set the clocks right, there and here; then ask again."


class TooEarly(Refused):
    """A request that does not begin yet."""

    code = "too_early"


class Expired(Refused):
    """A request whose time is over."""

    code = "expired"
    hint = "Ask again: a request that was not used in its time is never used."


class ErasedClient(Refused):
    """A client whose keys a custodian has destroyed."""

    code = "erased_client"
    hint = (
        "`strongroom client list` names the clients that are erased; `client show` tells by whom."
    )


class VetoTime(Waiting):
    """A request that is approved, and waits for a veto as long as its rule says."""

    code = "veto_time"
    hint = "Run the same command again after that; any approver may refuse until then."
