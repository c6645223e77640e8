"""What the fault server answers to requests."""

import asyncio
import base64
import hashlib
import json
import re
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import msgspec

from ._echo import serve_websocket
from ._http import Incoming, Reply, Upgrade, json_reply

_KEPT_BYTES = 64 * 1024
_RANGE = re.compile(r"bytes=(\d+)-(\d*)")
_BORN = datetime(2026, 1, 1, tzinfo=UTC)
_MAX_PIECE_BYTES = 64 * 1024


class Received(msgspec.Struct, kw_only=True):
    """One request as it arrived."""

    method: str
    """Of the request."""

    target: str
    """Path and query as they were sent."""

    headers: dict[str, str]
    """By lower-case name."""

    size_bytes: int = 0
    """How much of the body arrived."""

    sha256: str = ""
    """Of a body that arrived to its end, in hexadecimal."""

    body: bytes = b""
    """The first 64 KiB of it."""

    complete: bool = False
    """Whether it arrived to its end."""


class Origin:
    """What the server knows: the requests that arrived, objects and uploads."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.received: list[Received] = []
        self.ranges = True
        self._objects: dict[str, tuple[bytes, int]] = {}
        self._uploads: dict[str, dict[int, bytes]] = {}
        self._made = 0
        self._replies: dict[tuple[str, str], Reply] = {}
        self._routes: list[tuple[str, Callable[..., Awaitable[Reply | Upgrade]]]] = [
            (r"/echo(?:/.*)?", self._echo),
            (r"/status/(\d{3})", self._status),
            (r"/slow", self._slow),
            (r"/objects", self._list_objects),
            (r"/objects/(.+)", self._object),
            (r"/uploads", self._begin_upload),
            (r"/uploads/(\d+)", self._upload),
            (r"/uploads/(\d+)/parts/(\d+)", self._part),
            (r"/websocket/(echo|stream|silent)", self._websocket),
        ]

    # What a program does with it ------------------------------------------------------------------

    def respond(self, method: str, path: str, reply: Reply) -> None:
        """Answer requests of this method and path so."""
        with self.changed:
            self._replies[method.upper(), path] = reply

    def put(self, name: str, content: bytes) -> str:
        """Make an object or replace it, and return its ETag."""
        with self.changed:
            version = self._objects[name][1] + 1 if name in self._objects else 1
            self._objects[name] = content, version
        return _etag(content)

    def get(self, name: str) -> bytes | None:
        """Return an object's content; `None` where there is no such object."""
        with self.changed:
            found = self._objects.get(name)
        return None if found is None else found[0]

    @property
    def uploads(self) -> dict[str, dict[int, bytes]]:
        """Uploads that were begun and neither completed nor aborted, with their parts."""
        with self.changed:
            return {name: dict(parts) for name, parts in self._uploads.items()}

    # What it answers ------------------------------------------------------------------------------

    async def answer(self, incoming: Incoming) -> Reply | Upgrade:
        """Remember a request and answer it."""
        received = Received(
            method=incoming.method, target=incoming.target, headers=incoming.headers
        )
        with self.changed:
            self.received.append(received)
            self.changed.notify_all()
        body = await self._take(incoming, received)
        with self.changed:
            planned = self._replies.get((incoming.method, incoming.path))
        if planned is not None:
            return planned
        for pattern, handler in self._routes:
            found = re.fullmatch(pattern, incoming.path, re.DOTALL)
            if found is not None:
                return await handler(incoming, received, body, *found.groups())
        return json_reply({"detail": f"there is no {incoming.path}"}, status=404)

    async def _take(self, incoming: Incoming, received: Received) -> bytes:
        """Read the body; only what is stored is kept as a whole."""
        digest = hashlib.sha256()
        stored = incoming.method == "PUT" and incoming.path.startswith(("/objects/", "/uploads/"))
        blocks = []
        async for block in incoming.blocks():
            digest.update(block)
            received.size_bytes += len(block)
            if len(received.body) < _KEPT_BYTES:
                received.body += block[: _KEPT_BYTES - len(received.body)]
            if stored:
                blocks.append(block)
        with self.changed:
            received.sha256 = digest.hexdigest()
            received.complete = True
            self.changed.notify_all()
        return b"".join(blocks) if stored else received.body

    async def _echo(self, incoming: Incoming, received: Received, body: bytes) -> Reply:
        said: Any = None
        if received.size_bytes <= _KEPT_BYTES:
            try:
                said = json.loads(body)
            except (ValueError, RecursionError):
                said = base64.b64encode(body).decode() or None
        return json_reply(
            {
                "method": incoming.method,
                "path": incoming.path,
                "query": incoming.query,
                "headers": incoming.headers,
                "size_bytes": received.size_bytes,
                "sha256": received.sha256,
                "body": said,
            }
        )

    async def _status(
        self, incoming: Incoming, _received: Received, _body: bytes, status: str
    ) -> Reply:
        headers = {}
        if "retry_after" in incoming.query:
            headers["Retry-After"] = incoming.query["retry_after"]
        return json_reply(
            {"detail": f"as asked for: {status}"}, status=int(status), headers=headers
        )

    async def _slow(self, incoming: Incoming, _received: Received, _body: bytes) -> Reply:
        size = int(incoming.query.get("bytes", "0"))
        piece = min(max(int(incoming.query.get("piece", "1024")), 1), _MAX_PIECE_BYTES)
        seconds = float(incoming.query.get("seconds", "0"))

        async def pieces() -> AsyncIterator[bytes]:
            for start in range(0, size, piece):
                if start:
                    await asyncio.sleep(seconds)
                yield bytes(number % 251 for number in range(start, min(start + piece, size)))

        length = None if "chunked" in incoming.query else size
        return Reply(
            body=pieces(), length=length, headers={"Content-Type": "application/octet-stream"}
        )

    # Objects --------------------------------------------------------------------------------------

    async def _list_objects(self, _incoming: Incoming, _received: Received, _body: bytes) -> Reply:
        with self.changed:
            return json_reply({name: len(content) for name, (content, _) in self._objects.items()})

    async def _object(
        self, incoming: Incoming, _received: Received, body: bytes, name: str
    ) -> Reply:
        if incoming.method == "PUT":
            return Reply(status=201, headers={"ETag": self.put(name, body)})
        with self.changed:
            found = self._objects.get(name)
            if incoming.method == "DELETE":
                self._objects.pop(name, None)
        if found is None:
            return json_reply({"detail": f"there is no object {name!r}"}, status=404)
        if incoming.method == "DELETE":
            return Reply(status=204)
        if incoming.method not in {"GET", "HEAD"}:
            return json_reply({"detail": "GET, HEAD, PUT or DELETE"}, status=405)
        return self._read_object(incoming, *found)

    def _read_object(self, incoming: Incoming, content: bytes, version: int) -> Reply:
        headers = {
            "Content-Type": "application/octet-stream",
            "ETag": _etag(content),
            "Last-Modified": format_datetime(_BORN.replace(minute=version % 60), usegmt=True),
            "Accept-Ranges": "bytes" if self.ranges else "none",
        }
        wanted = _RANGE.fullmatch(incoming.headers.get("range", ""))
        condition = incoming.headers.get("if-range")
        same = condition in {None, headers["ETag"], headers["Last-Modified"]}
        if wanted is None or not same or not self.ranges:
            return Reply(body=content, headers=headers)
        first = int(wanted[1])
        last = min(int(wanted[2] or len(content)), len(content) - 1)
        if first > last:
            headers["Content-Range"] = f"bytes */{len(content)}"
            return Reply(status=416, headers=headers)
        headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
        return Reply(status=206, body=content[first : last + 1], headers=headers)

    # Uploads in parts -----------------------------------------------------------------------------

    async def _begin_upload(self, incoming: Incoming, _received: Received, _body: bytes) -> Reply:
        if incoming.method != "POST":
            return json_reply({"detail": "POST"}, status=405)
        with self.changed:
            self._made += 1
            upload = str(self._made)
            self._uploads[upload] = {}
        return json_reply({"id": upload}, status=201)

    async def _part(
        self, incoming: Incoming, _received: Received, body: bytes, upload: str, number: str
    ) -> Reply:
        if incoming.method != "PUT":
            return json_reply({"detail": "PUT"}, status=405)
        with self.changed:
            if upload not in self._uploads:
                return json_reply({"detail": f"there is no upload {upload}"}, status=404)
            self._uploads[upload][int(number)] = body
        return Reply(headers={"ETag": _etag(body)})

    async def _upload(
        self, incoming: Incoming, _received: Received, body: bytes, upload: str
    ) -> Reply:
        """List the parts, abort, or make an object `name` of all the parts in the body."""
        with self.changed:
            parts = self._uploads.get(upload)
            if parts is None:
                return json_reply({"detail": f"there is no upload {upload}"}, status=404)
            if incoming.method == "GET":
                return json_reply([_described(number, parts[number]) for number in sorted(parts)])
            if incoming.method == "DELETE":
                del self._uploads[upload]
                return Reply(status=204)
        try:
            wanted = {int(part["number"]): part["etag"] for part in json.loads(body)}
        except (ValueError, TypeError, KeyError):
            return json_reply({"detail": "a list of number and etag is needed"}, status=400)
        if wanted != {number: _etag(content) for number, content in parts.items()}:
            return json_reply({"detail": "these are not the parts that are here"}, status=409)
        self.put(incoming.query.get("name", upload), b"".join(parts[n] for n in sorted(parts)))
        with self.changed:
            self._uploads.pop(upload, None)
        return json_reply({"name": incoming.query.get("name", upload)})

    # WebSocket ------------------------------------------------------------------------------------

    async def _websocket(
        self, _incoming: Incoming, _received: Received, _body: bytes, kind: str
    ) -> Upgrade:
        return Upgrade(lambda incoming, stream, rest: serve_websocket(incoming, stream, rest, kind))


def _etag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


def _described(number: int, content: bytes) -> dict[str, Any]:
    return {"number": number, "etag": _etag(content), "size_bytes": len(content)}
