"""The composition root: the only importer of adapters and settings.

`plugs` names every adapter, `tools` and `sources` make from them what operations use, `root` opens
and makes homes.
"""

from strongroom.app.plugs import plug
from strongroom.app.root import App

__all__ = ["App", "plug"]
