"""Transport: mutual TLS 1.3 between our own processes, under our own authority (transport-v1).

An authority signs for each peer a badge that is valid for a day; both ends of a connection show
one, and who the other end is comes from it and from nothing else. What asks is a `Link`; what
answers is a listener, which the plug board hands out, because only those who serve pay for loading
a server.
"""

from strongroom.transport.authority import Authority
from strongroom.transport.badge import Badge
from strongroom.transport.link import Link
from strongroom.transport.meeting import Joining
from strongroom.transport.messages import Request, Response
from strongroom.transport.peer import Peer

__all__ = [
    "Authority",
    "Badge",
    "Joining",
    "Link",
    "Peer",
    "Request",
    "Response",
]
