"""Custodians that wait to be joined, as a command line names them."""

import sys
from collections.abc import Sequence

from strongroom.cli.face import Face, read_secret_file
from strongroom.crypto.join_code import JoinCode
from strongroom.errors import UsageError
from strongroom.operations.join_custodians import Invited


def read_invited(
    face: Face, custodians: Sequence[str], codes_file: str | None, option: str = "--join-codes"
) -> tuple[Invited, ...]:
    """Return the custodians that wait elsewhere, each with the join code that it showed.

    They are named NAME=URL; the codes are in the file that the option names, one a line, or asked
    for.
    """
    named = [one.partition("=") for one in custodians]
    for name, _, url in named:
        if not name or not url:
            raise UsageError(
                f"{name!r:.60} is no custodian that is elsewhere",
                "wanted NAME=https://HOST:PORT",
                hint="Its `serve` says where it listens.",
            )
    if not named:
        return ()
    if codes_file is not None:
        codes = read_secret_file(codes_file, "the join codes").split("\n")
        codes = [code for code in map(str.strip, codes) if code]
    elif sys.stdin.isatty() and not face.json:
        codes = [face.ask_secret(f"Join code of {name}") for name, _, _ in named]
    else:
        codes = []
    if len(codes) != len(named):
        raise UsageError(
            f"custodians named: {len(named)}; join codes given: {len(codes)}",
            "each custodian shows one where it runs, good for ten minutes",
            hint=f"Pass it with {option} FILE, or several one a line, or - for stdin.",
        )
    return tuple(
        Invited(name, url, JoinCode.parse(code))
        for (name, _, url), code in zip(named, codes, strict=True)
    )
