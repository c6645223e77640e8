"""HTTP: what comes in on a socket, who may ask, and how replies leave."""

import itertools
import json
import re
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, unquote

from ._errors import ApiError, no_route
from ._programs import Answer, CrashedError, RetiredError
from ._project import Project
from ._routes import Content, Request, Stream, answer

TOKEN = "nimbus-0123456789"  # noqa: S105  # of a fake
"""What clients have to present where nothing else is said."""

_API = re.compile(r"/v1/projects/([^/]+)(/.*)")
_APPS = re.compile(r"/apps/([^/]+)/([^/]+)(/.*)?")
_RANGE = re.compile(r"bytes=(\d+)-")
_HEARTBEAT_S = 0.5
_OWN_HEADERS = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})

Headers = Sequence[tuple[str, str]]


class FakeCloud:
    """The cloud, on a free port of loopback; used as a context manager.

    Args:
        directory: For the files of apps that run.
        token: What clients have to present.

    Attributes:
        url: Where it listens.
        token: What clients have to present.
        requests: The method and path of every request, for tests to look at.
    """

    def __init__(self, directory: Path, *, token: str = TOKEN) -> None:
        self.token = token
        self.requests: list[str] = []
        self._directory = directory
        self._projects: dict[str, Project] = {}
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._server = _Server(self)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for project in self._projects.values():
            project.close()

    def project(self, name: str) -> Project:
        """Return a project, which is there as soon as somebody asks for it."""
        with self._lock:
            if name not in self._projects:
                place = self._directory / f"project-{len(self._projects)}"
                self._projects[name] = Project(place)
            return self._projects[name]

    def next_id(self) -> str:
        """Return a name for a request."""
        return f"req-{next(self._numbers)}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, cloud: FakeCloud) -> None:
        self.cloud = cloud
        super().__init__(("127.0.0.1", 0), _Exchange)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away, and everything of anything else."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class _Exchange(BaseHTTPRequestHandler):
    """The requests of one connection."""

    server: _Server
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # head and body are two writes
    timeout = 60

    def _serve(self) -> None:
        cloud = self.server.cloud
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        path = self.path.partition("?")[0]
        cloud.requests.append(f"{self.command} {path}")
        if found := _APPS.fullmatch(path):
            self._call(found[1], found[2], found[3] or "/", body)
            return
        try:
            result = self._answer(path, body)
        except ApiError as exc:
            self._refuse(exc.status, exc.code, exc.message)
        except Exception as exc:  # noqa: BLE001  # a mistake in the fake, which has to be seen
            traceback.print_exc()
            place = traceback.extract_tb(exc.__traceback__)[-1]
            where = f"{Path(place.filename).name}:{place.lineno}"
            self._refuse(500, "fake_failed", f"{type(exc).__name__}: {exc} ({where} of the fake)")
        else:
            self._reply(result)

    do_GET = do_PUT = do_POST = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _serve  # noqa: N815  # the base class prescribes the names

    def _answer(self, path: str, body: bytes) -> Any:
        cloud = self.server.cloud
        if self.headers.get("Authorization") != f"Bearer {cloud.token}":
            raise ApiError(401, "unauthenticated", "the token is missing or wrong")
        found = _API.fullmatch(path)
        if found is None:
            raise no_route(path)
        request = Request(
            query=dict(parse_qsl(self.path.partition("?")[2], keep_blank_values=True)),
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        return answer(cloud.project(unquote(found[1])), self.command, unquote(found[2]), request)

    def _refuse(self, status: int, code: str, message: str) -> None:
        self._send(status, json.dumps({"error": {"code": code, "message": message}}).encode())

    def _reply(self, result: Any) -> None:
        if isinstance(result, Stream):
            self._stream(result)
        elif isinstance(result, Content):
            self._content(result)
        elif result is None:
            self._send(204, b"")
        else:
            self._send(200, json.dumps(result).encode())

    def _content(self, content: Content) -> None:
        """Send bytes, from where a lost download stopped if it is still the same content."""
        headers = {"Content-Type": "application/octet-stream", "ETag": content.etag}
        asked = _RANGE.fullmatch(self.headers.get("Range") or "")
        if asked is None or self.headers.get("If-Range") not in {None, content.etag}:
            self._send(200, content.body, headers)
            return
        start, size = int(asked[1]), len(content.body)
        if start >= size:
            self._send(416, b"", {"Content-Range": f"bytes */{size}"})
            return
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        self._send(206, content.body[start:], headers)

    def _stream(self, stream: Stream) -> None:
        """Send a log as lines of JSON while it is written, and why it ended."""
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        after = stream.after
        end: str | None = None
        try:
            while end is None:
                records, end = stream.log.wait(after, _HEARTBEAT_S)
                after += len(records)
                events: list[dict[str, Any]] = [{"record": record} for record in records]
                if end is not None:
                    events.append({"end": end})
                # An empty line shows that somebody is still there, to both sides.
                lines = b"".join(json.dumps(event).encode() + b"\n" for event in events) or b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(lines), lines))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.close_connection = True

    def _call(self, project: str, name: str, target: str, body: bytes) -> None:
        """Hand a request to an app, as the gateway before the apps does."""
        query = self.path.partition("?")[2]
        target += f"?{query}" if query else ""
        found = self.server.cloud.project(unquote(project))
        try:
            reply = _answer_of(found, unquote(name), self.command, target, self.headers, body)
        except ApiError as exc:
            self._send(exc.status, b"", {"X-Gateway-Error": exc.code})
        except CrashedError:
            self._send(502, b"", {"X-Gateway-Error": "crashed"})
        else:
            kept = [(k, v) for k, v in reply.headers if k.lower() not in _OWN_HEADERS]
            self._send(reply.status, reply.body, kept)

    def _send(
        self,
        status: int,
        body: bytes,
        headers: Mapping[str, str] | Headers = (("Content-Type", "application/json"),),
    ) -> None:
        self.send_response(status)
        pairs = headers.items() if isinstance(headers, Mapping) else headers
        for name, value in pairs:
            self.send_header(name, value)
        self.send_header("X-Request-Id", self.server.cloud.next_id())
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class's name
        """Say nothing."""


def _answer_of(
    project: Project, name: str, method: str, target: str, headers: Message, body: bytes
) -> Answer:
    """Let the app that serves now answer, also where it is replaced at this very moment."""
    while True:
        with project.lock:
            program = project.serving(name)
        try:
            return program.call(method, target, headers.items(), body)
        except RetiredError:
            continue
