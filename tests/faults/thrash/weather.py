"""Bad weather: locations and custodians that are away for a time, databases that others hold."""

import random
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.faults.thrash.world import Spell, ThrashWorld


@dataclass(slots=True)
class Weather:
    """Takes things away for a time and brings them back."""

    world: ThrashWorld
    chance: random.Random
    stop: threading.Event

    def blow(self) -> None:
        """Go on until told to stop; what was taken is always brought back."""
        faults = (self._location_away, self._custodian_away, self._database_busy)
        while not self.stop.wait(self.chance.uniform(0.2, 3)):
            spell = Spell(time.monotonic())
            with self.world.lock:
                self.world.weather.append(spell)
            self.world.count(self.chance.choice(faults)(self.chance.uniform(0.2, 3)))
            spell.ended = time.monotonic()

    def _location_away(self, seconds: float) -> str:
        self._away(self.chance.choice(self.world.locations), seconds)
        return "times a location was away"

    def _custodian_away(self, seconds: float) -> str:
        self._away(self._custodian(), seconds)
        return "times a custodian was away"

    def _away(self, place: Path, seconds: float) -> None:
        aside = place.with_name(place.name + ".away")
        place.rename(aside)
        self.stop.wait(seconds)
        # Fails, and the test with it, where somebody made something in its place.
        aside.rename(place)

    def _custodian(self) -> Path:
        return self.world.home / "custodians" / f"custodian-{self.chance.randint(1, 3)}"

    def _database_busy(self, seconds: float) -> str:
        databases = [self._custodian() / "custodian.db", self.world.home / "server.db"]
        databases += sorted((self.world.home / "clients").glob("*/client.db"))
        path = self.chance.choice(databases)
        with closing(sqlite3.connect(path, isolation_level=None, timeout=60)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            self.stop.wait(seconds)
            connection.execute("ROLLBACK")
        return "times a database was held"
