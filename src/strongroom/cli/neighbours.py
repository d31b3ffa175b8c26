"""The custodians that `up` runs as processes beside a home: made, named to `init`, watched."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from strongroom.app import App
from strongroom.app.custodian_processes import CustodianProcesses
from strongroom.app.custodians import CustodianPlan, Custodians, NewCustodian
from strongroom.cli.face import Face
from strongroom.cli.init import kit_rows
from strongroom.clock import pause
from strongroom.crypto.join_code import JoinCode
from strongroom.errors import Refused, StrongroomError
from strongroom.ids import Token
from strongroom.operations.join_custodians import Invited

_LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The homes of so many custodians, beside the home that they are for."""

    app: App
    home: Path
    count: int

    @property
    def homes(self) -> dict[int, Path]:
        """Return where each custodian's home is, by its index."""
        return {
            index: self.home.with_name(f"{self.home.name}-{_name(index)}")
            for index in range(1, self.count + 1)
        }

    def make(self, keys: Path | None = None) -> list[NewCustodian]:
        """Make their homes, with key files in a folder or in this user's configuration."""
        custodians = Custodians(self.app.clock, self.app.token)
        address = _own_address(self.app.token)
        made: list[NewCustodian] = []
        try:
            for index, home in self.homes.items():
                key_file = keys / f"{home.name}.key" if keys is not None else None
                # Any port that is free at the first start, and that one from then on.
                plan = CustodianPlan(home, (address, 0), key_file=key_file, name=_name(index))
                made.append(custodians.make(plan))
        except BaseException:
            self.remove(made)
            raise
        return made

    def remove(self, made: Sequence[NewCustodian]) -> None:
        """Remove the homes that were just made, and no other, where nothing came of them."""
        for home, one in zip(self.homes.values(), made, strict=False):
            shutil.rmtree(home, ignore_errors=True)
            if one.key_file is not None:
                one.key_file.unlink(missing_ok=True)

    @property
    def confirm_command(self) -> str:
        """Return what to type to confirm the first one's kit."""
        return f"strongroom --home {self.homes[1]} custodian confirm-kit"

    def check_there(self) -> None:
        """Raise Refused where this home's custodians are not beside it."""
        for home in self.homes.values():
            if not home.is_dir():
                raise Refused(
                    f"the custodians of {self.home} are not processes beside it",
                    f"there is no {home.name}",
                    hint="Leave --separate out, or name another home.",
                )

    def run(self) -> CustodianProcesses:
        """Run them within a block."""
        return CustodianProcesses(self.homes)

    def invited(
        self, processes: CustodianProcesses, made: Sequence[NewCustodian]
    ) -> tuple[Invited, ...]:
        """Return where they wait, and by which codes they are joined."""
        return tuple(
            Invited(
                _name(index),
                "https://{}:{}".format(*processes.places[index]),
                JoinCode.parse(one.code),
            )
            for index, one in enumerate(made, start=1)
        )


def show_kits(face: Face, made: Sequence[NewCustodian]) -> list[dict[str, str]]:
    """Show the kits of custodians that were just made, which nobody shows again."""
    kits = {_name(index): one.words for index, one in enumerate(made, start=1)}
    for name, words in kits.items():
        face.say("", f"  Kit of {name}", *kit_rows(words))
    return [{"custodian": name, "words": " ".join(words)} for name, words in kits.items()]


def watch(processes: CustodianProcesses) -> None:
    """Wait until Ctrl-C; raises where a custodian has ended by itself."""
    try:
        while not (ended := processes.ended()):
            pause(_LOOK_SECONDS)
    except KeyboardInterrupt:
        return
    raise StrongroomError(
        f"{', '.join(map(_name, ended))} ended",
        "nobody asked for that here",
        hint="Run the same command again: it goes on where it was.",
    )


def _own_address(token: Token) -> str:
    """Draw an address of loopback.

    Everybody else's connections there begin at 127.0.0.1, so at this one a port stays free also
    while its custodian is down.
    """
    second, third, fourth = token(3)
    return f"127.{64 + second % 64}.{third}.{fourth}"


def _name(index: int) -> str:
    return f"custodian-{index}"
