"""Sealing, signing, hashing: the only room that knows `cryptography`, `blake3` and PyNaCl.

No primitive is made here. What is ours is small and pure: the framing of what gets hashed, the
one nonce rule (`sealing`), the envelope every signed object shares (`envelope`) and strict
arithmetic on secret scalars (`scalars`). Each has its page in docs/formats and its vectors.
"""
