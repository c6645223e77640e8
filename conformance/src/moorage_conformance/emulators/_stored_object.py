"""The objects of a store: what they are, how they are sent, and how a store refuses."""

import re
from pathlib import Path
from xml.sax.saxutils import escape

import msgspec
from aiohttp import web

_CHUNK_BYTES = 1 << 18
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Refused(Exception):  # noqa: N818  # what the service did, not what went wrong in it
    """A request that an object store refuses."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message

    def response(self) -> web.Response:
        """Return what the client gets: XML."""
        text = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message></Error>"
        )
        return web.Response(status=self.status, text=text, content_type="application/xml")


class StoredObject(msgspec.Struct, frozen=True):
    """The content under a key, or of one part."""

    path: Path
    size: int
    digest: str
    """MD5 in hexadecimal; of what came in several parts, of theirs, and how many there were."""

    @property
    def etag(self) -> str:
        """The digest in quotes, as it is sent."""
        return f'"{self.digest}"'


async def send_object(
    request: web.Request, found: StoredObject, cut: int | None = None
) -> web.StreamResponse:
    """Send an object or the part of it that was asked for.

    Args:
        request: Its headers `Range`, `If-Range` and `If-Match` are heeded.
        found: The object.
        cut: After how many bytes the connection breaks.

    Raises:
        Refused: The range is not there, or the content is not the one that was meant.
    """
    if (wanted := request.headers.get("If-Match")) is not None and wanted != found.etag:
        raise Refused(412, "PreconditionFailed", "the object is another one")
    first, end = _part(request, found)
    response = web.StreamResponse(status=200 if first is None else 206)
    response.headers["ETag"] = found.etag
    response.headers["Accept-Ranges"] = "bytes"
    response.content_type = "application/octet-stream"
    if first is not None:
        response.headers["Content-Range"] = f"bytes {first}-{end - 1}/{found.size}"
    left = end - (first or 0)
    response.content_length = left
    await response.prepare(request)
    if request.method == "HEAD":
        left = 0
    with found.path.open("rb") as file:
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


def _part(request: web.Request, found: StoredObject) -> tuple[int | None, int]:
    """Return where the part begins, or `None` for the whole, and where it ends."""
    asked = _RANGE.fullmatch(request.headers.get("Range", ""))
    same = request.headers.get("If-Range", found.etag) == found.etag
    if asked is None or not any(asked.groups()) or not same:
        return None, found.size
    first, last = asked.groups()
    if not first:
        return max(0, found.size - int(last)), found.size
    if int(first) >= found.size:
        raise Refused(416, "InvalidRange", "the range is not in the object")
    return int(first), min(found.size, int(last) + 1) if last else found.size
