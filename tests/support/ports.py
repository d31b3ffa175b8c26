"""Keeping a port for who comes back to it: nobody else is given it in between."""

import socket


def held(port: int) -> socket.socket:
    """Return a socket that holds a port, 0 for any, without listening: whoever connects is refused.

    Who reuses addresses, as listeners do, may bind the port all the same.
    """
    holding = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    holding.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holding.bind(("127.0.0.1", port))
    return holding
