"""What every test runs under: no network, no long tests unless asked, examples that repeat.

Unit tests (the folders that mirror a room) open no socket. Contracts, faults and journeys, and what
is marked `loopback`, may use sockets of this machine, and nothing leaves it. An audit hook checks,
because Python reports every connect, bind and look-up to it.
"""

import os
import re
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.postgres_servers"]
# A shell lets what it starts in the background ignore Ctrl-C, and so would every process that a
# test starts and interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Where test data and further servers of PostgreSQL are, how long to thrash and to strike, and that
# every test is to leave its files on the disk, to be looked at.
KEPT_SETTINGS = {
    "STRONGROOM_MATRIX_SECONDS",
    "STRONGROOM_MATRIX_SEED",
    "STRONGROOM_ON_DISK",
    "STRONGROOM_POSTGRES",
    "STRONGROOM_SHARED",
    "STRONGROOM_THRASH_SECONDS",
    "STRONGROOM_THRASH_SEED",
}
BEYOND_UNITS = {"contracts", "faults", "journeys"}
LOOPBACK = {"::1", "localhost", "", None}
LOOPBACK_4 = re.compile(r"127(\.\d{1,3}){3}")
_AUDITED = {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"}
_rule: str | None = None


class NetworkRefusedError(RuntimeError):
    """A test tried to use a socket that its marks do not allow."""


def _audit(event: str, arguments: tuple[object, ...]) -> None:
    if _rule is None or event not in _AUDITED:
        return
    place = arguments[0] if event == "socket.getaddrinfo" else arguments[1]
    if isinstance(place, tuple):
        place = place[0]
    elif event != "socket.getaddrinfo":
        return  # A path or an abstract name: a socket between processes of this machine.
    if _rule == "loopback" and (place in LOOPBACK or LOOPBACK_4.fullmatch(str(place))):
        return
    raise NetworkRefusedError(
        f"{event} {place!r}: this test may use no socket, or only this machine's"
    )


sys.addaudithook(_audit)

# The gate is repeatable: the same examples on every run. The long run looks for new ones.
settings.register_profile(
    "fast",
    max_examples=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "long",
    max_examples=1000,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fast")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark that opens loopback sockets."""
    config.addinivalue_line("markers", "loopback: may use sockets of this machine")
    # A test must not depend on what the person who runs it has set up.
    for name in [name for name in os.environ if name.startswith("STRONGROOM_")]:
        if name not in KEPT_SETTINGS:
            del os.environ[name]
    # People's work goes on when a fact seems to hold a secret, with an alarm. A test fails.
    os.environ["STRONGROOM_REFUSE_SECRETS"] = "1"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked `long` unless the command line chose by mark itself."""
    if config.option.markexpr:
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Hold the test, its fixtures included, to the network its folder and marks allow."""
    global _rule  # noqa: PLW0603  # an audit hook has no other way to know which test runs
    folder = item.path.relative_to(Path(__file__).parent).parts[0]
    local = folder in BEYOND_UNITS or item.get_closest_marker("loopback")
    _rule = "loopback" if local else "none"
    try:
        return (yield)
    finally:
        _rule = None


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests counted: a long run shows what it did, wherever its process ran."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, line in report.user_properties:
                if name == "counts":
                    terminalreporter.write_line(str(line))
