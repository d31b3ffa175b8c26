"""The plug board: every adapter by name, loaded when it is first used.

The only lazy import in the house: a backup of a directory never loads an object store's client.
"""

import importlib
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

_PLUGS: Final[Mapping[str, str]] = {
    "database": "strongroom.adapters.database.sqlite:open_sqlite",
    "key_file": "strongroom.adapters.secrets.key_file:KeyFile",
    "sealed_files": "strongroom.adapters.secrets.key_file:SealedFiles",
    "lock": "strongroom.adapters.machine.lock:vault_lock",
    "files_holding": "strongroom.adapters.machine.home_files:files_holding",
    "remove_search_files": "strongroom.adapters.machine.home_files:remove_search_files",
    "attended": "strongroom.adapters.machine.attended:start_attended",
    "companion": "strongroom.adapters.machine.companion:start_companion",
    "custodian_links": "strongroom.adapters.custodians.links:CustodianLinks",
    "authority": "strongroom.transport:Authority",
    "bind": "strongroom.transport.listener:bind",
    "listener": "strongroom.transport.listener:Listener",
    "join_listener": "strongroom.transport.joining:JoinListener",
    "probe": "strongroom.transport.probing:Probe",
    "waiting": "strongroom.transport.joining:Waiting",
    "limits": "strongroom.transport.edge:Limits",
    "custodian_home": "strongroom.adapters.custodians.home:CustodianHome",
    "custodian_world": "strongroom.adapters.custodians.home:World",
    "serving": "strongroom.adapters.custodians.serving:Serving",
    "allowed": "strongroom.adapters.custodians.served:Allowed",
    "machine_marks": "strongroom.adapters.machine.marks:machine_marks",
    "keep.key-file": "strongroom.adapters.secrets.custodian_key:keep_in_key_file",
    "keep.passphrase": "strongroom.adapters.secrets.custodian_key:keep_under_passphrase",
    "keep.systemd-creds": "strongroom.adapters.secrets.custodian_key:keep_by_systemd",
    "take.key-file": "strongroom.adapters.secrets.custodian_key:open_key_file",
    "take.passphrase": "strongroom.adapters.secrets.custodian_key:open_under_passphrase",
    "take.systemd-creds": "strongroom.adapters.secrets.custodian_key:open_by_systemd",
    "directory": "strongroom.adapters.locations.directory:open_directory",
    "file_system": "strongroom.adapters.locations.directory:file_system_of",
    "object_store": "strongroom.adapters.locations.object_store:open_object_store",
    "parity_code": "strongroom.adapters.parity.raid6:Raid6",
    "absent": "strongroom.adapters.locations.absent:AbsentLocation",
    "sniff": "strongroom.adapters.sources.sniff:sniff",
    "glance": "strongroom.adapters.sources.sniff:glance",
    "sweep": "strongroom.adapters.sources.postgres_spool:sweep_spool_folders",
    "sweep_partial": "strongroom.adapters.sources.partial:sweep_partial",
    "spool_plan": "strongroom.adapters.sources.sqlite:SpoolPlan",
    "tool_folders": "strongroom.adapters.sources.postgres_tools:known_folders",
    "postgres_place": "strongroom.adapters.sources.postgres_connection:PostgresPlace",
    "wants_password": "strongroom.adapters.sources.postgres_connection:wants_password",
    "dump_plan": "strongroom.adapters.sources.postgres:DumpPlan",
    "find_program": "strongroom.adapters.sources.command_run:find_program",
    "source.sqlite": "strongroom.adapters.sources.sqlite:SqliteSource",
    "source.tree": "strongroom.adapters.sources.tree:TreeSource",
    "source.file": "strongroom.adapters.sources.tree:FileSource",
    "source.postgresql": "strongroom.adapters.sources.postgres:PostgresSource",
    "source.command": "strongroom.adapters.sources.command:CommandSource",
    "target.sqlite": "strongroom.adapters.sources.sqlite_target:SqliteTarget",
    "target.tree": "strongroom.adapters.sources.tree_target:TreeTarget",
    "target.file": "strongroom.adapters.sources.file_target:FileTarget",
    "target.command": "strongroom.adapters.sources.file_target:FileTarget",
    "target.command_stdin": "strongroom.adapters.sources.command_target:CommandTarget",
    "target.postgresql": "strongroom.adapters.sources.postgres_folder:PostgresFolderTarget",
    "target.postgresql_database": (
        "strongroom.adapters.sources.postgres_target:PostgresDatabaseTarget"
    ),
}


@cache
def plug(name: str) -> Any:
    """Return what the table names, loaded on first use."""
    module, _, attribute = _PLUGS[name].partition(":")
    return getattr(importlib.import_module(module), attribute)
