"""Reading what clients send: queries, JSON, and forms whose files go to the disk."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import BodyPartReader, web

from ._stored_object import StoredObject

_CHUNK_BYTES = 1 << 20

Receive = Callable[[AsyncIterator[bytes]], Awaitable[StoredObject]]
"""Writes content to a file as it arrives, as `ObjectStore.receive` does."""


class Malformed(ValueError):  # noqa: N818  # what a client did, not what went wrong here
    """A request that cannot be understood; each cloud says so in its own words."""


def query_text(request: web.Request, name: str) -> str | None:
    """Return a value of the query; one that is empty is absent."""
    return request.query.get(name) or None


def query_number(
    request: web.Request, name: str, *, least: int = 0, most: int | None = None
) -> int | None:
    """Return a whole number of the query.

    Raises:
        Malformed: It is none, or not within the bounds.
    """
    text = query_text(request, name)
    if text is None:
        return None
    if not text.isdecimal() or int(text) < least or (most is not None and int(text) > most):
        bounds = f"from {least}" if most is None else f"between {least} and {most}"
        msg = f"{name}: {text!r} is not a number {bounds}"
        raise Malformed(msg)
    return int(text)


def json_object(content: bytes) -> dict[str, Any]:
    """Return the JSON object in a body or a part of one.

    Raises:
        Malformed: There is none.
    """
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        msg = f"this is not JSON: {error}"
        raise Malformed(msg) from error
    if not isinstance(found, dict):
        msg = "the JSON is not an object"
        raise Malformed(msg)
    return found


class FormFile(msgspec.Struct, frozen=True):
    """A file of a form."""

    content: StoredObject
    name: str
    """Empty where the client gave none."""

    content_type: str


class Form(msgspec.Struct, frozen=True):
    """What a form holds, by the names of its parts."""

    texts: dict[str, str]
    files: dict[str, FormFile]


@contextlib.asynccontextmanager
async def read_form(request: web.Request, receive: Receive, *files: str) -> AsyncIterator[Form]:
    """Read a form to its end; what is none is an empty one.

    Where something is raised within, the files are removed.

    Args:
        request: Whose body it is.
        receive: Takes the content of files.
        files: Names of the parts that are files; all others are texts.

    Raises:
        Malformed: It breaks off, or a part has no name.
    """
    form = Form({}, {})
    try:
        if request.content_type.startswith("multipart/"):
            try:
                await _read(form, request, receive, files)
            except ValueError as error:
                msg = f"the form cannot be read: {error}"
                raise Malformed(msg) from error
        yield form
    except BaseException:
        for file in form.files.values():
            file.content.path.unlink(missing_ok=True)
        raise


async def _read(form: Form, request: web.Request, receive: Receive, files: tuple[str, ...]) -> None:
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or not part.name:
            msg = "a part has no name"
            raise Malformed(msg)
        if part.name in files:
            form.files[part.name] = FormFile(
                await receive(_chunks(part)),
                part.filename or "",
                part.headers.get("Content-Type", "application/octet-stream"),
            )
        else:
            form.texts[part.name] = bytes(await part.read()).decode(errors="replace")


async def _chunks(part: BodyPartReader) -> AsyncIterator[bytes]:
    while chunk := await part.read_chunk(_CHUNK_BYTES):
        yield bytes(chunk)
