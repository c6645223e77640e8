"""What a proxy does once it has connected somebody."""

from __future__ import annotations

import select
import socket


def carry(one: socket.socket, other: socket.socket) -> None:
    """Carry bytes both ways until one side ends.

    One thread does both, since a TLS socket must not be read and written at the same moment.
    """
    while True:
        waiting = [] if getattr(one, "pending", int)() else [one, other]
        ready = select.select(waiting, [], [], 20)[0] if waiting else [one]
        for source, sink in ((one, other), (other, one)):
            if source in ready:
                try:
                    data = source.recv(65536)
                except OSError:
                    return
                if not data:
                    return
                sink.sendall(data)
