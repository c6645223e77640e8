"""A server of Konigle's words that is not the bottleneck: it answers from memory.

python _server.py

    /N/cloud/api/v1/computers        a page of N computers, whatever page was asked for
    /N/cloud/api/v1/computers/ID     one computer
    POST /N/cloud/api/v1/spaces/...  swallows a body and answers as a deploy does
"""

import contextlib
import json
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

_BLOCK = 1024 * 1024
_DISCARD = socket.MSG_TRUNC if sys.platform == "linux" else 0
_HEADERS = b"Content-Type: application/json\r\nServer: bench\r\nConnection: keep-alive\r\n"


def computer(number: int) -> dict[str, object]:
    return {
        "id": str(7300000000000000000 + number),
        "name": f"box-{number}",
        "display_name": f"Box {number}",
        "size": "M",
        "region": "singapore",
        "status": "ready",
        "emoji": "",
        "public_ip": "203.0.113.10",
        "created_at": "2026-01-15T09:00:01.123Z",
    }


def page(count: int) -> bytes:
    items = [computer(number) for number in range(count)]
    whole = {"count": count, "next": None, "previous": None, "payload": items, "num_pages": 1}
    return reply(json.dumps(whole, separators=(",", ":")).encode())


def reply(body: bytes, status: bytes = b"200 OK") -> bytes:
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return b"HTTP/1.1 " + status + b"\r\n" + _HEADERS + length + body


PAGES = {count: page(count) for count in (1, 1000, 10_000)}
ONE = reply(json.dumps(computer(1)).encode())
DEPLOYMENT = reply(
    json.dumps(
        {
            "id": "d9999cdc-9ebe-5bb9-a42b-c267e247c200",
            "display_name": "deploy-1",
            "space_id": "7300000000000000003",
            "job_id": "e6793f27-0e1d-5664-855c-582b7f9dd613",
            "created_at": "2026-01-15T09:00:08Z",
        }
    ).encode(),
    b"201 Created",
)


def serve(connection: socket.socket) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    received = b""
    scratch = bytearray(_BLOCK)
    with connection:
        while True:
            while b"\r\n\r\n" not in received:
                data = connection.recv(65536)
                if not data:
                    return
                received += data
            head, _, received = received.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            left = int(length[1]) if length else 0
            received, left = received[left:], max(0, left - len(received))
            while left:  # the system throws the bytes away without copying them
                left -= connection.recv_into(scratch, min(left, _BLOCK), _DISCARD)
            connection.sendall(answer(head))


def answer(head: bytes) -> bytes:
    match = re.match(rb"(\w+) /(\d+)/cloud/api/v1/(computers|spaces)(/[^ ?]*)?(?:\?\S*)? ", head)
    if match is None:
        return reply(b"{}", b"404 Not Found")
    if match[1] == b"POST":
        return DEPLOYMENT
    return ONE if match[4] else PAGES[int(match[2])]


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Start the server in a process of its own and give its address."""
    with subprocess.Popen(
        [sys.executable, __file__], stdout=subprocess.PIPE, stdin=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(process.stdout.readline())}"
        finally:
            process.kill()


def main() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
