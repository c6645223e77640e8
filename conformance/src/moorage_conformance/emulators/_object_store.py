"""Presigned URLs: an object store on an origin of its own, as clouds hand them out."""

import hashlib
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from aiohttp import web

from moorage.plugin import Clock

_PIECE_BYTES = 1024 * 1024


class _Grant(NamedTuple):
    """What one signature allows."""

    method: str
    key: str
    expires: float


class ObjectStore:
    """Objects as files, reachable by signed URLs alone.

    As the stores that clouds use, it refuses a request that carries credentials beside its
    signature, wants a length for what is put, and answers ranges.
    """

    def __init__(self, directory: Path, clock: Clock, origin: Callable[[], str]) -> None:
        """Prepare it.

        Args:
            directory: Holds the objects.
            clock: When a signature ends.
            origin: Where it is, once it listens.
        """
        self._directory = directory
        self._clock = clock
        self._origin = origin
        self._grants: dict[str, _Grant] = {}
        self._etags: dict[str, str] = {}

    # What the emulator does with it ---------------------------------------------------------------

    def sign(self, method: str, key: str, *, seconds: float = 3600.0) -> str:
        """Return a URL that allows one method on one object."""
        signature = secrets.token_hex(16)
        self._grants[signature] = _Grant(method, key, self._clock.monotonic() + seconds)
        return (
            f"{self._origin()}/objects/{key}?X-Amz-Expires={seconds:g}&X-Amz-Signature={signature}"
        )

    def expire(self) -> None:
        """Let every URL that was handed out so far be too old."""
        self._grants.clear()

    def path(self, key: str) -> Path | None:
        """Return the file of an object; `None` where there is none."""
        found = self._file(key)
        return found if found.is_file() else None

    def put(self, key: str, content: bytes) -> str:
        """Store an object and return its ETag."""
        self._file(key).write_bytes(content)
        self._etags[key] = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return self._etags[key]

    def new_file(self) -> Path:
        """Return a path for content that is on its way."""
        return self._directory / f"new-{secrets.token_hex(8)}"

    def adopt(self, key: str, file: Path, etag: str) -> None:
        """Make an object of a file that lies in the same place."""
        file.replace(self._file(key))
        self._etags[key] = etag

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is gone already."""
        self._file(key).unlink(missing_ok=True)
        self._etags.pop(key, None)

    def etag(self, key: str) -> str | None:
        """Return the MD5 digest of an object, in hexadecimal."""
        return self._etags.get(key)

    def _file(self, key: str) -> Path:
        return self._directory / hashlib.sha256(key.encode()).hexdigest()

    # What clients do with it ----------------------------------------------------------------------

    def application(self) -> web.Application:
        """Return the web application, for an origin of its own."""
        application = web.Application(client_max_size=0)
        application.router.add_put("/objects/{key:.+}", self._put)
        application.router.add_get("/objects/{key:.+}", self._get)
        return application

    def _refusal(self, request: web.Request) -> web.Response | None:
        if "Authorization" in request.headers:
            return _error(
                400, "InvalidArgument", "Only one auth mechanism allowed: the URL is signed"
            )
        grant = self._grants.get(request.query.get("X-Amz-Signature", ""))
        method = "GET" if request.method == "HEAD" else request.method
        if grant is None or (grant.method, grant.key) != (method, request.match_info["key"]):
            return _error(403, "SignatureDoesNotMatch", "The signature does not fit the request")
        if self._clock.monotonic() > grant.expires:
            return _error(403, "AccessDenied", "Request has expired")
        return None

    async def _put(self, request: web.Request) -> web.Response:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        if request.content_length is None:
            return _error(411, "MissingContentLength", "You must provide a Content-Length")
        file = self.new_file()
        digest = hashlib.md5(usedforsecurity=False)
        try:
            with file.open("wb") as target:
                async for piece in request.content.iter_chunked(_PIECE_BYTES):
                    digest.update(piece)
                    target.write(piece)
            self.adopt(request.match_info["key"], file, digest.hexdigest())
        finally:
            file.unlink(missing_ok=True)  # of an upload that was cut
        return web.Response(headers={"ETag": f'"{digest.hexdigest()}"'})

    async def _get(self, request: web.Request) -> web.StreamResponse:
        refusal = self._refusal(request)
        if refusal is not None:
            return refusal
        found = self.path(request.match_info["key"])
        if found is None:
            return _error(404, "NoSuchKey", "The specified key does not exist")
        return web.FileResponse(
            found, chunk_size=_PIECE_BYTES, headers={"Content-Type": "application/octet-stream"}
        )


def _error(status: int, code: str, message: str) -> web.Response:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    )
    return web.Response(status=status, text=text, content_type="application/xml")
