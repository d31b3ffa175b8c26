"""The ceiling: zstd level 3 and AES-256-GCM alone, on the same bytes, on two threads.

No backup program that compresses and seals all it reads can be faster on the same two cores. What
it leaves out is all the rest: cutting, hashing, checking what was sealed, writing, syncing.
"""

import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import local

import msgspec
import zstandard
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

BLOCK_BYTES = 512 << 10
HELD_BLOCKS = 256
THREADS = 2
LEVEL = 3
_NONCE = bytes(12)


class _Tools(local):
    """What each thread needs for itself."""

    def __init__(self) -> None:
        self.compressor = zstandard.ZstdCompressor(level=LEVEL)
        self.decompressor = zstandard.ZstdDecompressor()


def measure(root: Path) -> dict[str, float]:
    """Return the seconds that sealing and opening every byte below `root` take, and the size."""
    tools = _Tools()
    # One nonce for all blocks: what is sealed here is opened a moment later and thrown away.
    cipher = AESGCM(os.urandom(32))

    def seal(block: bytes) -> bytes:
        return cipher.encrypt(_NONCE, tools.compressor.compress(block), None)

    def unseal(sealed: bytes) -> int:
        return len(tools.decompressor.decompress(cipher.decrypt(_NONCE, sealed, None)))

    totals = {"first_seconds": 0.0, "restore_seconds": 0.0, "stored_bytes": 0.0}
    with ThreadPoolExecutor(THREADS) as pool:
        for blocks in _portions(root):
            start = time.perf_counter()
            sealed = list(pool.map(seal, blocks))
            middle = time.perf_counter()
            opened = sum(pool.map(unseal, sealed))
            totals["restore_seconds"] += time.perf_counter() - middle
            totals["first_seconds"] += middle - start
            totals["stored_bytes"] += sum(map(len, sealed))
            if opened != sum(map(len, blocks)):
                raise ValueError("what was opened is not as long as what was sealed")
    return totals


def _portions(root: Path) -> Iterator[list[bytes]]:
    """Yield blocks of all files end to end, some hundred at a time."""
    blocks: list[bytes] = []
    held = bytearray()
    for path in sorted(root.rglob("*")):
        if not path.is_file():
            continue
        with path.open("rb") as file:
            while data := file.read(BLOCK_BYTES):
                held += data
                if len(held) >= BLOCK_BYTES:
                    blocks.append(bytes(held[:BLOCK_BYTES]))
                    del held[:BLOCK_BYTES]
                if len(blocks) == HELD_BLOCKS:
                    yield blocks
                    blocks = []
    if held:
        blocks.append(bytes(held))
    if blocks:
        yield blocks


if __name__ == "__main__":
    print(msgspec.json.encode(measure(Path(sys.argv[1]))).decode())
