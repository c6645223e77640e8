"""A server that answers one request after the other as it was told, and keeps what arrived."""

import email.parser
import email.policy
import json
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit


@dataclass
class Answer:
    """What to answer: a status with a body, or nothing at all."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""
    """`hang` answers nothing until the server ends, `close` closes the connection."""

    @classmethod
    def of(cls, value: Any, status: int = 200, **headers: str) -> "Answer":
        return cls(status, json.dumps(value).encode(), headers)


@dataclass
class Part:
    """One part of a form."""

    name: str
    filename: str | None
    content_type: str | None
    content: bytes


@dataclass
class Arrived:
    """One request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    target: str = ""
    """The path and the query as they were sent."""

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def parts(self) -> list[Part]:
        head = f"Content-Type: {self.headers['content-type']}\r\n\r\n".encode()
        policy = email.policy.HTTP
        message = email.parser.BytesParser(policy=policy).parsebytes(head + self.body)
        return [
            Part(
                str(part.get_param("name", header="content-disposition")),
                part.get_filename(),
                part["content-type"],
                part.get_payload(decode=True),
            )
            for part in message.iter_parts()
        ]


class Peer:
    """The server. With an empty script it answers 200 and `{}`."""

    def __init__(self) -> None:
        self.arrived: list[Arrived] = []
        self.script: deque[Answer] = deque()
        self.default = Answer(200, b"{}")
        self.on_request: Callable[[Arrived], Answer | None] | None = None
        self.released = threading.Event()
        peer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # head and body leave together
            disable_nagle_algorithm = True

            def answer(self) -> None:
                peer._answer(self)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815  # the library's names

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, *answers: Answer) -> None:
        """Queue answers, one for each request."""
        self.script.extend(answers)

    def close(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(handler.path)
        body = b"".join(_body(handler))
        request = Arrived(
            handler.command,
            parts.path,
            dict(parse_qsl(parts.query, keep_blank_values=True)),
            {name.lower(): value for name, value in handler.headers.items()},
            body,
            handler.path,
        )
        self.arrived.append(request)
        answer = self.on_request(request) if self.on_request else None
        if answer is None:
            answer = self.script.popleft() if self.script else self.default
        if answer.fault == "hang":
            self.released.wait(30)
        if answer.fault:
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if answer.status not in {204, 304}:
            handler.send_header("Content-Length", str(len(answer.body)))
        handler.end_headers()
        if answer.status not in {204, 304}:
            handler.wfile.write(answer.body)


def _body(handler: BaseHTTPRequestHandler) -> Iterator[bytes]:
    if handler.headers.get("Transfer-Encoding") == "chunked":
        while size := int(handler.rfile.readline(), 16):
            yield handler.rfile.read(size)
            handler.rfile.readline()
        handler.rfile.readline()
    else:
        yield handler.rfile.read(int(handler.headers.get("Content-Length") or 0))


@contextmanager
def scripted_peer() -> Iterator[Peer]:
    """Give a server that listens on loopback."""
    peer = Peer()
    try:
        yield peer
    finally:
        peer.close()
