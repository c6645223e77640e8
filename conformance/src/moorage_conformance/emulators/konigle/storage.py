"""The storage behind the uploads: signed URLs, and nothing that needs the key."""

import asyncio
import hashlib

from aiohttp import web

from .uploads import Upload, UploadState

_CHUNK = 1 << 20


class Storage:
    """The handlers of the storage."""

    def __init__(self, uploads: UploadState) -> None:
        self._uploads = uploads

    def add_to(self, application: web.Application) -> None:
        """Add all paths."""
        application.router.add_get("/bucket/{id}", self._get)
        application.router.add_put("/bucket/{id}", self._put)

    async def _get(self, request: web.Request) -> web.StreamResponse:
        upload = self._found(request, "GET")
        if upload.content is None:
            raise web.HTTPNotFound
        return web.FileResponse(upload.content, chunk_size=_CHUNK)

    async def _put(self, request: web.Request) -> web.Response:
        upload = self._found(request, "PUT")
        path, size = self._uploads.new_path(), 0
        digest = hashlib.md5(usedforsecurity=False)
        with path.open("wb") as file:
            async for chunk in request.content.iter_chunked(_CHUNK):
                await asyncio.to_thread(file.write, chunk)
                digest.update(chunk)
                size += len(chunk)
        if size != upload.size:
            path.unlink()
            raise web.HTTPBadRequest(text=_error("IncompleteBody", f"{upload.size} were announced"))
        upload.content, upload.etag = path, digest.hexdigest()
        return web.Response(headers={"ETag": f'"{upload.etag}"'})

    def _found(self, request: web.Request, method: str) -> Upload:
        id_ = request.match_info["id"]
        query = request.query
        if not self._uploads.is_signed(
            id_, method, query.get("expires", ""), query.get("signature", "")
        ):
            raise web.HTTPForbidden(text=_error("AccessDenied", "the signature does not fit"))
        upload = self._uploads.items.get(id_)
        if upload is None:
            raise web.HTTPNotFound(text=_error("NoSuchKey", "there is no such object"))
        return upload


def _error(code: str, message: str) -> str:
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
