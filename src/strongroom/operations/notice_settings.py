"""Settings that somebody changed with an editor: the next command tells of it.

Of the settings only those count that decide what is deleted, and when.
"""

from collections.abc import Mapping

from strongroom.clients import Keep
from strongroom.errors import UsageError
from strongroom.ids import InstallId
from strongroom.operations.deployment import Tools
from strongroom.operations.privacy import Author


def notice_settings(tools: Tools, author: Author, install: InstallId) -> None:
    """Record the settings where they are not those that were recorded last."""
    keep, kept = _keep(tools), tools.privacy.kept
    now = {
        "keep": keep or "",
        "prune_wait_hours": str(int(tools.wait.total_seconds()) // 3600),
        "disclosure_days": str(0 if kept is None else kept.days),
    }
    before = author.registry.settings()
    if now == before:
        return
    fact = author.session.fact(
        "settings.changed",
        install,
        keep=keep,
        keep_before=before.get("keep") or None,
        prune_wait_hours=int(now["prune_wait_hours"]),
        prune_wait_hours_before=_number(before, "prune_wait_hours"),
        disclosure_days=int(now["disclosure_days"]),
        disclosure_days_before=_number(before, "disclosure_days"),
    )
    author.registry.set_settings(now, fact)


def _number(before: Mapping[str, str], name: str) -> int | None:
    return int(before[name]) if name in before else None


def _keep(tools: Tools) -> str | None:
    """Return the keep policy of new clients as it is written, or None where it is none."""
    try:
        return str(Keep.parse(tools.keep))
    except UsageError:
        # Who adds a client is told.
        return None
