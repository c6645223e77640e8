"""What the object store answers: XML where it refuses, and parts of objects on request."""

import re
from pathlib import Path
from xml.sax.saxutils import escape

from aiohttp import web

_CHUNK_BYTES = 1 << 18
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Refused(Exception):  # noqa: N818  # what the service did, not what went wrong in it
    """A request that the object store refuses."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def response(self) -> web.Response:
        """Return what the client gets."""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message></Error>"
        )
        return web.Response(status=self.status, text=text, content_type="application/xml")


async def send_object(
    request: web.Request, path: Path, size: int, etag: str, cut: int | None = None
) -> web.StreamResponse:
    """Send an object or the part of it that was asked for.

    Args:
        request: Its headers `Range`, `If-Range` and `If-Match` are heeded.
        path: The content.
        size: Of the content, in bytes.
        etag: Of the content, with its quotes.
        cut: After how many bytes the connection breaks.

    Raises:
        Refused: The range is not there, or the content is not the one that was meant.
    """
    if (wanted := request.headers.get("If-Match")) is not None and wanted != etag:
        raise Refused(412, "PreconditionFailed", "the object is another one")
    first, end = _part(request, size, etag)
    response = web.StreamResponse(status=200 if first is None else 206)
    response.headers["ETag"] = etag
    response.headers["Accept-Ranges"] = "bytes"
    response.content_type = "application/octet-stream"
    if first is not None:
        response.headers["Content-Range"] = f"bytes {first}-{end - 1}/{size}"
    left = end - (first or 0)
    response.content_length = left
    await response.prepare(request)
    with path.open("rb") as file:
        file.seek(first or 0)
        while left:
            chunk = file.read(min(left, _CHUNK_BYTES if cut is None else max(cut, 1)))
            if cut is not None:
                await response.write(chunk[:cut])
                if request.transport is not None:
                    request.transport.close()  # what was written before still arrives
                raise ConnectionResetError
            left -= len(chunk)
            await response.write(chunk)
    await response.write_eof()
    return response


def _part(request: web.Request, size: int, etag: str) -> tuple[int | None, int]:
    """Return where the part begins, or `None` for the whole, and where it ends."""
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    if asked is None or not any(asked.groups()) or request.headers.get("If-Range", etag) != etag:
        return None, size
    first, last = asked.groups()
    if not first:
        return max(0, size - int(last)), size
    if int(first) >= size:
        raise Refused(416, "InvalidRange", "the range is not in the object")
    return int(first), min(size, int(last) + 1) if last else size
