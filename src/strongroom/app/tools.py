"""Every tool of one home, made from its settings and the plug board."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from strongroom.app.plugs import plug
from strongroom.app.sources import Sources
from strongroom.clients import ClientSource, History, parse_source_url
from strongroom.clock import Clock, pause
from strongroom.database import Database
from strongroom.errors import Damaged, Refused
from strongroom.ids import ClientId, InstallId, Token, VaultId, new_id
from strongroom.ledger import Disclosures
from strongroom.locations import Location, parse_location_url
from strongroom.operations.credentials import (
    Credential,
    Secrets,
    needs_credential,
    secret_name,
    unseal_credential,
)
from strongroom.operations.deployment import CustodianLinks, Probe, Tools
from strongroom.operations.device_key import DeviceKey
from strongroom.operations.disclosure_files import DisclosureFiles
from strongroom.operations.privacy import Privacy
from strongroom.settings import Settings, refuse_secrets

AUTHORITY = "authority"
"""The name of the secret that signs for every peer of an install."""


def make_tools(
    settings: Settings,
    clock: Clock,
    token: Token,
    acting: tuple[Disclosures.Origin, str],
    passphrase: Callable[[], str],
    agree: Callable[[str], None],
) -> Tools:
    """Return what operations may use of the world, for the home of these settings.

    `acting` is from where it is done, and the name of the person on whose behalf, or nothing.
    `passphrase` asks for that of the operator's key, where something is to be approved, and
    `agree` for a yes.
    """
    home = settings.home
    run = new_id(token)
    privacy = _privacy(settings, clock, token, run, acting)
    key_file = plug("key_file").open(settings.key_file)
    sealed = plug("sealed_files")(home / "secrets", key_file.derive("secrets"), token)
    sources = Sources(settings, sealed, clock, token)

    def custodian_folder(name: str, create: bool) -> tuple[Database, bytes]:
        folder = home / "custodians" / name
        if create:
            folder.mkdir(mode=0o700, exist_ok=True)
        elif not (folder / "custodian.db").exists():
            raise Refused(
                "it has no home on this machine",
                f"{folder.parent.name}/{folder.name} is not in {home}",
                hint="Put it back, or recover again with all kits into a new home.",
            )
        database: Database = plug("database")(folder / "custodian.db")
        return database, key_file.derive(name)

    return Tools(
        clock=clock,
        pause=pause,
        token=token,
        run=run,
        threads=settings.threads,
        keep=settings.keep,
        wait=timedelta(hours=settings.prune_wait_hours),
        key_file=settings.key_file,
        secrets=sealed,
        device=DeviceKey(sealed, passphrase, agree),
        history=_histories(home),
        index=_indexes(home),
        search_file=lambda client, anew: _search_file(home, client, anew),
        lock=lambda vault: _lock(home, vault, clock),
        source=sources.source,
        glance=_glance,
        target=sources.target,
        sweep=lambda: plug("sweep")(settings.spool),
        sweep_partial=_sweep_partial,
        location=_named_locations(sealed, token),
        location_as=lambda url, credential: open_location(url, credential, token),
        companion=lambda: plug("companion")("strongroom.cli.companion", home, privacy.behalf),
        file_system=plug("file_system"),
        parity_code=lambda: _made("parity_code"),
        custodian_home=lambda index, create: custodian_folder(f"custodian-{index}", create),
        custodian_folder=custodian_folder,
        links=_links(sealed, clock, token),
        probe=_probe(sealed, clock, token),
        machine_marks=plug("machine_marks"),
        privacy=privacy,
        forget_search=lambda: plug("remove_search_files")(home),
        holding=lambda words: _holding(home, words),
    )


def _named_locations(sealed: Secrets, token: Token) -> Callable[[str, str, bool], Location]:
    """Return what opens (or, with True, makes) a location; its name finds its credential."""

    def location(url: str, name: str, create: bool) -> Location:
        if parse_location_url(url).scheme == "file":
            found: Location = plug("directory")(url, token, create=create)
            return found
        store: Location = plug("object_store")(url, unseal_credential(sealed, secret_name(name)))
        return store

    return location


def open_location(url: str, credential: Credential | None, token: Token) -> Location:
    """Open a location with this credential, or with none."""
    if not needs_credential(url):
        directory: Location = plug("directory")(url, token)
        return directory
    store: Location = plug("object_store")(url, credential)
    return store


def _links(
    secrets: Secrets, clock: Clock, token: Token
) -> Callable[[InstallId, bool], CustodianLinks]:
    def opened(install: InstallId, create: bool) -> CustodianLinks:
        if create and not secrets.has(AUTHORITY):
            secrets.write(AUTHORITY, plug("authority").create(install, clock.now(), token).secret)
        made: CustodianLinks = plug("custodian_links")(
            install, secrets.read(AUTHORITY), clock, token
        )
        return made

    return opened


def _probe(secrets: Secrets, clock: Clock, token: Token) -> Callable[[InstallId], Probe]:
    def made(install: InstallId) -> Probe:
        authority = plug("authority").open(install, secrets.read(AUTHORITY))
        probe: Probe = plug("probe")(authority, clock, token).custodian
        return probe

    return made


def _holding(home: Path, words: Collection[str]) -> list[str]:
    found: list[str] = plug("files_holding")(home, words)
    return found


def _made(name: str) -> Any:
    return plug(name)()


def _glance(source: ClientSource) -> int | None:
    if source.kind != "sqlite":
        return None
    found: int | None = plug("glance")(parse_source_url(source.url).path)
    return found


@contextmanager
def _lock(home: Path, vault: VaultId, clock: Clock) -> Iterator[None]:
    with plug("lock")(home / "run" / f"{vault}.lock", clock):
        yield


def _sweep_partial(place: Path) -> Sequence[Path]:
    aside: Sequence[Path] = plug("sweep_partial")(place)
    return aside


def _client_folder(home: Path, client: ClientId) -> Path:
    folder = home / "clients" / client
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def _histories(home: Path) -> Callable[[ClientId], AbstractContextManager[History]]:
    @contextmanager
    def opened(client: ClientId) -> Iterator[History]:
        database = plug("database")(_client_folder(home, client) / "client.db")
        try:
            yield History(database)
        finally:
            database.close()

    return opened


def _privacy(
    settings: Settings,
    clock: Clock,
    token: Token,
    run: str,
    acting: tuple[Disclosures.Origin, str],
) -> Privacy:
    origin, behalf = acting
    if behalf:
        Disclosures.check_name(behalf)
    days = settings.disclosure_days
    return Privacy(
        clock=clock,
        token=token,
        run=run,
        origin=origin,
        behalf=behalf,
        strict=refuse_secrets(),
        kept=timedelta(days=days) if days else None,
        files=DisclosureFiles(lambda client: _disclosures(settings.home, client)),
    )


def _disclosures(home: Path, client: ClientId | None) -> Disclosures:
    folder = home if client is None else _client_folder(home, client)
    database = None
    try:
        # It is synced before anything that it belongs to is signed.
        database = plug("database")(folder / "disclosures.db", durable=False)
        return Disclosures(database)
    except Damaged as err:
        if database is not None:
            database.close()
        err.hint = "Put the file aside: names and private values are lost, no fact and no proof."
        raise


def _search_file(home: Path, client: ClientId | None, anew: bool) -> Database:
    path = (home if client is None else _client_folder(home, client)) / "search.db"
    if anew:
        for end in ("", "-wal", "-shm"):
            path.with_name(path.name + end).unlink(missing_ok=True)
    # It is derived from the log, so its last commits may be lost.
    database: Database = plug("database")(path, durable=False)
    return database


def _indexes(home: Path) -> Callable[[ClientId], AbstractContextManager[Database]]:
    @contextmanager
    def opened(client: ClientId) -> Iterator[Database]:
        # The index can be rebuilt from the locations, so its last commits may be lost.
        database = plug("database")(_client_folder(home, client) / "index.db", durable=False)
        try:
            yield database
        finally:
            database.close()

    return opened
