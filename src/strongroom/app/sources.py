"""Opening what is backed up, and the places where it comes back."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from strongroom import settings as settings_file
from strongroom.app.plugs import plug
from strongroom.clients import ClientSource, parse_source_url
from strongroom.clock import Clock
from strongroom.errors import Damaged, UsageError
from strongroom.ids import Token
from strongroom.locations import parse_location_url
from strongroom.operations.credentials import Secrets, password_name
from strongroom.operations.deployment import CommandPlace, DatabasePlace, Place, TargetOptions
from strongroom.settings import Settings
from strongroom.vault import Source, Target

TARGET_KINDS: Final = ("sqlite", "tree", "file", "postgresql", "command")
STREAM_KINDS: Final = ("file", "command")


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources and targets of one home."""

    settings: Settings
    secrets: Secrets
    clock: Clock
    token: Token

    def source(self, source: ClientSource, places: Iterable[str]) -> Source:
        """Open a source; the folders of these locations' URLs are left out of it."""
        opened: Source
        if source.kind == "postgresql":
            name = password_name(source)
            password = self.secrets.read(name).decode() if self.secrets.has(name) else None
            server = plug("postgres_place").parse(source.url, password)
            opened = plug("source.postgresql")(server, self._dump_plan())
            return opened
        url = parse_source_url(source.url)
        if source.kind == "command" and url.arguments:
            opened = plug("source.command")(url.arguments, self.clock)
            return opened
        path = url.path
        if source.kind == "sqlite":
            spool = plug("spool_plan")(self.settings.spool, self.clock, self.token)
            opened = plug("source.sqlite")(path, spool)
        elif source.kind == "tree":
            # A backup of the home or of a location would contain itself.
            own = [bytes(self.settings.home), bytes(self.settings.key_file)]
            own += [
                os.fsencode(place.place)
                for place in map(parse_location_url, places)
                if place.scheme == "file"
            ]
            opened = plug("source.tree")(path, self.clock, frozenset(own))
        elif source.kind == "file":
            opened = plug("source.file")(path, self.clock)
        else:
            raise UsageError(f"{source.name} is of an unknown kind", source.kind)
        return opened

    def _dump_plan(self) -> Any:
        folders = self.settings.tool_folders or (
            *settings_file.path_folders(),
            *plug("tool_folders")(),
        )
        return plug("dump_plan")(self.settings.spool, self.token, folders)

    def target(
        self, kind: str, place: Place, options: TargetOptions, only: Sequence[str]
    ) -> Target:
        """Open a place for a source of this kind, or for these paths or tables of it."""
        if kind not in TARGET_KINDS:
            raise Damaged(f"a snapshot holds a source of an unknown kind {kind!r:.40}")
        target: Target
        if isinstance(place, DatabasePlace):
            if kind != "postgresql":
                raise UsageError(
                    "only a PostgreSQL source can be restored into a database of a server",
                    f"this source is of kind {kind}",
                    hint="Name a folder or a file with --to.",
                )
            server = plug("postgres_place").parse(place.url, place.password)
            target = plug("target.postgresql_database")(
                server, self._dump_plan(), options.privileged, only
            )
            return target
        if isinstance(place, CommandPlace):
            if kind not in STREAM_KINDS:
                raise UsageError(
                    "only one stream of bytes can be restored to a command",
                    f"this source is of kind {kind}",
                    hint="Name a folder or a file with --to.",
                )
            target = plug("target.command_stdin")(place.arguments, str(place), self.clock)
            return target
        how = (options.overwrite, options.privileged)
        if kind in ("sqlite", "postgresql"):
            target = plug(f"target.{kind}")(place, self.token, *how, only)
        else:
            target = plug(f"target.{kind}")(place, self.token, *how)
        return target
