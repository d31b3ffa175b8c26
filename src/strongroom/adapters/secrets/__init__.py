"""How secrets lie on this machine's disk: sealed, under a key that lies elsewhere."""
