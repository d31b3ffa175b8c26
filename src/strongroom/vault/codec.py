"""Zstandard, once per thread: its contexts are costly to make and not to be shared."""

import threading
from typing import Final

import zstandard

from strongroom.crypto.hashing import Bytes
from strongroom.errors import Damaged

LEVEL: Final = 3


class Zstandard(threading.local):
    """Compresses and decompresses; each thread that uses it gets contexts of its own."""

    def __init__(self) -> None:
        super().__init__()
        self._compressor = zstandard.ZstdCompressor(level=LEVEL)
        self._decompressor = zstandard.ZstdDecompressor()

    def compress(self, data: Bytes) -> bytes:
        """Return one frame that names its content size."""
        return self._compressor.compress(data)

    def decompress(self, data: Bytes, most_bytes: int) -> bytes:
        """Return what one frame holds; raises Damaged before it takes memory for more."""
        try:
            size = zstandard.get_frame_parameters(data).content_size
            if size > most_bytes:
                raise Damaged("compressed bytes are malformed", f"they claim {size} bytes")
            return self._decompressor.decompress(
                data, max_output_size=most_bytes, allow_extra_data=False
            )
        except zstandard.ZstdError as err:
            raise Damaged("compressed bytes are malformed", str(err)) from err
