"""Reading forms with a file, which goes to the disk as it arrives."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import BodyPartReader, web

from .._stored_object import StoredObject
from .errors import RefusalError, refused

_LARGEST_TEXT = 1 << 20
_CHUNK = 1 << 20

Receive = Callable[[AsyncIterator[bytes]], Awaitable[StoredObject]]
"""Writes content to a file as it arrives."""


class ReceivedFile(msgspec.Struct, frozen=True):
    """A file of a form."""

    content: StoredObject
    filename: str
    content_type: str


class ReceivedForm(msgspec.Struct, frozen=True):
    """A form: its texts, and the one file that was asked for."""

    texts: dict[str, str]
    file: ReceivedFile | None


async def read_form(request: web.Request, field: str, receive: Receive) -> ReceivedForm:
    """Read a form to its end.

    Args:
        request: Whose body it is.
        field: Name of the field with the file.
        receive: Takes its content.
    """
    if not request.content_type.startswith("multipart/form-data"):
        return ReceivedForm({}, None)
    texts: dict[str, str] = {}
    file: ReceivedFile | None = None
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader) or not part.name:
                raise refused("The form cannot be read.")
            if part.name == field and part.filename is not None:
                file = await _received(part, receive)
            elif part.filename is None:
                texts[part.name] = (await part.read(decode=False)).decode()[:_LARGEST_TEXT]
            else:
                await part.release()
    except ValueError as exc:
        raise refused("The form cannot be read.") from exc
    return ReceivedForm(texts, file)


async def _received(part: BodyPartReader, receive: Receive) -> ReceivedFile:
    content = await receive(_chunks(part))
    kind = part.headers.get("Content-Type", "application/octet-stream")
    return ReceivedFile(content, part.filename or "", kind)


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(_CHUNK):
        yield bytes(chunk)


async def read_object(request: web.Request) -> dict[str, Any]:
    """Read a JSON object."""
    try:
        body = json.loads(await request.read())
    except ValueError as exc:
        raise refused(f"JSON parse error - {exc}") from exc
    if not isinstance(body, dict):
        raise RefusalError(400, {"detail": "Invalid data. Expected a dictionary."})
    return body
