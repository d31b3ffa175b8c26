"""What is noticed of the settings, which people change with an editor."""

from typing import Final

from strongroom.facts.kinds import COUNT, ID, KEEP
from strongroom.facts.op import Op

OPS: Final = (
    Op(
        "settings.changed",
        "A",
        "update",
        "The settings that decide what is deleted, and when, are others than the last command "
        "found. What was not set before has no value before; 0 `disclosure_days` are no limit.",
        ("install", ID),
        must={"prune_wait_hours": COUNT, "disclosure_days": COUNT},
        may={
            "keep": KEEP,
            "keep_before": KEEP,
            "prune_wait_hours_before": COUNT,
            "disclosure_days_before": COUNT,
        },
    ),
)
