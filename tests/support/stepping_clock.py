"""A clock that stands still until a test moves it, forwards or back."""

from datetime import UTC, datetime, timedelta


class SteppingClock:
    """Tells the time it was set to; begins at the real one, so that files are not of the future."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.at.timestamp()

    def step(self, **much: float) -> None:
        """Move it by days, hours, minutes."""
        self.at += timedelta(**much)
