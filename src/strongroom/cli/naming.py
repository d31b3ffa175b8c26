"""Names for locations that were only given as URLs."""

import os
from collections.abc import Sequence
from urllib.parse import unquote

from strongroom.errors import UsageError
from strongroom.locations import parse_location_url

LENGTH_MAX = 40


def name_locations(urls: Sequence[str]) -> dict[str, str]:
    """Return a short name for each URL: its last part, with a number where two are alike."""
    named: dict[str, str] = {}
    for text in urls:
        # A folder may be named from where one stands; it is stored absolute.
        named_url = ":" in text.split("/", maxsplit=1)[0]
        url = str(parse_location_url(text if named_url or not text else os.path.abspath(text)))
        if url in named.values():
            raise UsageError(f"the location {url} is given twice")
        base = unquote(url.split("?", maxsplit=1)[0]).rstrip("/").rpartition("/")[2].lower()
        safe = "".join(c if c.isalnum() and c.isascii() else "-" for c in base).strip("-")
        safe = safe[:LENGTH_MAX]
        name = safe or "location"
        number = 2
        while name in named:
            name = f"{safe or 'location'}-{number}"
            number += 1
        named[name] = url
    return named
