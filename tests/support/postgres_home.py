"""A home that backs up databases of a test server, and programs that write to them meanwhile."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.first_home import FirstHome
from tests.support.postgres import SUPERUSER, SUPERUSER_PASSWORD, Postgres, tool_folder
from tests.support.transcript import Done, strongroom


def make_home(folder: Path, server: Postgres) -> FirstHome:
    """Make a home with two locations and the server's tools, a file `password`, and no client."""
    run("init", "--location", str(folder / "one"), "--location", str(folder / "two"))
    use_tools(folder, server.tools)
    (folder / "password").write_text(f"{SUPERUSER_PASSWORD}\n", encoding="utf-8")
    return FirstHome(folder)


def use_tools(folder: Path, *tools: Path) -> None:
    """Name these folders of tools, and no other, in the home's settings."""
    settings = folder / "home" / "strongroom.toml"
    lines = settings.read_text(encoding="utf-8").splitlines()
    listed = ", ".join(f'"{each}"' for each in tools)
    named = [f"tool_folders = [{listed}]" if "tool_folders" in one else one for one in lines]
    settings.write_text("\n".join(named), encoding="utf-8")


def run(*arguments: str, stdin: str = "") -> Done:
    """Run a command that must succeed."""
    done = strongroom(*arguments, stdin=stdin)
    assert done.code == 0, (arguments, done.err)
    return done


def url(server: Postgres, database: str) -> str:
    """Return the URL of a database for the superuser."""
    return f"postgresql://{SUPERUSER}@127.0.0.1:{server.place.port}/{database}?sslmode=disable"


@contextmanager
def pgbench(server: Postgres, database: str, folder: Path, *scripts: Path) -> Iterator[None]:
    """Let pgbench write, by its own transactions and these scripts, while the block runs."""
    tools = server.tools if (server.tools / "pgbench").exists() else tool_folder(18)
    environment = client_environment(folder)
    program = [str(tools / "pgbench"), "-h", "127.0.0.1", "-p", str(server.place.port)]
    program += ["-U", SUPERUSER, "-n"]
    subprocess.run(
        [*program, "-i", "-I", "dtgp", "-q", "-s", "1", database],
        env=environment,
        check=True,
        capture_output=True,
    )
    # At a measured pace, because the backup is to be tried and not the machine.
    paced = ["-T", "300", "-R", "200", "-c", "2", "-j", "1", "-b", "tpcb-like"]
    more = [word for script in scripts for word in ("-f", str(script))]
    words = folder / "pgbench.log"
    with (
        words.open("wb") as log,
        subprocess.Popen(
            [*program, *paced, *more, database],
            env=environment,
            stdout=log,
            stderr=log,
        ) as writing,
    ):
        try:
            yield
            # Whoever did not write until now has let the test down.
            assert writing.poll() is None, words.read_text("utf-8", "replace")
        finally:
            writing.kill()


def client_environment(folder: Path) -> dict[str, str]:
    """Return what PostgreSQL's own clients need to sign in."""
    passfile = folder / "pgpass"
    escaped = SUPERUSER_PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    passfile.write_text(f"*:*:*:*:{escaped}\n", encoding="utf-8")
    passfile.chmod(0o600)
    return {"PGPASSFILE": str(passfile), "LC_ALL": "C", "PATH": "/usr/bin:/bin"}
