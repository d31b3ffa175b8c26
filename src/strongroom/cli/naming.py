"""Names for locations that were only given as URLs."""

from collections.abc import Sequence

from strongroom.errors import UsageError
from strongroom.locations import parse_location_url


def name_locations(urls: Sequence[str]) -> dict[str, str]:
    """Return a short name for each URL: its last part, with a number where two are alike."""
    named: dict[str, str] = {}
    for text in urls:
        url = str(parse_location_url(text))
        if url in named.values():
            raise UsageError(f"the location {url} is given twice")
        base = url.split("?", maxsplit=1)[0].rstrip("/").rpartition("/")[2].lower()
        safe = "".join(c if c.isalnum() and c.isascii() else "-" for c in base).strip("-")
        name = safe or "location"
        number = 2
        while name in named:
            name = f"{safe or 'location'}-{number}"
            number += 1
        named[name] = url
    return named
