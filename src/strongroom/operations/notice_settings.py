"""Settings that somebody changed with an editor: the next command tells of it.

Of the settings only those count that decide what is deleted, and when.
"""

from strongroom.clients import Keep
from strongroom.errors import UsageError
from strongroom.ids import InstallId
from strongroom.operations.deployment import Tools
from strongroom.operations.privacy import Author


def notice_settings(tools: Tools, author: Author, install: InstallId) -> None:
    """Record the settings where they are not those that were recorded last."""
    keep, hours = _keep(tools), int(tools.wait.total_seconds()) // 3600
    now = {"keep": keep or "", "prune_wait_hours": str(hours)}
    before = author.registry.settings()
    if now == before:
        return
    known = before.get("prune_wait_hours")
    fact = author.session.fact(
        "settings.changed",
        install,
        keep=keep,
        keep_before=before.get("keep") or None,
        prune_wait_hours=hours,
        prune_wait_hours_before=None if known is None else int(known),
    )
    author.registry.set_settings(now, fact)


def _keep(tools: Tools) -> str | None:
    """Return the keep policy of new clients as it is written, or None where it is none."""
    try:
        return str(Keep.parse(tools.keep))
    except UsageError:
        # Who adds a client is told.
        return None
