"""The arithmetic of parity, by a library that only vaults with parity load."""
